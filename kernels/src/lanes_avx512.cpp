// The popcount loop with AVX-512's vector popcount (VPOPCNTDQ: Ice Lake, Zen 4 and later): eight channels are the
// eight 64-bit lanes of a register, so a sum never has to be added up across lanes. The other two loops are AVX2's.
#include "instruction_set.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

namespace bnnhw::kernels {

namespace {

[[gnu::target("avx512f,avx512vl,avx512vpopcntdq")]] void ternary(const std::uint64_t* rows, std::size_t stride,
                                                                 std::size_t count, std::size_t words,
                                                                 const std::uint64_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint64_t* bits = rows + row * stride;
    __m512i positive = _mm512_setzero_si512();
    __m512i negative = _mm512_setzero_si512();
    for (std::size_t word = 0; word < words; ++word) {
      const __m512i a = _mm512_set1_epi64(static_cast<long long>(bits[word]));
      const std::uint64_t* weights = block + word * 2 * kLanes;
      const __m512i hits = _mm512_and_si512(a, _mm512_loadu_si512(weights));
      const __m512i misses = _mm512_and_si512(a, _mm512_loadu_si512(weights + kLanes));
      positive = _mm512_add_epi64(positive, _mm512_popcnt_epi64(hits));
      negative = _mm512_add_epi64(negative, _mm512_popcnt_epi64(misses));
    }
    const __m512i sum = _mm512_sub_epi64(positive, negative);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row * kLanes),
                        _mm512_maskz_cvtepi64_epi32(static_cast<__mmask8>(0xff), sum));
  }
}

}  // namespace

const InstructionSet* avx512_lanes() {
  static const InstructionSet set{"avx512", ternary, avx2_lanes()->levels, avx2_lanes()->compare};
  return &set;
}

}  // namespace bnnhw::kernels

#endif
