#include "solver.hpp"

#include <algorithm>
#include <stdexcept>

namespace bnnhw::solver {

Solver::Solver(std::uint64_t seed, bool probing) : random_(seed), probing_pending_(probing) {
  new_variables(1);
  heap_.pop();
  enqueue(true_literal, Reason());
  reported_root_units_ = 1;
}

Variable Solver::new_variables(std::uint32_t count) {
  const auto first = static_cast<Variable>(trail_.variable_count());
  if (count > max_variable - first) throw std::length_error("a solver holds at most 2^28 variables");
  trail_.add_variables(count);
  clauses_.add_variables(count);
  normalizer_.add_variables(count);
  linear_.add_variables(count);
  equal_.add_variables(count);
  heap_.add_variables(count);
  for (Variable variable = first; variable < first + count; ++variable) heap_.insert(variable);
  marks_.resize(trail_.variable_count(), Mark::none);
  literal_stamps_.resize(2 * trail_.variable_count(), 0);
  level_stamps_.resize(trail_.variable_count() + 1);
  return first;
}

void Solver::add_clause(Span<Literal> literals) {
  if (!consistent_) return;
  if (++literal_stamp_ == 0) {
    std::fill(literal_stamps_.begin(), literal_stamps_.end(), 0u);
    literal_stamp_ = 1;
  }
  clause_scratch_.clear();
  for (const Literal literal : literals) {
    const int value = trail_.value(literal);
    if (value > 0 || literal_stamps_[(~literal).code] == literal_stamp_) return;
    if (value < 0 || literal_stamps_[literal.code] == literal_stamp_) continue;
    literal_stamps_[literal.code] = literal_stamp_;
    clause_scratch_.push_back(literal);
  }
  switch (clause_scratch_.size()) {
    case 0:
      contradiction();
      break;
    case 1:
      enqueue(clause_scratch_[0], Reason());
      break;
    case 2:
      clauses_.add_binary(clause_scratch_[0], clause_scratch_[1]);
      break;
    default:
      if (!clauses_.arena.fits(clause_scratch_.size())) throw std::length_error("the clauses exceed 2^30 words");
      clauses_.add_long(clause_scratch_, false, 0);
  }
}

void Solver::add_at_least(Literal out, Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound) {
  const LinearSum& sum = normalizer_.normalize(literals, weights, bound, trail_);
  const std::uint32_t number = linear_count_++;
  if (!consistent_) return;
  if (sum.always() || sum.never()) {
    const Literal unit = sum.always() ? out : ~out;
    add_clause(Span<Literal>(&unit, 1));
    return;
  }
  if (!linear_.fits(sum.literals.size())) {
    throw std::length_error("the linear constraints exceed 2^30 literals or 2^29 constraints");
  }
  linear_.add(number, out, sum);
}

std::vector<Variable> Solver::most_active(std::size_t count) const {
  std::vector<Variable> order;
  for (Variable variable = 1; variable < trail_.variable_count(); ++variable) {
    if (heap_.activity(variable) > 0 && !trail_.fixed(Literal::positive(variable))) order.push_back(variable);
  }
  std::stable_sort(order.begin(), order.end(), [this](Variable left, Variable right) {
    return heap_.activity(left) > heap_.activity(right);
  });
  order.resize(std::min(order.size(), count));
  return order;
}

std::size_t Solver::memory_bytes() const {
  return trail_.memory_bytes() + clauses_.memory_bytes() + normalizer_.memory_bytes() + linear_.memory_bytes() +
         equal_.memory_bytes() + heap_.memory_bytes() + marks_.capacity() + model_.capacity() +
         (learned_.capacity() + level_stamps_.capacity() + literal_stamps_.capacity()) * sizeof(std::uint32_t);
}

}  // namespace bnnhw::solver
