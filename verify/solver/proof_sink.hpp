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
  // A lemma of a conflict has its literals in the order in which they became false.
  virtual void learned(Span<Literal> clause) = 0;
  virtual void deleted(Span<Literal> clause) = 0;
  // The constraint now reads out <-> sum >= bound. Either half is what it was before, plus multiples of learned units
  // and of binary clauses that make literals equal, divided by the common weight.
  virtual void rewritten(std::uint32_t constraint, Literal out, const LinearSum& sum) = 0;
  // first <-> second, since second alone decides the constraint and first is its output.
  virtual void equal(Literal first, Literal second, std::uint32_t constraint) = 0;
  // first <-> second, the outputs of two constraints (or a negation) that have the same sum but for the sign: the sum of
  // a half of each, in which all other literals cancel, divided and rounded up.
  virtual void equal_sums(Literal first, Literal second, std::uint32_t constraint, std::uint32_t other) = 0;

 protected:
  ProofSink() = default;
  ProofSink(const ProofSink&) = default;
  ProofSink& operator=(const ProofSink&) = default;
};

}  // namespace bnnhw::solver
