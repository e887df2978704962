// Bit strings in little-endian 64-bit words, least significant bit first: reading, copying and appending pieces that
// start anywhere. All activations between layers are such strings, so an image needs no padding between its pixels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace bnnhw::kernels {

inline constexpr std::size_t kWordBits = 64;

constexpr std::size_t words_for(std::size_t bits) { return (bits + kWordBits - 1) / kWordBits; }

// `count` ones, 1 <= count <= 64.
constexpr std::uint64_t low_ones(std::size_t count) { return ~std::uint64_t{0} >> (kWordBits - count); }

// `count` bits (1..64) from position `bit`. Reads the word after the one that holds `bit`, so `words` needs one word
// more than the bits it holds.
inline std::uint64_t read_bits(const std::uint64_t* words, std::size_t bit, std::size_t count) {
  const std::size_t word = bit / kWordBits;
  const std::size_t shift = bit % kWordBits;
  // Two shifts, because a single one by 64 - shift is undefined for shift 0.
  const std::uint64_t high = (words[word + 1] << 1) << (kWordBits - 1 - shift);
  return ((words[word] >> shift) | high) & low_ones(count);
}

// Sets the ones of `value` (`count` bits, no bit above) at position `bit`; touches only words that hold those bits.
inline void or_bits(std::uint64_t* words, std::size_t bit, std::uint64_t value, std::size_t count) {
  const std::size_t word = bit / kWordBits;
  const std::size_t shift = bit % kWordBits;
  words[word] |= value << shift;
  if (shift + count > kWordBits) words[word + 1] |= value >> (kWordBits - shift);
}

// ORs `count` bits of `source` from `source_bit` into `target` at `target_bit`; `source` as in read_bits.
inline void or_range(std::uint64_t* target, std::size_t target_bit, const std::uint64_t* source,
                     std::size_t source_bit, std::size_t count) {
  for (std::size_t done = 0; done < count;) {
    const std::size_t piece = std::min(count - done, kWordBits);
    or_bits(target, target_bit + done, read_bits(source, source_bit + done, piece), piece);
    done += piece;
  }
}

}  // namespace bnnhw::kernels
