// The normal form of a linear sum under the current level-0 assignment: positive weights, no variable twice, no fixed
// literal, weights in descending order, and unit weights wherever all weights are equal. Propagation relies on each of
// these, so every constraint passes here once on its way in.
#pragma once

#include <cstdint>
#include <vector>

#include "literal.hpp"
#include "trail.hpp"

namespace bnnhw::solver {

inline constexpr std::int64_t max_total_weight = std::int64_t{1} << 28;
inline constexpr std::int64_t max_bound = std::int64_t{1} << 62;

// sum of weights[i] * [literals[i]] >= bound; no weights stands for all ones.
struct LinearSum {
  std::vector<Literal> literals;
  std::vector<std::int32_t> weights;
  std::int64_t bound = 0;
  std::int64_t total = 0;

  bool always() const { return bound <= 0; }
  bool never() const { return total < bound; }
};

class LinearNormalizer {
 public:
  void add_variables(std::size_t count) {
    coefficient_.resize(coefficient_.size() + count);
    last_seen_.resize(last_seen_.size() + count);
  }

  // Throws std::invalid_argument if the bound or the total weight is out of range. Sums that are always or never
  // satisfied come back without literals that matter. The result is valid until the next call.
  const LinearSum& normalize(Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound,
                             const Trail& trail);

  std::size_t memory_bytes() const {
    return coefficient_.capacity() * sizeof(std::int64_t) + last_seen_.capacity() * sizeof(std::uint32_t);
  }

 private:
  bool try_distinct_units(Span<Literal> literals, std::int64_t bound, const Trail& trail);
  void merge(Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound, const Trail& trail);
  void divide_by_common_weight();

  std::vector<std::int64_t> coefficient_;
  std::vector<std::uint32_t> last_seen_;
  std::uint32_t call_ = 0;
  std::vector<Variable> touched_;
  std::vector<std::uint32_t> order_;
  LinearSum sum_;
  LinearSum sorted_;
};

}  // namespace bnnhw::solver
