// The loops with AVX2. AVX2 has no popcount: it is two 16-entry table look-ups a byte (Mula, Kurz and Lemire,
// "Faster Population Counts Using AVX2 Instructions", Computer Journal 2018), with the counts kept in bytes for up to
// 31 words (8 * 31 < 256) before they are widened.
#include "instruction_set.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace bnnhw::kernels {

namespace {

// Words whose counts a byte holds.
constexpr std::size_t kByteWords = 31;

[[gnu::target("avx2"), gnu::always_inline]] inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

[[gnu::target("avx2"), gnu::always_inline]] inline __m256i byte_counts(__m256i bits) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i low = _mm256_and_si256(bits, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
}

// The low halves of eight 64-bit sums, in order.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i low_halves(__m256i low_sums, __m256i high_sums) {
  const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  const __m256i low = _mm256_permutevar8x32_epi32(low_sums, even);
  const __m256i high = _mm256_permutevar8x32_epi32(high_sums, even);
  return _mm256_blend_epi32(low, high, 0xf0);
}

[[gnu::target("avx2")]] void ternary(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                     std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  const __m256i zero = _mm256_setzero_si256();
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint64_t* bits = rows + row * stride;
    __m256i low_sum = zero;
    __m256i high_sum = zero;
    for (std::size_t begin = 0; begin < words; begin += kByteWords) {
      const std::size_t end = std::min(begin + kByteWords, words);
      __m256i low_positive = zero;
      __m256i high_positive = zero;
      __m256i low_negative = zero;
      __m256i high_negative = zero;
      for (std::size_t word = begin; word < end; ++word) {
        const __m256i a = _mm256_set1_epi64x(static_cast<long long>(bits[word]));
        const std::uint64_t* weights = block + word * 2 * kLanes;
        low_positive = _mm256_add_epi8(low_positive, byte_counts(_mm256_and_si256(a, load(weights))));
        high_positive = _mm256_add_epi8(high_positive, byte_counts(_mm256_and_si256(a, load(weights + 4))));
        low_negative = _mm256_add_epi8(low_negative, byte_counts(_mm256_and_si256(a, load(weights + 8))));
        high_negative = _mm256_add_epi8(high_negative, byte_counts(_mm256_and_si256(a, load(weights + 12))));
      }
      low_sum = _mm256_add_epi64(low_sum, _mm256_sub_epi64(_mm256_sad_epu8(low_positive, zero),
                                                           _mm256_sad_epu8(low_negative, zero)));
      high_sum = _mm256_add_epi64(high_sum, _mm256_sub_epi64(_mm256_sad_epu8(high_positive, zero),
                                                             _mm256_sad_epu8(high_negative, zero)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row * kLanes), low_halves(low_sum, high_sum));
  }
}

[[gnu::target("avx2,popcnt")]] void binary(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                           std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  const __m256i zero = _mm256_setzero_si256();
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint64_t* bits = rows + row * stride;
    __m256i low_sum = zero;
    __m256i high_sum = zero;
    std::int32_t ones = 0;
    for (std::size_t begin = 0; begin < words; begin += kByteWords) {
      const std::size_t end = std::min(begin + kByteWords, words);
      __m256i low = zero;
      __m256i high = zero;
      for (std::size_t word = begin; word < end; ++word) {
        const __m256i a = _mm256_set1_epi64x(static_cast<long long>(bits[word]));
        const std::uint64_t* weights = block + word * kLanes;
        low = _mm256_add_epi8(low, byte_counts(_mm256_and_si256(a, load(weights))));
        high = _mm256_add_epi8(high, byte_counts(_mm256_and_si256(a, load(weights + 4))));
        ones += __builtin_popcountll(bits[word]);
      }
      low_sum = _mm256_add_epi64(low_sum, _mm256_sad_epu8(low, zero));
      high_sum = _mm256_add_epi64(high_sum, _mm256_sad_epu8(high, zero));
    }
    const __m256i hits = low_halves(low_sum, high_sum);
    const __m256i sum = _mm256_sub_epi32(_mm256_add_epi32(hits, hits), _mm256_set1_epi32(ones));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row * kLanes), sum);
  }
}

[[gnu::target("avx2")]] void levels(const std::int16_t* rows, std::size_t count, std::size_t pairs,
                                    const std::int16_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    const std::int16_t* values = rows + row * 2 * pairs;
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      std::int32_t both;
      std::memcpy(&both, values + 2 * pair, sizeof both);
      const __m256i products = _mm256_madd_epi16(_mm256_set1_epi32(both), load(block + pair * 2 * kLanes));
      sum = _mm256_add_epi32(sum, products);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row * kLanes), sum);
  }
}

[[gnu::target("avx2")]] void compare(const std::int32_t* sums, std::size_t count, const std::int32_t* limits,
                                     std::size_t limit_stride, std::uint8_t flip, std::uint8_t* bits) {
  for (std::size_t row = 0; row < count; ++row) {
    const __m256i missed = _mm256_cmpgt_epi32(load(limits + row * limit_stride), load(sums + row * kLanes));
    const int mask = _mm256_movemask_ps(_mm256_castsi256_ps(missed));
    bits[row] = static_cast<std::uint8_t>(~static_cast<unsigned>(mask) ^ flip);
  }
}

}  // namespace

const InstructionSet* avx2_lanes() {
  static constexpr InstructionSet set{"avx2", ternary, binary, levels, compare, nullptr};
  return &set;
}

}  // namespace bnnhw::kernels

#endif
