// Where a proof is written: every clause the solver adds to or deletes from its database is reported here, in the
// order in which it happens. Every reported clause follows by reverse unit propagation (Goldberg and Novikov,
// "Verification of proofs of unsatisfiability for CNF formulas", DATE 2003), where unit propagation includes slack
// propagation over both halves of every reified linear constraint: assume the clause false, propagate, and a conflict
// appears. An unsatisfiable formula ends in the empty clause; a query refuted under assumptions ends in the clause of
// the negated failed ones.
#pragma once

#include "literal.hpp"

namespace bnnhw::solver {

class ProofSink {
 public:
  virtual ~ProofSink() = default;
  virtual void learned(Span<Literal> clause) = 0;
  virtual void deleted(Span<Literal> clause) = 0;

 protected:
  ProofSink() = default;
  ProofSink(const ProofSink&) = default;
  ProofSink& operator=(const ProofSink&) = default;
};

}  // namespace bnnhw::solver
