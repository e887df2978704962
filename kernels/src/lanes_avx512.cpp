// The popcount loops with AVX-512's vector popcount (VPOPCNTDQ: Ice Lake, Zen 4 and later): eight channels are the
// eight 64-bit lanes of a register, so a sum never has to be added up across lanes. The other loops are AVX2's.
#include "byte_tiles.hpp"
#include "instruction_set.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

namespace bnnhw::kernels {

namespace {

#define BNNHW_AVX512 [[gnu::target("avx512f,avx512vl,avx512vpopcntdq,popcnt")]]
#define BNNHW_AVX512_INLINE [[gnu::target("avx512f,avx512vl,avx512vpopcntdq,popcnt"), gnu::always_inline]] inline

// Rows that share the weights in the registers.
constexpr std::size_t together = 4;
constexpr std::size_t words_ahead = 32;

BNNHW_AVX512_INLINE __m512i popcount_and(std::uint64_t bits, __m512i weights) {
  return _mm512_popcnt_epi64(_mm512_and_si512(_mm512_set1_epi64(static_cast<long long>(bits)), weights));
}

BNNHW_AVX512_INLINE void store(std::int32_t* sums, __m512i sum) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm512_maskz_cvtepi64_epi32(static_cast<__mmask8>(0xff), sum));
}

template <std::size_t count>
BNNHW_AVX512_INLINE void ternary_rows(const std::uint64_t* rows, std::size_t stride, std::size_t words,
                                      const std::uint64_t* block, std::int32_t* sums) {
  __m512i positive[count];
  __m512i negative[count];
  for (std::size_t row = 0; row < count; ++row) positive[row] = negative[row] = _mm512_setzero_si512();
  for (std::size_t word = 0; word < words; ++word) {
    const __m512i plus = _mm512_loadu_si512(block + word * 2 * kLanes);
    const __m512i minus = _mm512_loadu_si512(block + word * 2 * kLanes + kLanes);
#pragma GCC unroll 4
    for (std::size_t row = 0; row < count; ++row) {
      const std::uint64_t bits = rows[row * stride + word];
      positive[row] = _mm512_add_epi64(positive[row], popcount_and(bits, plus));
      negative[row] = _mm512_add_epi64(negative[row], popcount_and(bits, minus));
    }
  }
  for (std::size_t row = 0; row < count; ++row) {
    store(sums + row * kLanes, _mm512_sub_epi64(positive[row], negative[row]));
  }
}

template <std::size_t count>
BNNHW_AVX512_INLINE void binary_rows(const std::uint64_t* rows, std::size_t stride, std::size_t words,
                                     const std::uint64_t* block, std::int32_t* sums) {
  __m512i hits[count];
  std::int64_t ones[count] = {};
  for (std::size_t row = 0; row < count; ++row) hits[row] = _mm512_setzero_si512();
  for (std::size_t word = 0; word < words; ++word) {
    const __m512i plus = _mm512_loadu_si512(block + word * kLanes);
#pragma GCC unroll 4
    for (std::size_t row = 0; row < count; ++row) {
      const std::uint64_t bits = rows[row * stride + word];
      hits[row] = _mm512_add_epi64(hits[row], popcount_and(bits, plus));
      ones[row] += __builtin_popcountll(bits);
    }
  }
  for (std::size_t row = 0; row < count; ++row) {
    store(sums + row * kLanes, _mm512_sub_epi64(_mm512_add_epi64(hits[row], hits[row]), _mm512_set1_epi64(ones[row])));
  }
}

// One row alone waits for memory: weights are asked for ahead of time, and two sums do not wait for each other.
BNNHW_AVX512_INLINE void binary_row(const std::uint64_t* bits, std::size_t words, const std::uint64_t* block,
                                    std::int32_t* sums) {
  __m512i even = _mm512_setzero_si512();
  __m512i odd = _mm512_setzero_si512();
  std::int64_t ones = 0;
  std::size_t word = 0;
#pragma GCC unroll 4
  for (; word + 2 <= words; word += 2) {
    _mm_prefetch(block + word * kLanes + words_ahead * kLanes, _MM_HINT_T0);
    _mm_prefetch(block + (word + 1) * kLanes + words_ahead * kLanes, _MM_HINT_T0);
    even = _mm512_add_epi64(even, popcount_and(bits[word], _mm512_loadu_si512(block + word * kLanes)));
    odd = _mm512_add_epi64(odd, popcount_and(bits[word + 1], _mm512_loadu_si512(block + (word + 1) * kLanes)));
    ones += __builtin_popcountll(bits[word]) + __builtin_popcountll(bits[word + 1]);
  }
  if (word < words) {
    even = _mm512_add_epi64(even, popcount_and(bits[word], _mm512_loadu_si512(block + word * kLanes)));
    ones += __builtin_popcountll(bits[word]);
  }
  const __m512i hits = _mm512_add_epi64(even, odd);
  store(sums, _mm512_sub_epi64(_mm512_add_epi64(hits, hits), _mm512_set1_epi64(ones)));
}

BNNHW_AVX512 void ternary(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                          const std::uint64_t* block, std::int32_t* sums) {
  for (; count >= together; count -= together, rows += together * stride, sums += together * kLanes) {
    ternary_rows<together>(rows, stride, words, block, sums);
  }
  for (; count > 0; --count, rows += stride, sums += kLanes) ternary_rows<1>(rows, stride, words, block, sums);
}

BNNHW_AVX512 void binary(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                         const std::uint64_t* block, std::int32_t* sums) {
  for (; count >= together; count -= together, rows += together * stride, sums += together * kLanes) {
    binary_rows<together>(rows, stride, words, block, sums);
  }
  for (; count > 0; --count, rows += stride, sums += kLanes) binary_row(rows, words, block, sums);
}

}  // namespace

const InstructionSet* avx512_lanes() {
  static const InstructionSet set{"avx512", ternary, binary, avx2_lanes()->levels, avx2_lanes()->compare, nullptr};
  return &set;
}

const InstructionSet* amx_lanes() {
  static const InstructionSet set{"amx", ternary, binary, avx2_lanes()->levels, avx2_lanes()->compare, amx_unit()};
  return &set;
}

const InstructionSet* vnni_lanes() {
  static const InstructionSet set{"vnni", ternary, binary, avx2_lanes()->levels, avx2_lanes()->compare, vnni_unit()};
  return &set;
}

}  // namespace bnnhw::kernels

#endif
