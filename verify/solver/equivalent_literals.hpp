// Literals known to be equal in every model, as a union-find forest over variables whose edges may negate (Tarjan,
// "Efficiency of a good but not linear set union algorithm", J. ACM 1975). Each class is represented by its lowest
// variable, since encoders number a network from its inputs on.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "literal.hpp"

namespace bnnhw::solver {

class EquivalentLiterals {
 public:
  void add_variables(std::size_t count) {
    for (; count > 0; --count) parent_.push_back(Literal::positive(static_cast<Variable>(parent_.size())));
  }

  Literal representative(Literal literal) {
    const Variable variable = literal.variable();
    Literal root = parent_[variable];
    while (parent_[root.variable()].variable() != root.variable()) root = step(root);
    parent_[variable] = root;
    return Literal{root.code ^ (literal.code & 1u)};
  }

  // Nothing changes if the two are known to be equal, or to be opposites.
  void merge(Literal left, Literal right) {
    Literal low = representative(left);
    Literal high = representative(right);
    if (low.variable() == high.variable()) return;
    if (low.variable() > high.variable()) std::swap(low, high);
    parent_[high.variable()] = Literal{low.code ^ (high.code & 1u)};
  }

  std::size_t memory_bytes() const { return parent_.capacity() * sizeof(Literal); }

 private:
  Literal step(Literal literal) const { return Literal{parent_[literal.variable()].code ^ (literal.code & 1u)}; }

  std::vector<Literal> parent_;
};

}  // namespace bnnhw::solver
