#include "linear_normal_form.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace bnnhw::solver {

const LinearSum& LinearNormalizer::normalize(Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound,
                                             const Trail& trail) {
  if (bound > max_bound || bound < -max_bound) {
    throw std::invalid_argument("the bound " + std::to_string(bound) +
                                " of a linear constraint is too large; keep it within +-2^62");
  }
  if (weights.size != 0 || !try_distinct_units(literals, bound, trail)) {
    merge(literals, weights, bound, trail);
    if (!sum_.always() && !sum_.never()) divide_by_common_weight();
  }
  return sum_;
}

// The common case, a neuron whose literals are all different: one pass, no arithmetic. False if a variable occurs
// twice.
bool LinearNormalizer::try_distinct_units(Span<Literal> literals, std::int64_t bound, const Trail& trail) {
  if (++call_ == 0) {
    std::fill(last_seen_.begin(), last_seen_.end(), 0u);
    call_ = 1;
  }
  sum_.literals.clear();
  sum_.weights.clear();
  for (const Literal literal : literals) {
    std::uint32_t& last = last_seen_[literal.variable()];
    if (last == call_) return false;
    last = call_;
    const int value = trail.fixed(literal) ? trail.value(literal) : 0;
    if (value > 0) --bound;
    if (value == 0) sum_.literals.push_back(literal);
  }
  if (sum_.literals.size() > static_cast<std::size_t>(max_total_weight)) {
    throw std::invalid_argument("a linear constraint has more than 2^28 literals; split it");
  }
  sum_.bound = bound;
  sum_.total = static_cast<std::int64_t>(sum_.literals.size());
  return true;
}

void LinearNormalizer::merge(Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound,
                             const Trail& trail) {
  // Over the positive literals: w * [not v] = w - w * [v].
  touched_.clear();
  for (std::size_t i = 0; i < literals.size; ++i) {
    const std::int64_t weight = weights.size == 0 ? 1 : weights[i];
    const Literal literal = literals[i];
    if (weight == 0) continue;
    if (trail.fixed(literal)) {
      if (trail.value(literal) > 0) bound -= weight;
      continue;
    }
    touched_.push_back(literal.variable());
    if (literal.negative()) bound -= weight;
    coefficient_[literal.variable()] += literal.negative() ? -weight : weight;
  }
  sum_.literals.clear();
  sum_.weights.clear();
  sum_.total = 0;
  bool too_heavy = false;
  for (const Variable variable : touched_) {
    const std::int64_t coefficient = coefficient_[variable];
    coefficient_[variable] = 0;
    if (coefficient == 0) continue;
    const std::int64_t weight = coefficient > 0 ? coefficient : -coefficient;
    if (coefficient < 0) bound += weight;
    sum_.total += weight;
    too_heavy = too_heavy || weight > max_total_weight || sum_.total > max_total_weight;
    if (too_heavy) continue;
    sum_.literals.push_back(Literal::of(variable, coefficient < 0));
    sum_.weights.push_back(static_cast<std::int32_t>(weight));
  }
  if (too_heavy) {
    throw std::invalid_argument(
        "the weights of a linear constraint add up to more than 2^28; divide them or split it");
  }
  sum_.bound = bound;
}

void LinearNormalizer::divide_by_common_weight() {
  std::int64_t divisor = 0;
  for (const std::int32_t weight : sum_.weights) divisor = std::gcd(divisor, static_cast<std::int64_t>(weight));
  sum_.bound = (sum_.bound + divisor - 1) / divisor;
  sum_.total /= divisor;
  for (std::int32_t& weight : sum_.weights) weight /= static_cast<std::int32_t>(divisor);
  if (sum_.total == static_cast<std::int64_t>(sum_.weights.size())) {
    sum_.weights.clear();
    return;
  }
  order_.resize(sum_.literals.size());
  std::iota(order_.begin(), order_.end(), 0u);
  std::stable_sort(order_.begin(), order_.end(), [this](std::uint32_t left, std::uint32_t right) {
    return sum_.weights[left] > sum_.weights[right];
  });
  sorted_.literals.clear();
  sorted_.weights.clear();
  for (const std::uint32_t index : order_) {
    sorted_.literals.push_back(sum_.literals[index]);
    sorted_.weights.push_back(sum_.weights[index]);
  }
  sum_.literals.swap(sorted_.literals);
  sum_.weights.swap(sorted_.weights);
}

}  // namespace bnnhw::solver
