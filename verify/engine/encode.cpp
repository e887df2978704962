#include "encode.hpp"

#include <algorithm>
#include <stdexcept>

namespace bnnhw::engine {

namespace {

using solver::Literal;
using solver::Solver;
using solver::Variable;

// A sum of weighted literals that has to reach a bound, gathered term by term.
class Sum {
 public:
  explicit Sum(Solver& solver) : solver_(&solver) {}

  void begin(std::int64_t bound) {
    bound_ = bound;
    literals_.clear();
    weights_.clear();
    unit_ = true;
  }

  // weight * [variable], either sign.
  void add(Variable variable, std::int64_t weight) {
    if (weight == 0) return;
    literals_.push_back(Literal::of(variable, weight < 0));
    const std::int64_t size = weight < 0 ? -weight : weight;
    weights_.push_back(static_cast<std::int32_t>(size));
    if (weight < 0) bound_ -= weight;
    unit_ = unit_ && size == 1;
  }

  void raise_bound(std::int64_t by) { bound_ += by; }

  void end(Literal out) {
    solver_->add_at_least(out, literals_, unit_ ? Span<std::int32_t>() : Span<std::int32_t>(weights_), bound_);
  }

 private:
  Solver* solver_;
  std::int64_t bound_ = 0;
  std::vector<Literal> literals_;
  std::vector<std::int32_t> weights_;
  bool unit_ = true;
};

// One network's undecided bits as variables.
class NetworkEncoder {
 public:
  NetworkEncoder(const Evaluation& clean, const Bounds& bounds, const Steps& steps, std::size_t index,
                 Solver& solver)
      : clean_(clean), bounds_(bounds), steps_(steps), index_(index), solver_(solver), sum_(solver) {
    const Network& network = clean.network();
    for (std::uint32_t stage = 0; stage < network.hidden.size(); ++stage) add_layer(stage);
  }

  // Adds out <-> acc[winner] - acc[loser] >= needed.
  void add_comparison(Literal out, std::uint32_t winner, std::uint32_t loser, bool ties_win) {
    const Network& network = clean_.network();
    sum_.begin(network.needed(winner, loser, ties_win) - clean_.difference(winner, loser));
    const auto weight_of = [&](std::uint32_t activation) {
      std::int64_t weight = 0;
      for (const Entry& entry : network.output.column(activation)) {
        if (entry.index == winner) weight += entry.weight;
        if (entry.index == loser) weight -= entry.weight;
      }
      return weight;
    };
    if (network.hidden.empty()) {
      for (std::uint32_t i = 0; i < steps_.steps.size(); ++i) add_step(i, weight_of(steps_.steps[i].pixel));
    } else {
      for (const std::uint32_t bit : bounds_.undecided().back()) {
        add_bit(variables_[bit], clean_.bits(last_stage())[bit] != 0, weight_of(bit));
      }
    }
    sum_.end(out);
  }

  // A literal that is true exactly where `winner` ranks above `loser`.
  Literal comparison(std::uint32_t winner, std::uint32_t loser, bool ties_win) {
    const Literal out = Literal::positive(solver_.new_variables(1));
    add_comparison(out, winner, loser, ties_win);
    return out;
  }

  // A literal that is true exactly where the network gives `one`.
  Literal wins(std::uint32_t one) {
    std::vector<Literal> beats;
    for (std::uint32_t other = 0; other < clean_.network().classes(); ++other) {
      if (other != one) beats.push_back(comparison(one, other, false));
    }
    const Literal out = Literal::positive(solver_.new_variables(1));
    solver_.add_at_least(out, beats, {}, static_cast<std::int64_t>(beats.size()));
    return out;
  }

 private:
  std::uint32_t last_stage() const { return static_cast<std::uint32_t>(clean_.network().hidden.size()) - 1; }

  // Adds weight * (value - clean value) of a step's share in its pixel's level.
  void add_step(std::uint32_t step, std::int64_t weight) {
    const Step& one = steps_.steps[step];
    const std::int64_t share = weight * steps_.gains[index_ * steps_.steps.size() + step];
    sum_.add(step + 1, share);
    if (!one.up) sum_.raise_bound(share);
  }

  void add_bit(Variable variable, bool clean_value, std::int64_t weight) {
    sum_.add(variable, weight);
    if (clean_value) sum_.raise_bound(weight);
  }

