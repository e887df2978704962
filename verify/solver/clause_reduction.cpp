// Forgetting lemmas. Lemmas of LBD 2 or less stay for good; up to LBD 6 they stay while they keep taking part in
// conflicts; of the others, the worst three quarters go at every reduction unless just used (Audemard and Simon 2009; the
// tiers are due to Oh, "Between SAT and UNSAT: the fundamental difference in CDCL SAT", SAT 2015). Clauses that level
// 0 satisfies go as well, and the survivors move to a new arena in order.
#include <algorithm>
#include <utility>

#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::uint32_t lbd_kept_forever = 2;

}  // namespace

void Solver::reduce_clauses() {
  ++statistics_.reductions;
  ClauseArena& arena = clauses_.arena;
  const auto is_reason = [this, &arena](ClauseReference clause) {
    const Literal first = arena.literal(clause, 0);
    const Reason reason = trail_.reason_of(first.variable());
    return trail_.value(first) > 0 && reason.kind() == Reason::Kind::clause && reason.index() == clause;
  };
  std::vector<ClauseReference> candidates;
  for (const ClauseReference clause : learned_) {
    if (arena.lbd(clause) <= lbd_kept_forever || is_reason(clause)) continue;
    if (const std::uint32_t used = arena.used(clause); used > 0) {
      arena.set_used(clause, used - 1);
      continue;
    }
    candidates.push_back(clause);
  }
  const auto worse = [&arena](ClauseReference left, ClauseReference right) {
    if (arena.lbd(left) != arena.lbd(right)) return arena.lbd(left) > arena.lbd(right);
    if (arena.size(left) != arena.size(right)) return arena.size(left) > arena.size(right);
    return left < right;
  };
  std::sort(candidates.begin(), candidates.end(), worse);
  candidates.resize((3 * candidates.size() + 3) / 4);
  std::sort(candidates.begin(), candidates.end());
  statistics_.deleted += candidates.size();
  collect_garbage(candidates);
}

// Copies all clauses except those given, in ascending order, into a new arena and rebuilds the watches.
void Solver::collect_garbage(const std::vector<ClauseReference>& dropped) {
  ClauseArena compact;
  const ClauseArena& old = clauses_.arena;
  compact.reserve(old.words());
  for (std::vector<Watch>& watches : clauses_.watches) watches.clear();
  learned_.clear();
  auto next_dropped = dropped.begin();
  ClauseReference clause = 0;
  while (clause < old.words()) {
    if (next_dropped != dropped.end() && *next_dropped == clause) {
      ++next_dropped;
      if (proof_ != nullptr) {
        clause_scratch_.clear();
        for (std::uint32_t i = 0; i < old.size(clause); ++i) clause_scratch_.push_back(old.literal(clause, i));
        proof_->deleted(clause_scratch_);
      }
    } else {
      const ClauseReference moved = old.copy_to(compact, clause);
      const Literal first = old.literal(clause, 0);
      const Literal second = old.literal(clause, 1);
      clauses_.watches[(~first).code].push_back(Watch{moved, second});
      clauses_.watches[(~second).code].push_back(Watch{moved, first});
      const Reason reason = trail_.reason_of(first.variable());
      if (trail_.value(first) > 0 && reason.kind() == Reason::Kind::clause && reason.index() == clause) {
        trail_.set_reason(first.variable(), Reason::clause(moved));
      }
      if (old.learned(clause)) learned_.push_back(moved);
    }
    clause = old.next(clause);
  }
  clauses_.arena = std::move(compact);
}

// At level 0, fully propagated: drops satisfied clauses and shrinks the linear constraints.
bool Solver::simplify_at_root() {
  next_simplification_ = statistics_.conflicts + conflicts_between_simplifications;
  if (trail_.size() == simplified_root_size_) return true;
  // No clause may stay the reason of a literal fixed for good: it is about to go.
  for (std::uint32_t position = simplified_root_size_; position < trail_.size(); ++position) {
    trail_.set_reason(trail_[position].variable(), Reason());
  }
  std::vector<ClauseReference> satisfied;
  const ClauseArena& arena = clauses_.arena;
  for (ClauseReference clause = 0; clause < arena.words(); clause = arena.next(clause)) {
    for (std::uint32_t i = 0; i < arena.size(clause); ++i) {
      if (trail_.value(arena.literal(clause, i)) > 0) {
        satisfied.push_back(clause);
        break;
      }
    }
  }
  if (!satisfied.empty()) collect_garbage(satisfied);
  simplified_root_size_ = trail_.size();
  return trail_.size() == compiled_root_size_ || (compile_linear() && propagate_root());
}

}  // namespace bnnhw::solver
