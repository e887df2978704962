// Clauses of three or more literals, all in one array of 32-bit words: two header words, then the literals. One array
// keeps propagation in the cache and makes a clause reference one word (Een and Sorensson, MiniSat 2.2). Binary
// clauses never come here: they live inside the lists that propagation reads (clause_database.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "literal.hpp"

namespace bnnhw::solver {

using ClauseReference = std::uint32_t;

class ClauseArena {
 public:
  static constexpr std::uint32_t max_lbd = (1u << 20) - 1;

  // Room for one more clause of this size below the largest reference a Reason can hold?
  bool fits(std::size_t size) const { return words_.size() + size + header_words <= max_reason_index; }

  ClauseReference add(Span<Literal> literals, bool learned, std::uint32_t lbd) {
    const auto reference = static_cast<ClauseReference>(words_.size());
    words_.push_back(static_cast<std::uint32_t>(literals.size));
    words_.push_back((learned ? learned_bit : 0u) | (lbd < max_lbd ? lbd : max_lbd) << lbd_shift);
    for (const Literal literal : literals) words_.push_back(literal.code);
    return reference;
  }

  std::uint32_t size(ClauseReference reference) const { return words_[reference]; }
  bool learned(ClauseReference reference) const { return (words_[reference + 1] & learned_bit) != 0; }
  std::uint32_t lbd(ClauseReference reference) const { return words_[reference + 1] >> lbd_shift; }
  // How many more reductions the clause survives for having taken part in a recent conflict: 0, 1 or 2.
  std::uint32_t used(ClauseReference reference) const { return words_[reference + 1] >> used_shift & 3u; }

  void set_lbd(ClauseReference reference, std::uint32_t lbd) {
    const std::uint32_t marks = words_[reference + 1] & ((1u << lbd_shift) - 1);
    words_[reference + 1] = marks | (lbd < max_lbd ? lbd : max_lbd) << lbd_shift;
  }
  void set_used(ClauseReference reference, std::uint32_t used) {
    words_[reference + 1] = (words_[reference + 1] & ~(3u << used_shift)) | used << used_shift;
  }

  std::uint32_t* codes(ClauseReference reference) { return words_.data() + reference + header_words; }
  const std::uint32_t* codes(ClauseReference reference) const { return words_.data() + reference + header_words; }
  Literal literal(ClauseReference reference, std::uint32_t index) const { return Literal{codes(reference)[index]}; }

  std::size_t words() const { return words_.size(); }
  ClauseReference next(ClauseReference reference) const { return reference + header_words + size(reference); }
  void reserve(std::size_t words) { words_.reserve(words); }

  // Copies one clause, with its marks, to the end of another arena; returns its reference there.
  ClauseReference copy_to(ClauseArena& target, ClauseReference reference) const {
    const auto moved = static_cast<ClauseReference>(target.words_.size());
    target.words_.insert(target.words_.end(), words_.begin() + reference, words_.begin() + next(reference));
    return moved;
  }

  std::size_t memory_bytes() const { return words_.capacity() * sizeof(std::uint32_t); }

 private:
  static constexpr std::uint32_t header_words = 2;
  static constexpr std::uint32_t learned_bit = 1;
  static constexpr std::uint32_t used_shift = 1;
  static constexpr std::uint32_t lbd_shift = 3;

  std::vector<std::uint32_t> words_;
};

}  // namespace bnnhw::solver
