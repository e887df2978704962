#include "encode.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace bnnhw::engine {

namespace {

using solver::Literal;
using solver::Solver;
using solver::Variable;

// The solver while it is being filled: a variable or constraint comes with the name that proofs call it by.
class Formula {
 public:
  explicit Formula(Solver& solver) : solver_(solver) { names_.variables.push_back(0); }

  // The first of `count` variables with consecutive names.
  Variable variables(std::uint32_t first_name, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) names_.variables.push_back(first_name + i);
    return solver_.new_variables(count);
  }
  // The first of several whose names lie so far behind the first name.
  Variable variables(std::uint32_t first_name, const std::vector<std::uint32_t>& behind) {
    for (const std::uint32_t one : behind) names_.variables.push_back(first_name + one);
    return solver_.new_variables(static_cast<std::uint32_t>(behind.size()));
  }
  Variable variable(std::uint32_t name) {
    names_.variables.push_back(name);
    return solver_.new_variables(1);
  }
  void add_clause(Span<Literal> literals) { solver_.add_clause(literals); }
  void add_at_least(std::uint32_t name, Literal out, Span<Literal> literals, Span<std::int32_t> weights,
                    std::int64_t bound) {
    names_.constraints.push_back(name);
    solver_.add_at_least(out, literals, weights, bound);
  }
  // All of the literals, as a literal.
  Literal all(std::uint32_t name, Span<Literal> literals) {
    const Literal out = Literal::positive(variable(name));
    add_at_least(name, out, literals, {}, static_cast<std::int64_t>(literals.size));
    return out;
  }

  solver::ProofNames take_names() { return std::move(names_); }

 private:
  Solver& solver_;
  solver::ProofNames names_;
};

// A sum of weighted literals that has to reach a bound, gathered term by term.
class Sum {
 public:
  explicit Sum(Formula& formula) : formula_(&formula) {}

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

  void end(std::uint32_t name, Literal out) {
    formula_->add_at_least(name, out, literals_, unit_ ? Span<std::int32_t>() : Span<std::int32_t>(weights_), bound_);
  }

 private:
  Formula* formula_;
  std::int64_t bound_ = 0;
  std::vector<Literal> literals_;
  std::vector<std::int32_t> weights_;
  bool unit_ = true;
};

// One network's undecided bits as variables.
class NetworkEncoder {
 public:
  NetworkEncoder(const Evaluation& clean, const Bounds& bounds, const Steps& steps, std::size_t index,
                 const CanonicalNames& names, Formula& formula)
      : clean_(clean), bounds_(bounds), steps_(steps), index_(index), names_(names), formula_(formula), sum_(formula) {
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
    sum_.end(names_.comparison(index_, winner, loser), out);
  }

  // A literal that is true exactly where `winner` ranks above `loser`.
  Literal comparison(std::uint32_t winner, std::uint32_t loser, bool ties_win) {
    const Literal out = Literal::positive(formula_.variable(names_.comparison(index_, winner, loser)));
    add_comparison(out, winner, loser, ties_win);
    return out;
  }

  // A literal that is true exactly where the network gives `one`.
  Literal wins(std::uint32_t one) {
    std::vector<Literal> beats;
    for (std::uint32_t other = 0; other < clean_.network().classes(); ++other) {
      if (other != one) beats.push_back(comparison(one, other, false));
    }
    return formula_.all(names_.wins(index_, one), beats);
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
    const Variable first = formula_.variables(names_.bit(index_, stage, 0), undecided);
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
      sum_.end(names_.bit(index_, stage, undecided[i]), Literal::positive(first + i));
    }
    variables_.assign(matrix.rows(), 0);
    for (std::uint32_t i = 0; i < undecided.size(); ++i) variables_[undecided[i]] = first + i;
  }

  const Evaluation& clean_;
  const Bounds& bounds_;
  const Steps& steps_;
  std::size_t index_;
  const CanonicalNames& names_;
  Formula& formula_;
  Sum sum_;
  // Of the layer encoded last: each bit's variable, 0 if it is decided.
  std::vector<Variable> variables_;
};

void add_chains(const Steps& steps, Formula& formula) {
  for (std::uint32_t i = 1; i < steps.steps.size(); ++i) {
    if (steps.steps[i].pixel != steps.steps[i - 1].pixel) continue;
    const Literal order[] = {~Literal::positive(i + 1), Literal::positive(i)};
    formula.add_clause(Span<Literal>(order, 2));
  }
}

void add_budget(const Region& region, const Steps& steps, Formula& formula) {
  if (!region.budget) return;
  // Sum of -cost * [taken] >= -limit.
  std::int64_t total = 0;
  for (const Step& step : steps.steps) {
    total += step.cost;
    if (total <= solver::max_total_weight) continue;
    throw std::length_error(
        "the changes that the budget allows cost more than 2^28 together: lower its limit or its weights");
  }
  Sum sum(formula);
  sum.begin(-region.budget->limit);
  for (std::uint32_t i = 0; i < steps.steps.size(); ++i) {
    const Step& step = steps.steps[i];
    sum.add(i + 1, step.up ? -step.cost : step.cost);
    if (!step.up) sum.raise_bound(step.cost);
  }
  sum.end(0, solver::true_literal);
}

}  // namespace

CanonicalNames::CanonicalNames(const std::vector<Evaluation>& clean, const Steps& steps)
    : classes_(clean.front().network().classes()) {
  auto next = static_cast<std::uint32_t>(steps.steps.size()) + 1;
  for (const Evaluation& evaluation : clean) {
    std::vector<std::uint32_t>& first = first_bit_.emplace_back();
    for (const Layer& layer : evaluation.network().hidden) {
      first.push_back(next);
      next += layer.matrix.rows();
    }
  }
  first_comparison_ = next;
  first_win_ = next + static_cast<std::uint32_t>(clean.size()) * classes_ * classes_;
}

solver::ProofNames encode(const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds, const Region& region,
                          const Steps& steps, const Goal& goal, Solver& solver) {
  const CanonicalNames names(clean, steps);
  Formula formula(solver);
  formula.variables(1, static_cast<std::uint32_t>(steps.steps.size()));
  add_chains(steps, formula);
  add_budget(region, steps, formula);
  std::vector<NetworkEncoder> networks;
  networks.reserve(clean.size());
  for (std::size_t index = 0; index < clean.size(); ++index) {
    networks.emplace_back(clean[index], bounds[index], steps, index, names, formula);
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
      return formula.take_names();
    case Goal::Kind::unanimous:
      for (std::uint32_t one = 0; one < classes; ++one) {
        if (one == goal.label) continue;
        std::vector<Literal> all;
        for (NetworkEncoder& network : networks) all.push_back(network.wins(one));
        any.push_back(formula.all(names.reached_by(one), all));
      }
      break;
    case Goal::Kind::differ:
      for (std::uint32_t one = 0; one < classes; ++one) {
        const Literal both[] = {networks[0].wins(one), ~networks[1].wins(one)};
        any.push_back(formula.all(names.reached_by(one), Span<Literal>(both, 2)));
      }
      break;
  }
  formula.add_clause(any);
  return formula.take_names();
}

std::vector<std::uint8_t> steps_taken(const Steps& steps, const std::vector<std::int8_t>& model) {
  std::vector<std::uint8_t> taken(steps.steps.size());
  for (std::size_t i = 0; i < taken.size(); ++i) taken[i] = (model[i + 1] > 0) == steps.steps[i].up ? 1 : 0;
  return taken;
}

}  // namespace bnnhw::engine
