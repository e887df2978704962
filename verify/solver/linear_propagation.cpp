// Slack propagation over reified linear constraints, and why it said what it said.
//
// Counting a literal touches one counter per occurrence; only sides whose counter went below zero are looked at here.
// Nothing is stored when a literal is forced: its explanation, the premise and enough falsified literals, is read off
// the trail when conflict analysis asks, using only what was assigned earlier ("lazy explanation", Gent, Miguel and
// Moore, PADL 2010). Which falsified literals are taken made no measurable difference, so the first ones found are.
#include "solver.hpp"

namespace bnnhw::solver {

Solver::Conflict Solver::propagate_linear(Literal literal) {
  // All counters first: a conflict must leave the literal either counted everywhere or nowhere.
  linear_.count(literal);
  for (const LinearSide side : linear_.triggered()) {
    const Conflict conflict = act(side);
    if (conflict.found) return conflict;
  }
  return Conflict{};
}

Solver::Conflict Solver::act(LinearSide side) {
  const std::int32_t slack = linear_.slack(side);
  const Literal premise = linear_.premise(side);
  const int value = trail_.value(premise);
  if (slack < 0) {
    if (value > 0) return Conflict{true, Reason::linear(side), undefined_literal};
    if (value == 0) enqueue(~premise, Reason::linear(side));
    return Conflict{};
  }
  if (value <= 0) return Conflict{};
  const LinearStore::Constraint& constraint = linear_.constraint(side);
  for (std::uint32_t i = 0; i < constraint.size && linear_.weight(constraint, i) > slack; ++i) {
    const Literal literal = linear_.literal(constraint, side, i);
    if (!trail_.assigned(literal)) enqueue(literal, Reason::linear(side));
  }
  return Conflict{};
}

// Appends false literals which, with `forced`, make a clause that the side implies. The literal forced is either a
// literal of the side or its negated premise; undefined asks about a side whose slack is negative under a true
// premise.
void Solver::explain(LinearSide side, Literal forced, LiteralStack& explanation) {
  ++statistics_.explanations;
  const LinearStore::Constraint& constraint = linear_.constraint(side);
  const Literal impossible = ~linear_.premise(side);
  std::int32_t missing = linear_.fatal_loss(side);
  std::uint32_t before = trail_.size();
  if (forced != undefined_literal) before = trail_.position_of(forced.variable());
  if (forced != impossible) {
    if (trail_.level_of(impossible.variable()) > 0) explanation.push(impossible);
    if (forced != undefined_literal) missing -= linear_.weight_of(constraint, side, forced);
  }
  const std::uint32_t* const falsified_at = trail_.falsified_at();
  const std::uint32_t root_size = trail_.size_up_to(0);
  const Literal* const literals = linear_.literals(constraint);
  Literal* end = explanation.room(constraint.size + LiteralScan::room);
  for (std::uint32_t i = 0; missing > 0 && i < constraint.heavy; ++i) {
    const Literal literal = linear_.literal(constraint, side, i);
    const std::uint32_t position = falsified_at[literal.code];
    if (position >= before) continue;
    if (position >= root_size) *end++ = literal;
    missing -= linear_.weight(constraint, i);
  }
  end = scan_.falsified(literals + constraint.heavy, constraint.size - constraint.heavy, side & 1u, falsified_at,
                        root_size, before, missing, end);
  explanation.grow_to(end);
}

// False if the formula is found contradictory.
bool Solver::compile_linear() {
  report_root_units();
  const std::vector<RewritingStep> steps = linear_.compile(trail_, normalizer_, equal_, proof_ != nullptr);
  linear_head_ = trail_.size();
  compiled_root_size_ = trail_.size();
  reported_root_units_ = trail_.size();
  for (const RewritingStep& step : steps) {
    if (!take(step)) return contradiction();
  }
  for (LinearSide side = 0; side < linear_.side_count(); ++side) {
    if (linear_.pending(side) && act(side).found) return contradiction();
  }
  return true;
}

// A conjunction is the disjunction of the opposites, negated.
bool Solver::add_gate(const RewritingStep& step) {
  const std::uint32_t flip = step.sum.bound == 1 ? 0 : 1;
  const Literal out{step.first.code ^ flip};
  std::vector<Literal> some{~out};
  const auto add = [this](const std::vector<Literal>& clause) {
    report_lemma(clause);
    add_clause(clause);
  };
  for (const Literal literal : step.sum.literals) {
    const Literal input{literal.code ^ flip};
    some.push_back(input);
    add({out, ~input});
  }
  add(some);
  return consistent_;
}

// The two binary clauses of an equality are for the clauses that still have the replaced literal.
bool Solver::take(const RewritingStep& step) {
  switch (step.kind) {
    case RewritingStep::Kind::rewritten:
      if (proof_ != nullptr) proof_->rewritten(step.constraint, step.first, step.sum);
      return true;
    case RewritingStep::Kind::forced:
      report_lemma(Span<Literal>(&step.first, 1));
      return trail_.value(step.first) > 0;
    case RewritingStep::Kind::equal:
    case RewritingStep::Kind::equal_sums:
      break;
    case RewritingStep::Kind::gate:
      return add_gate(step);
  }
  const bool opposites = step.second == ~step.first;
  const Literal clauses[][2] = {{~step.first, step.second}, {step.first, ~step.second}};
  for (const auto& clause : clauses) {
    const Span<Literal> literals(clause, opposites ? 1 : 2);
    if (step.kind == RewritingStep::Kind::equal) {
      report_lemma(literals);
    } else if (proof_ != nullptr) {
      proof_->added_up(literals, step.constraint, step.other);
    }
    if (!opposites) clauses_.add_binary(clause[0], clause[1]);
  }
  return !opposites;
}

}  // namespace bnnhw::solver
