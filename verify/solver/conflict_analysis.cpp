// From a conflict to a lemma: resolve backwards along the trail to the first unique implication point (Zhang et al.,
// "Efficient conflict driven learning in a Boolean satisfiability solver", ICCAD 2001), then drop every literal that
// the others imply, recursively (Soerensson and Biere, "Minimizing learned clauses", SAT 2009). Antecedents from
// linear constraints are explained as clauses on the spot. The same walk, ended at decisions only, finds failed
// assumptions.
#include <algorithm>
#include <utility>

#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::uint32_t deepest_minimization = 500;

}  // namespace

void Solver::meet(Literal literal) {
  const Variable variable = literal.variable();
  if (marks_[variable] != Mark::none || trail_.level_of(variable) == 0) return;
  marks_[variable] = Mark::in_lemma;
  marked_.push_back(variable);
  heap_.bump(variable);
  if (trail_.level_of(variable) == trail_.level()) {
    ++open_paths_;
  } else {
    lemma_.push_back(literal);
  }
}

void Solver::visit_conflict(const Conflict& conflict) {
  switch (conflict.reason.kind()) {
    case Reason::Kind::binary:
      meet(conflict.reason.other());
      meet(conflict.binary_literal);
      break;
    case Reason::Kind::clause: {
      const ClauseReference clause = conflict.reason.index();
      use_clause(clause);
      for (std::uint32_t i = 0; i < clauses_.arena.size(clause); ++i) meet(clauses_.arena.literal(clause, i));
      break;
    }
    case Reason::Kind::linear:
      explanation_.clear();
      explain(conflict.reason.index(), undefined_literal, explanation_);
      for (const Literal literal : explanation_) meet(literal);
      break;
    case Reason::Kind::none:
      break;
  }
}

void Solver::visit_reason(Literal literal) {
  const Reason reason = trail_.reason_of(literal.variable());
  switch (reason.kind()) {
    case Reason::Kind::binary:
      meet(reason.other());
      break;
    case Reason::Kind::clause: {
      const ClauseReference clause = reason.index();
      use_clause(clause);
      for (std::uint32_t i = 1; i < clauses_.arena.size(clause); ++i) meet(clauses_.arena.literal(clause, i));
      break;
    }
    case Reason::Kind::linear:
      explanation_.clear();
      explain(reason.index(), literal, explanation_);
      for (const Literal other : explanation_) meet(other);
      break;
    case Reason::Kind::none:
      break;
  }
}

// A lemma that helps again is kept longer, and its LBD may have improved.
void Solver::use_clause(ClauseReference clause) {
  if (!clauses_.arena.learned(clause)) return;
  const std::uint32_t old_lbd = clauses_.arena.lbd(clause);
  if (old_lbd > 2) {
    const std::uint32_t lbd = count_levels(clauses_.arena.codes(clause), clauses_.arena.size(clause));
    if (lbd < old_lbd) clauses_.arena.set_lbd(clause, lbd);
  }
  clauses_.arena.set_used(clause, clauses_.arena.lbd(clause) <= 6 ? 2 : 1);
}

std::uint32_t Solver::count_levels(const std::uint32_t* codes, std::uint32_t count) {
  if (++level_stamp_ == 0) {
    std::fill(level_stamps_.begin(), level_stamps_.end(), 0u);
    level_stamp_ = 1;
  }
  std::uint32_t levels = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t level = trail_.level_of(Literal{codes[i]}.variable());
    if (level == 0 || level_stamps_[level] == level_stamp_) continue;
    level_stamps_[level] = level_stamp_;
    ++levels;
  }
  return levels;
}

// Leaves the lemma in lemma_: the asserting literal first, one of the highest remaining level second.
void Solver::analyze(const Conflict& conflict) {
  lemma_.clear();
  lemma_.push_back(undefined_literal);
  open_paths_ = 0;
  visit_conflict(conflict);
  std::uint32_t position = trail_.size();
  while (true) {
    do --position;
    while (marks_[trail_[position].variable()] == Mark::none);
    const Literal literal = trail_[position];
    if (--open_paths_ == 0) {
      lemma_[0] = ~literal;
      break;
    }
    visit_reason(literal);
  }
  // Marked literals of the conflict level were resolved away; below it, marks now mean membership in the lemma.
  const std::size_t before = lemma_.size();
  minimize_lemma();
  statistics_.minimized_literals += before - lemma_.size();
  for (const Variable variable : marked_) marks_[variable] = Mark::none;
  marked_.clear();

  lemma_lbd_ = count_levels(&lemma_[0].code, static_cast<std::uint32_t>(lemma_.size()));
  for (std::size_t i = 2; i < lemma_.size(); ++i) {
    if (trail_.level_of(lemma_[i].variable()) > trail_.level_of(lemma_[1].variable())) std::swap(lemma_[1], lemma_[i]);
  }
}

