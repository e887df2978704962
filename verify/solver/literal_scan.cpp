#include "literal_scan.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define BNNHW_AVX512 1
#include <immintrin.h>
#endif

namespace bnnhw::solver {

namespace {

std::uint32_t first_not_false(const std::uint32_t* codes, std::uint32_t begin, std::uint32_t size,
                              const std::int8_t* values) {
  std::uint32_t index = begin;
  while (index < size && values[codes[index]] < 0) ++index;
  return index;
}

Literal* falsified(const Literal* literals, std::uint32_t, std::uint32_t flip, const std::uint32_t* falsified_at,
                   std::uint32_t first, std::uint32_t before, std::int32_t count, Literal* found) {
  // Written always, kept by arithmetic: no branch to mispredict.
  for (std::uint32_t i = 0; count > 0; ++i) {
    const Literal literal{literals[i].code ^ flip};
    const std::uint32_t position = falsified_at[literal.code];
    const bool usable = position < before;
    *found = literal;
    found += usable && position >= first ? 1 : 0;
    count -= usable ? 1 : 0;
  }
  return found;
}

#ifdef BNNHW_AVX512

constexpr std::uint32_t lanes = 16;

__attribute__((target("avx512f"))) __mmask16 lanes_left(std::uint32_t left) {
  return static_cast<__mmask16>(left >= lanes ? 0xFFFFu : (1u << left) - 1u);
}

__attribute__((target("avx512f"))) std::uint32_t first_not_false_avx512(const std::uint32_t* codes,
                                                                         std::uint32_t begin, std::uint32_t size,
                                                                         const std::int8_t* values) {
  const __m512i sign = _mm512_set1_epi32(0x80);
  for (std::uint32_t i = begin; i < size; i += lanes) {
    const __mmask16 inside = lanes_left(size - i);
    const __m512i literals = _mm512_maskz_loadu_epi32(inside, codes + i);
    const __m512i state = _mm512_mask_i32gather_epi32(sign, inside, literals, values, 1);
    const auto open = static_cast<std::uint32_t>(_mm512_testn_epi32_mask(state, sign));
    if (open != 0) return i + static_cast<std::uint32_t>(__builtin_ctz(open));
  }
  return size;
}

__attribute__((target("avx512f,popcnt"))) Literal* falsified_avx512(const Literal* literals, std::uint32_t size,
                                                                     std::uint32_t flip,
                                                                     const std::uint32_t* falsified_at,
                                                                     std::uint32_t first, std::uint32_t before,
                                                                     std::int32_t count, Literal* found) {
  const __m512i flips = _mm512_set1_epi32(static_cast<int>(flip));
  const __m512i firsts = _mm512_set1_epi32(static_cast<int>(first));
  const __m512i befores = _mm512_set1_epi32(static_cast<int>(before));
  for (std::uint32_t i = 0; count > 0; i += lanes) {
    const __mmask16 inside = lanes_left(size - i);
    const __m512i codes = _mm512_xor_si512(_mm512_maskz_loadu_epi32(inside, literals + i), flips);
    const __m512i positions = _mm512_mask_i32gather_epi32(_mm512_set1_epi32(-1), inside, codes, falsified_at, 4);
    auto usable = static_cast<std::uint32_t>(_mm512_cmplt_epu32_mask(positions, befores));
    const int here = __builtin_popcount(usable);
    for (int surplus = here - count; surplus > 0; --surplus) {
      usable &= ~(0x80000000u >> static_cast<unsigned>(__builtin_clz(usable)));
    }
    count -= here;
    const __mmask16 kept = _mm512_mask_cmpge_epu32_mask(static_cast<__mmask16>(usable), positions, firsts);
    _mm512_storeu_si512(found, _mm512_maskz_compress_epi32(kept, codes));
    found += __builtin_popcount(static_cast<std::uint32_t>(kept));
  }
  return found;
}

#endif

}  // namespace

const LiteralScan& portable_literal_scan() {
  static constexpr LiteralScan scan{first_not_false, falsified};
  return scan;
}

const LiteralScan& best_literal_scan() {
#ifdef BNNHW_AVX512
  static constexpr LiteralScan wide{first_not_false_avx512, falsified_avx512};
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") != 0;
  if (has_avx512) return wide;
#endif
  return portable_literal_scan();
}

}  // namespace bnnhw::solver