  void add_layer(std::uint32_t stage) {
    const Matrix& matrix = clean_.network().matrix(stage);
    const std::vector<std::uint32_t>& undecided = bounds_.undecided()[stage];
    const Variable first = solver_.new_variables(static_cast<std::uint32_t>(undecided.size()));
    for (std::uint32_t i = 0; i < undecided.size(); ++i) {
      sum_.begin(-clean_.slack(stage, undecided[i]));
      for (const Entry& entry : matrix.row(undecided[i])) {
        if (stage == 0) {
          for (std::uint32_t step = steps_.begin[entry.index]; step < steps_.begin[entry.index + 1]; ++step) {
            add_step(step, entry.weight);
          }
        } else if (variables_[entry.index] != 0) {
          add_bit(variables_[entry.index], clean_.bits(stage - 1)[entry.index] != 0, entry.weight);
        }
      }
      sum_.end(Literal::positive(first + i));
    }
    variables_.assign(matrix.rows(), 0);
    for (std::uint32_t i = 0; i < undecided.size(); ++i) variables_[undecided[i]] = first + i;
  }

  const Evaluation& clean_;
  const Bounds& bounds_;
  const Steps& steps_;
  std::size_t index_;
  Solver& solver_;
  Sum sum_;
  // Of the layer encoded last: each bit's variable, 0 if it is decided.
  std::vector<Variable> variables_;
};

void add_chains(const Steps& steps, Solver& solver) {
  for (std::uint32_t i = 1; i < steps.steps.size(); ++i) {
    if (steps.steps[i].pixel != steps.steps[i - 1].pixel) continue;
    const Literal order[] = {~Literal::positive(i + 1), Literal::positive(i)};
    solver.add_clause(Span<Literal>(order, 2));
  }
}

void add_budget(const Region& region, const Steps& steps, Solver& solver) {
  if (!region.budget) return;
  // Sum of -cost * [taken] >= -limit.
  std::int64_t total = 0;
  for (const Step& step : steps.steps) {
    total += step.cost;
    if (total <= solver::max_total_weight) continue;
    throw std::length_error(
        "the changes that the budget allows cost more than 2^28 together: lower its limit or its weights");
  }
  Sum sum(solver);
  sum.begin(-region.budget->limit);
  for (std::uint32_t i = 0; i < steps.steps.size(); ++i) {
    const Step& step = steps.steps[i];
    sum.add(i + 1, step.up ? -step.cost : step.cost);
    if (!step.up) sum.raise_bound(step.cost);
  }
  sum.end(solver::true_literal);
}

}  // namespace

void encode(const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds, const Region& region,
            const Steps& steps, const Goal& goal, Solver& solver) {
  solver.new_variables(static_cast<std::uint32_t>(steps.steps.size()));
  add_chains(steps, solver);
  add_budget(region, steps, solver);
  std::vector<NetworkEncoder> networks;
  networks.reserve(clean.size());
  for (std::size_t index = 0; index < clean.size(); ++index) {
    networks.emplace_back(clean[index], bounds[index], steps, index, solver);
  }
  const std::uint32_t classes = clean.front().network().classes();
  std::vector<Literal> any;
  switch (goal.kind) {
    case Goal::Kind::misclassified:
      for (std::uint32_t one = 0; one < classes; ++one) {
        const Network& network = clean.front().network();
        if (one == goal.label || !may_beat(bounds.front(), network, one, goal.label, goal.ties_win)) continue;
        any.push_back(networks.front().comparison(one, goal.label, goal.ties_win));
      }
      break;
    case Goal::Kind::targeted:
      for (std::uint32_t one = 0; one < classes; ++one) {
        if (one != goal.target) networks.front().add_comparison(solver::true_literal, goal.target, one, false);
      }
      return;
    case Goal::Kind::unanimous:
      for (std::uint32_t one = 0; one < classes; ++one) {
        if (one == goal.label) continue;
        std::vector<Literal> all;
        for (NetworkEncoder& network : networks) all.push_back(network.wins(one));
        any.push_back(Literal::positive(solver.new_variables(1)));
        solver.add_at_least(any.back(), all, {}, static_cast<std::int64_t>(all.size()));
      }
      break;
    case Goal::Kind::differ:
      for (std::uint32_t one = 0; one < classes; ++one) {
        const Literal both[] = {networks[0].wins(one), ~networks[1].wins(one)};
        any.push_back(Literal::positive(solver.new_variables(1)));
        solver.add_at_least(any.back(), Span<Literal>(both, 2), {}, 2);
      }
      break;
  }
  solver.add_clause(any);
}

std::vector<std::uint8_t> steps_taken(const Steps& steps, const std::vector<std::int8_t>& model) {
  std::vector<std::uint8_t> taken(steps.steps.size());
  for (std::size_t i = 0; i < taken.size(); ++i) taken[i] = (model[i + 1] > 0) == steps.steps[i].up ? 1 : 0;
  return taken;
}

}  // namespace bnnhw::engine
