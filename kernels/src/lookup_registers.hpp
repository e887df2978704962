// What register tables are used with: looking up bytes of two rows or channels at once and adding them up, shared by
// lookup_products.cpp (tables of activations) and image_lanes.cpp (tables of weights). For files compiled for x86-64.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define BNNHW_LOOKUP [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,gfni,bmi2")]]
#define BNNHW_LOOKUP_INLINE [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,gfni,bmi2"), gnu::always_inline]] inline

namespace bnnhw::kernels {

inline constexpr std::size_t kRegister = 64;
// Tables that are looked up together, each of two rows or channels: four by two registers of codes are 16 sums.
inline constexpr std::size_t kPairs = 4;
inline constexpr std::size_t kWidth = 2;
// As many additions of upper halves, of at most 12, as a byte holds.
inline constexpr std::size_t kMostAdditions = 21;

// Bits of bytes moved by four places up or down: row i of the matrix (byte 7 - i of the word) selects bit i's source.
inline constexpr std::uint64_t kUpperHalves = 0x1020408000000000u;
inline constexpr std::uint64_t kTimesSixteen = 0x0000000001020408u;

BNNHW_LOOKUP_INLINE __m512i moved(__m512i bytes, std::uint64_t matrix) {
  return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(static_cast<long long>(matrix)), 0);
}

// With a mask of all, because GCC 12 takes the plain forms to read what they leave undefined.
BNNHW_LOOKUP_INLINE __m512i looked_up(__m512i codes, __m512i table) {
  return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, codes, table);
}

inline constexpr std::size_t pieces_for(std::size_t additions) {
  return (additions + kMostAdditions - 1) / kMostAdditions;
}

// Sums of entries over 2 * additions codes, in pieces between which no byte overflows. tables: [codes][kPairs][64].
// codes_at(c, i): the 64 codes i of register c < width.
// pieces: [kPairs][width][pieces_for(additions)][sum of bytes, sum of upper halves][64].
template <std::size_t width, class CodesAt>
BNNHW_LOOKUP_INLINE void look_up(const std::uint8_t* tables, const CodesAt& codes_at, std::size_t additions,
                                 std::uint8_t* pieces) {
  const std::size_t count = pieces_for(additions);
  std::size_t addition = 0;
  for (std::size_t piece = 0; piece < count; ++piece) {
    __m512i bytes[kPairs][width];
    __m512i upper[kPairs][width];
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
      for (std::size_t c = 0; c < width; ++c) bytes[pair][c] = upper[pair][c] = _mm512_setzero_si512();
    }
    for (const std::size_t end = additions * (piece + 1) / count; addition < end; ++addition) {
      const std::uint8_t* const even = tables + 2 * addition * kPairs * kRegister;
      const std::uint8_t* const odd = even + kPairs * kRegister;
#pragma GCC unroll 8
      for (std::size_t c = 0; c < width; ++c) {
        const __m512i even_codes = _mm512_load_si512(codes_at(c, 2 * addition));
        const __m512i odd_codes = _mm512_load_si512(codes_at(c, 2 * addition + 1));
#pragma GCC unroll 8
        for (std::size_t pair = 0; pair < kPairs; ++pair) {
          const __m512i sum = _mm512_add_epi8(looked_up(even_codes, _mm512_load_si512(even + pair * kRegister)),
                                              looked_up(odd_codes, _mm512_load_si512(odd + pair * kRegister)));
          bytes[pair][c] = _mm512_add_epi8(bytes[pair][c], sum);
          upper[pair][c] = _mm512_add_epi8(upper[pair][c], moved(sum, kUpperHalves));
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
#pragma GCC unroll 8
      for (std::size_t c = 0; c < width; ++c) {
        std::uint8_t* const to = pieces + ((pair * width + c) * count + piece) * 2 * kRegister;
        _mm512_store_si512(to, bytes[pair][c]);
        _mm512_store_si512(to + kRegister, upper[pair][c]);
      }
    }
  }
}

// 64 totals as two registers of 16-bit lanes, those of the bytes 0 and 2 of each 32-bit lane and those of 1 and 3.
struct Totals {
  __m512i even, odd;
};

BNNHW_LOOKUP_INLINE void add_bytes(Totals& totals, __m512i bytes) {
  totals.even = _mm512_add_epi16(totals.even, _mm512_maskz_mov_epi8(0x5555555555555555u, bytes));
  totals.odd = _mm512_add_epi16(totals.odd, _mm512_maskz_srli_epi16(~__mmask32{0}, bytes, 8));
}

// Adds up the pieces of a pair of rows or channels.
BNNHW_LOOKUP_INLINE void add_pieces(const std::uint8_t* pieces, std::size_t count, Totals& one, Totals& other) {
  for (std::size_t piece = 0; piece < count; ++piece, pieces += 2 * kRegister) {
    const __m512i upper = _mm512_load_si512(pieces + kRegister);
    add_bytes(one, _mm512_sub_epi8(_mm512_load_si512(pieces), moved(upper, kTimesSixteen)));
    add_bytes(other, upper);
  }
}

}  // namespace bnnhw::kernels

#endif
