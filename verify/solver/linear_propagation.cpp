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

}  // namespace bnnhw::solver
