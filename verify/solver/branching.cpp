// What to decide next, and which way: the fail-first principle (Haralick and Elliott, "Increasing tree search efficiency
// for constraint satisfaction problems", 1980) inside the horizon that activity sets.
//
// Among the few most active open variables the one is taken whose two values touch the tightest linear constraints, and
// its tighter value first, but now and then a random one, so that seeds differ. On network queries without a
// counterexample this needs about 0.7 times the conflicts of activity with random phases; saved, target and network
// phases were worse than random ones. While the long restarts look for a model, activity alone picks the variable.
//
// Near the root, where everything below pays for a poor decision, tightness only selects whom to try: both values are
// propagated and the variable with the largest product of consequences is taken (Heule and van Maaren, "Look-ahead
// based SAT solvers", Handbook of Satisfiability, 2009). A value that fails is decided at once, for the lemma. At most
// a sixth of the work goes there, and none before the first restart; hard queries end in two thirds of the time, others
// gain little or nothing.
#include <algorithm>
#include <utility>

#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::size_t focused_horizon = 4;
constexpr std::uint64_t random_phase_every = 16;

constexpr std::uint32_t lookahead_levels = 4;
constexpr std::size_t lookahead_horizon = 32;
constexpr std::size_t lookahead_trials = 8;
constexpr std::uint64_t lookahead_share = 6;

}  // namespace

void Solver::decide(std::uint32_t assumption_levels) {
  ++statistics_.decisions;
  const bool near_root = trail_.level() - assumption_levels < lookahead_levels;
  const bool look = near_root && restarts_.past_warm_up() && lookahead_work_ <= work() / lookahead_share;
  const Literal choice = look ? look_ahead() : tightest(restarts_.focused() ? focused_horizon : 1);
  trail_.open_level();
  enqueue(choice, Reason());
}

// The most active open variables, at most `count`. The assigned ones above them leave the heap on the way.
void Solver::find_candidates(std::size_t count) {
  candidates_.clear();
  while (candidates_.size() < count && !heap_.empty()) {
    const Variable variable = heap_.pop();
    if (!trail_.assigned(Literal::positive(variable))) candidates_.push_back(variable);
  }
  for (const Variable variable : candidates_) heap_.insert(variable);
}

Literal Solver::tightest(std::size_t horizon) {
  find_candidates(horizon);
  Literal best = undefined_literal;
  std::uint64_t most = 0;
  for (const Variable variable : candidates_) {
    const std::uint64_t positive = linear_.tightness(Literal::positive(variable));
    const std::uint64_t negative = linear_.tightness(~Literal::positive(variable));
    if (best != undefined_literal && positive + negative <= most) continue;
    most = positive + negative;
    const bool by_chance = positive == negative || random_.below(random_phase_every) == 0;
    best = Literal::of(variable, by_chance ? random_.coin() : negative > positive);
  }
  return best;
}

Literal Solver::look_ahead() {
  const std::uint64_t work_before = work();
  find_candidates(lookahead_horizon);
  if (candidates_.size() > lookahead_trials) {
    std::vector<std::pair<std::uint64_t, Variable>> ranked;
    for (const Variable variable : candidates_) {
      const Literal literal = Literal::positive(variable);
      // Complemented, so that ties go to the lower variable.
      ranked.emplace_back(~(linear_.tightness(literal) + linear_.tightness(~literal)), variable);
    }
    std::partial_sort(ranked.begin(), ranked.begin() + lookahead_trials, ranked.end());
    candidates_.resize(lookahead_trials);
    for (std::size_t i = 0; i < lookahead_trials; ++i) candidates_[i] = ranked[i].second;
  }
  Literal best = undefined_literal;
  std::uint64_t most = 0;
  for (const Variable variable : candidates_) {
    std::uint64_t consequences[2];
    for (const bool negative : {false, true}) {
      const Literal literal = Literal::of(variable, negative);
      ++statistics_.lookaheads;
      const std::optional<std::uint32_t> followed = try_out(literal);
      if (!followed) {
        lookahead_work_ += work() - work_before;
        return literal;
      }
      consequences[negative ? 1 : 0] = *followed;
    }
    const std::uint64_t product = consequences[0] * consequences[1];
    if (product <= most) continue;
    most = product;
    best = Literal::of(variable, consequences[1] > consequences[0]);
  }
  lookahead_work_ += work() - work_before;
  return best;
}

}  // namespace bnnhw::solver
