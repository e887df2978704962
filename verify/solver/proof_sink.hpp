// Where a proof is written: every clause the solver adds to or deletes from its database is reported here, in the
// order in which it happens. Every learned clause follows by reverse unit propagation (Goldberg and Novikov,
// "Verification of proofs of unsatisfiability for CNF formulas", DATE 2003), where unit propagation includes slack
// propagation over both halves of every reified linear constraint: assume the clause false, propagate, and a conflict
// appears. What does not follow so, changes of linear constraints and what comes of comparing two, follows by adding up
// inequalities (cutting planes; Cook, Coullard and Turan, "On the complexity of cutting-plane proofs", 1987). An
// unsatisfiable formula ends in the empty clause; a query refuted under assumptions ends in the clause of the negated
// failed ones.
//
// Linear constraints go by number, counted from 0 in the order of Solver::add_at_least.
#pragma once

#include <cstdint>

#include "linear_normal_form.hpp"
#include "literal.hpp"

namespace bnnhw::solver {

class ProofSink {
 public:
  virtual ~ProofSink() = default;
  virtual void learned(Span<Literal> clause) = 0;
  virtual void deleted(Span<Literal> clause) = 0;
  // The constraint now reads out <-> sum >= bound. Either half is what it was before, plus multiples of learned units
  // and of learned binary clauses that make literals equal, divided by the common weight.
  virtual void rewritten(std::uint32_t constraint, Literal out, const LinearSum& sum) = 0;
  // Two literals, each the negated premise of a half of one of the constraints: the clause is the sum of the two halves,
  // in which all other literals cancel, divided and rounded up.
  virtual void added_up(Span<Literal> clause, std::uint32_t first, std::uint32_t second) = 0;

 protected:
  ProofSink() = default;
  ProofSink(const ProofSink&) = default;
  ProofSink& operator=(const ProofSink&) = default;
};

}  // namespace bnnhw::solver