void Solver::minimize_lemma() {
  // A literal can only be implied by the others if its level occurs among theirs.
  count_levels(&lemma_[0].code, static_cast<std::uint32_t>(lemma_.size()));
  std::size_t kept = 1;
  for (std::size_t i = 1; i < lemma_.size(); ++i) {
    const Literal literal = ~lemma_[i];
    const Reason reason = trail_.reason_of(literal.variable());
    bool drop = false;
    if (reason.kind() != Reason::Kind::none) {
      // Its own mark says "in the lemma"; what has to be asked is whether its antecedents all are.
      marks_[literal.variable()] = Mark::none;
      drop = redundant(literal, 0);
      marks_[literal.variable()] = Mark::in_lemma;
    }
    if (!drop) lemma_[kept++] = lemma_[i];
  }
  lemma_.resize(kept);
}

// Is a true literal implied by literals whose negations are in the lemma?
bool Solver::redundant(Literal literal, std::uint32_t depth) {
  const Variable variable = literal.variable();
  const std::uint32_t level = trail_.level_of(variable);
  if (level == 0 || marks_[variable] == Mark::in_lemma || marks_[variable] == Mark::redundant) return true;
  const Reason reason = trail_.reason_of(variable);
  if (reason.kind() == Reason::Kind::none || marks_[variable] == Mark::needed ||
      level_stamps_[level] != level_stamp_ || depth > deepest_minimization) {
    return false;
  }
  bool implied = false;
  switch (reason.kind()) {
    case Reason::Kind::binary:
      implied = redundant(~reason.other(), depth + 1);
      break;
    case Reason::Kind::clause: {
      const ClauseReference clause = reason.index();
      implied = all_redundant(clauses_.arena.codes(clause), clauses_.arena.size(clause), literal, depth);
      break;
    }
    case Reason::Kind::linear: {
      // The stack may move while deeper explanations are pushed, so it is read by index.
      const std::size_t begin = explanation_stack_.size();
      explain(reason.index(), literal, explanation_stack_);
      const std::size_t end = explanation_stack_.size();
      implied = true;
      for (std::size_t i = begin; implied && i < end; ++i) implied = redundant(~explanation_stack_[i], depth + 1);
      explanation_stack_.cut_to(begin);
      break;
    }
    case Reason::Kind::none:
      break;
  }
  if (marks_[variable] == Mark::none) {
    marked_.push_back(variable);
    marks_[variable] = implied ? Mark::redundant : Mark::needed;
  }
  return implied;
}

bool Solver::all_redundant(const std::uint32_t* codes, std::uint32_t count, Literal implied, std::uint32_t depth) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const Literal literal{codes[i]};
    if (literal != implied && !redundant(~literal, depth + 1)) return false;
  }
  return true;
}

// The assumption is false: collects it and the assumptions that imply its negation.
void Solver::refute_assumption(Literal assumption) {
  failed_.clear();
  failed_.push_back(assumption);
  const auto mark = [this](Literal literal) {
    const Variable variable = literal.variable();
    if (trail_.level_of(variable) == 0 || marks_[variable] != Mark::none) return;
    marks_[variable] = Mark::in_lemma;
    marked_.push_back(variable);
  };
  mark(assumption);
  for (std::uint32_t position = trail_.size(); position-- > trail_.size_up_to(0);) {
    const Literal literal = trail_[position];
    if (marks_[literal.variable()] == Mark::none) continue;
    const Reason reason = trail_.reason_of(literal.variable());
    switch (reason.kind()) {
      case Reason::Kind::none:
        // Below the assumptions' levels every decision is an assumption.
        failed_.push_back(literal);
        break;
      case Reason::Kind::binary:
        mark(reason.other());
        break;
      case Reason::Kind::clause:
        for (std::uint32_t i = 0; i < clauses_.arena.size(reason.index()); ++i) {
          mark(clauses_.arena.literal(reason.index(), i));
        }
        break;
      case Reason::Kind::linear:
        explanation_.clear();
        explain(reason.index(), literal, explanation_);
        for (const Literal other : explanation_) mark(other);
        break;
    }
  }
  for (const Variable variable : marked_) marks_[variable] = Mark::none;
  marked_.clear();
}

}  // namespace bnnhw::solver
