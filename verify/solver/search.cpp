// The search loop: propagate; on a conflict learn and jump back; otherwise restart, forget, or decide. Assumptions are
// the first decisions of every descent (MiniSat), so lemmas never depend on them and the solver can be asked again.
#include <algorithm>

#include "solver.hpp"

namespace bnnhw::solver {

Outcome Solver::solve(Span<Literal> assumptions, const Limits& limits) {
  const Stopwatch stopwatch;
  failed_.clear();
  model_.clear();
  next_poll_ = 0;
  next_external_poll_ = 0.0;
  conflicts_at_start_ = statistics_.conflicts;
  const Outcome outcome = search(assumptions, limits, stopwatch);
  if (outcome.status == Status::satisfiable) store_model();
  backtrack(0);
  interrupt_requested_.store(false, std::memory_order_relaxed);
  statistics_.solve_seconds += stopwatch.seconds();
  return outcome;
}

Outcome Solver::search(Span<Literal> assumptions, const Limits& limits, const Stopwatch& stopwatch) {
  const Outcome unsatisfiable{Status::unsatisfiable, StopReason::none};
  if (!consistent_) return unsatisfiable;
  if (const StopReason stop = poll(limits, stopwatch); stop != StopReason::none) {
    return Outcome{Status::unknown, stop};
  }
  if (!linear_.compiled() && !compile_linear()) return unsatisfiable;
  if (!propagate_root() || !simplify_at_root()) return unsatisfiable;

  const auto assumption_levels = static_cast<std::uint32_t>(assumptions.size);
  level_stamps_.resize(std::max(level_stamps_.size(), trail_.variable_count() + assumptions.size + 1));
  while (true) {
    const Conflict conflict = propagate();
    if (conflict.found) {
      ++statistics_.conflicts;
      if (trail_.level() == 0) {
        contradiction();
        return unsatisfiable;
      }
      analyze(conflict);
      learn();
      continue;
    }
    if (trail_.level() == 0) report_root_units();
    if (work() >= next_poll_) {
      if (const StopReason stop = poll(limits, stopwatch); stop != StopReason::none) {
        return Outcome{Status::unknown, stop};
      }
    }
    if (limits.conflicts && statistics_.conflicts - conflicts_at_start_ >= *limits.conflicts) {
      return Outcome{Status::unknown, StopReason::conflicts};
    }
    if (restarts_.due()) {
      ++statistics_.restarts;
      restarts_.restarted();
      const bool probe_now = probing_pending_ && restarts_.past_warm_up();
      const bool simplify_now = statistics_.conflicts >= next_simplification_;
      if (probe_now || simplify_now) {
        backtrack(0);
        if (!propagate_root()) return unsatisfiable;
        if (probe_now && !probe(limits, stopwatch)) return unsatisfiable;
        if (!simplify_at_root()) return unsatisfiable;
      } else {
        backtrack(std::min(trail_.level(), assumption_levels));
      }
      continue;
    }
    if (statistics_.conflicts >= next_reduction_) {
      next_reduction_ = statistics_.conflicts + first_reduction + reduction_step * (statistics_.reductions + 1);
      reduce_clauses();
      if (!clauses_.arena.fits(1u << 26)) return Outcome{Status::unknown, StopReason::memory};
    }
    if (trail_.level() < assumption_levels) {
      const Literal assumption = assumptions[trail_.level()];
      if (trail_.value(assumption) < 0) {
        refute_assumption(assumption);
        if (proof_ != nullptr) {
          clause_scratch_.clear();
          for (const Literal failed : failed_) clause_scratch_.push_back(~failed);
          report_lemma(clause_scratch_);
        }
        return unsatisfiable;
      }
      trail_.open_level();
      if (!trail_.assigned(assumption)) enqueue(assumption, Reason());
      continue;
    }
    while (!heap_.empty() && trail_.assigned(Literal::positive(heap_.top()))) heap_.pop();
    if (heap_.empty()) return Outcome{Status::satisfiable, StopReason::none};
    decide(assumption_levels);
  }
}

void Solver::learn() {
  if (proof_ != nullptr) {
    // A checker that assumes the literals in the order of the trail finds most of the last lemma's assumptions again.
    clause_scratch_ = lemma_;
    std::sort(clause_scratch_.begin(), clause_scratch_.end(), [this](Literal left, Literal right) {
      return trail_.position_of(left.variable()) < trail_.position_of(right.variable());
    });
    report_lemma(clause_scratch_);
  }
  ++statistics_.learned;
  statistics_.learned_literals += lemma_.size();
  restarts_.lemma(lemma_lbd_);
  heap_.decay();
  if (lemma_.size() == 1) {
    backtrack(0);
    enqueue(lemma_[0], Reason());
    return;
  }
  backtrack(trail_.level_of(lemma_[1].variable()));
  if (lemma_.size() == 2) {
    clauses_.add_binary(lemma_[0], lemma_[1]);
    enqueue(lemma_[0], Reason::binary(lemma_[1]));
    return;
  }
  const ClauseReference clause = clauses_.add_long(lemma_, true, lemma_lbd_);
  clauses_.arena.set_used(clause, 1);
  learned_.push_back(clause);
  enqueue(lemma_[0], Reason::clause(clause));
}

void Solver::backtrack(std::uint32_t level) {
  if (trail_.level() <= level) return;
  const std::uint32_t target = trail_.size_up_to(level);
  while (trail_.size() > target) {
    const std::uint32_t position = trail_.size() - 1;
    const Literal literal = trail_.pop();
    if (position < linear_head_) linear_.uncount(literal);
    heap_.insert(literal.variable());
  }
  trail_.close_levels_above(level);
  clause_head_ = std::min(clause_head_, target);
  linear_head_ = std::min(linear_head_, target);
}

// At level 0. False if the formula is found contradictory.
bool Solver::propagate_root() {
  if (propagate().found) return contradiction();
  report_root_units();
  return true;
}

bool Solver::contradiction() {
  if (consistent_) report_lemma(Span<Literal>());
  consistent_ = false;
  return false;
}

// Units are lemmas too: a checker may lose the clauses that implied them when those are deleted as satisfied.
void Solver::report_root_units() {
  if (proof_ == nullptr) return;
  for (; reported_root_units_ < trail_.size_up_to(0); ++reported_root_units_) {
    const Literal unit = trail_[reported_root_units_];
    report_lemma(Span<Literal>(&unit, 1));
  }
}

StopReason Solver::poll(const Limits& limits, const Stopwatch& stopwatch) {
  next_poll_ = work() + work_per_poll;
  if (interrupt_requested_.load(std::memory_order_relaxed)) return StopReason::interrupted;
  const double seconds = stopwatch.seconds();
  if (limits.seconds && seconds >= *limits.seconds) return StopReason::time;
  if (limits.memory_bytes && memory_bytes() > *limits.memory_bytes) return StopReason::memory;
  if (limits.interrupted && seconds >= next_external_poll_) {
    next_external_poll_ = seconds + 0.1;
    if (limits.interrupted()) {
      // Remembered: whoever polls first may not be the one to report it.
      interrupt();
      return StopReason::interrupted;
    }
  }
  return StopReason::none;
}

void Solver::store_model() {
  model_.assign(trail_.variable_count(), 0);
  for (Variable variable = 1; variable < trail_.variable_count(); ++variable) {
    model_[variable] = trail_.value(Literal::positive(variable)) > 0 ? 1 : 0;
  }
}

}  // namespace bnnhw::solver
