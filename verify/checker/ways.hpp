// Every way to meet a constraint: which of its literals are false, as long as the weight that it loses is no more than
// its slack, and what a number of sums over the same variables then are. A few changed pixels have few ways; a hundred
// million of them take a second or two, and leave far fewer patterns of bits, each of which then is refuted.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "formula.hpp"

namespace bnnhw::checker {

// Bit i, from the highest of the first word on, is set where sum i reaches its bound: patterns compare bit by bit.
using Pattern = std::array<std::uint64_t, 2>;

inline bool bit_of(const Pattern& pattern, std::size_t bit) {
  return (pattern[bit / 64] >> (63 - bit % 64) & 1u) != 0;
}

// The patterns that occur, in order of the first bit, then of the second, and so on. Each variable of the limit is in it
// once, and those of the sums are among them. A way that violates one of the clauses, any of two literals, is none.
// Throws std::invalid_argument where there are too many ways.
std::vector<Pattern> patterns_of_ways(const Linear& limit, const std::vector<Linear>& sums,
                                      const std::vector<std::pair<Literal, Literal>>& clauses);

}  // namespace bnnhw::checker
