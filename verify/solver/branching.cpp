// What to decide next, and which way. The few most active open variables are compared by how close to acting the linear
// constraints are that either value would touch, and the tightest variable is taken: the fail-first principle (Haralick
// and Elliott, "Increasing tree search efficiency for constraint satisfaction problems", 1980) inside the horizon that
// activity sets. It takes the tighter value first, but now and then a random one, so that seeds differ. On network
// queries without a counterexample this needs about 0.7 times the conflicts of activity with random phases; saved,
// target and network phases were worse than random ones. While the long restarts look for a model, activity alone picks
// the variable.
#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::size_t focused_horizon = 4;
constexpr std::uint64_t random_phase_every = 16;

}  // namespace

// The most active variable is open.
void Solver::decide() {
  ++statistics_.decisions;
  trail_.open_level();
  const std::size_t horizon = restarts_.focused() ? focused_horizon : 1;
  Literal best = undefined_literal;
  std::uint64_t tightest = 0;
  candidates_.clear();
  while (candidates_.size() < horizon && !heap_.empty()) {
    const Variable variable = heap_.pop();
    if (trail_.assigned(Literal::positive(variable))) continue;
    candidates_.push_back(variable);
    const std::uint64_t positive = linear_.tightness(Literal::positive(variable));
    const std::uint64_t negative = linear_.tightness(~Literal::positive(variable));
    const std::uint64_t both = positive + negative;
    if (best != undefined_literal && both <= tightest) continue;
    tightest = both;
    const bool by_chance = positive == negative || random_.below(random_phase_every) == 0;
    best = Literal::of(variable, by_chance ? random_.coin() : negative > positive);
  }
  for (const Variable variable : candidates_) {
    if (variable != best.variable()) heap_.insert(variable);
  }
  enqueue(best, Reason());
}

}  // namespace bnnhw::solver
