// Unit propagation over clauses, run to its end before any linear constraint is looked at: clauses are the cheaper of
// the two and their conflicts the shorter ones. Two watched literals with blockers; the literals implied through
// binary clauses come first and never touch the arena.
#include "solver.hpp"

namespace bnnhw::solver {

Solver::Conflict Solver::propagate() {
  while (true) {
    if (clause_head_ < trail_.size()) {
      ++statistics_.propagations;
      const Conflict conflict = propagate_clauses(trail_[clause_head_++]);
      if (conflict.found) return conflict;
    } else if (linear_head_ < trail_.size()) {
      const Conflict conflict = propagate_linear(trail_[linear_head_++]);
      if (conflict.found) return conflict;
    } else {
      return Conflict{};
    }
  }
}

Solver::Conflict Solver::propagate_clauses(Literal literal) {
  const Literal falsified = ~literal;
  for (const Literal implied : clauses_.implications[literal.code]) {
    const int value = trail_.value(implied);
    if (value > 0) continue;
    if (value < 0) return Conflict{true, Reason::binary(falsified), implied};
    enqueue(implied, Reason::binary(falsified));
  }

  std::vector<Watch>& watches = clauses_.watches[literal.code];
  Watch* kept = watches.data();
  Watch* watch = watches.data();
  Watch* const end = watch + watches.size();
  Conflict conflict;
  while (watch != end) {
    if (trail_.value(watch->blocker) > 0) {
      *kept++ = *watch++;
      continue;
    }
    const ClauseReference reference = watch->clause;
    std::uint32_t* const codes = clauses_.arena.codes(reference);
    // The other watched literal, whichever place it is in.
    const Literal other{codes[0] ^ codes[1] ^ falsified.code};
    ++watch;
    if (trail_.value(other) > 0) {
      *kept++ = Watch{reference, other};
      continue;
    }
    const std::uint32_t size = clauses_.arena.size(reference);
    const std::uint32_t index = scan_.first_not_false(codes, 2, size, trail_.values());
    if (index < size) {
      const Literal replacement{codes[index]};
      codes[0] = other.code;
      codes[1] = replacement.code;
      codes[index] = falsified.code;
      clauses_.watches[(~replacement).code].push_back(Watch{reference, other});
      continue;
    }
    *kept++ = Watch{reference, other};
    if (trail_.value(other) < 0) {
      conflict = Conflict{true, Reason::clause(reference), undefined_literal};
      break;
    }
    codes[0] = other.code;
    codes[1] = falsified.code;
    enqueue(other, Reason::clause(reference));
  }
  while (watch != end) *kept++ = *watch++;
  watches.resize(static_cast<std::size_t>(kept - watches.data()));
  return conflict;
}

}  // namespace bnnhw::solver
