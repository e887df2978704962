// Failed-literal probing at level 0 (Freeman, "Improvements to propositional satisfiability search algorithms", 1995;
// Le Berre, SAT 2001): a literal whose assumption alone propagates to a conflict is false in every model. On network
// queries a pass costs a few milliseconds and fixes 5 to 10 per cent of the open neurons; it waits until a query has
// proved not to be trivial and stops at a budget of propagation work, so that easy queries never pay for it.
#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::uint64_t probing_work = 3'000'000;

}  // namespace

// Decides a literal, propagates and takes it back: how many literals that made true, none if it fails.
std::optional<std::uint32_t> Solver::try_out(Literal literal) {
  const std::uint32_t level = trail_.level();
  const std::uint32_t before = trail_.size();
  trail_.open_level();
  enqueue(literal, Reason());
  const bool failed = propagate().found;
  const std::uint32_t followed = trail_.size() - before;
  backtrack(level);
  if (failed) return std::nullopt;
  return followed;
}

// At level 0, fully propagated. False if the formula is found contradictory.
bool Solver::probe(const Limits& limits, const Stopwatch& stopwatch) {
  probing_pending_ = false;
  const std::uint64_t last_work = work() + probing_work;
  for (Variable variable = 1; variable < trail_.variable_count(); ++variable) {
    for (const bool negative : {false, true}) {
      const Literal literal = Literal::of(variable, negative);
      if (trail_.assigned(literal)) break;
      if (work() > last_work) return true;
      if (work() >= next_poll_ && poll(limits, stopwatch) != StopReason::none) {
        // The search polls again at once and reports it.
        next_poll_ = 0;
        return true;
      }
      ++statistics_.probes;
      if (try_out(literal)) continue;
      ++statistics_.failed_probes;
      const Literal unit = ~literal;
      enqueue(unit, Reason());
      report_root_units();
      if (!propagate_root()) return false;
      break;
    }
  }
  return true;
}

}  // namespace bnnhw::solver
