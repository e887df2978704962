// 8-bit products with AVX-512 VNNI (Intel since Cascade Lake, AMD since Zen 4): one instruction multiplies 16 x 4
// signed bytes with four unsigned ones and adds the products up in 32 bits, exactly. A row of a tile of weights fills a
// register; each of a block's rows meets it with its own four inputs, which are repeated over another.
#include "byte_tiles.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define BNNHW_VNNI [[gnu::target("avx512f,avx512vnni")]]
#define BNNHW_VNNI_INLINE [[gnu::target("avx512f,avx512vnni"), gnu::always_inline]] inline

namespace bnnhw::kernels {

namespace {

// `height` rows from `begin` on by `width` columns, which are the tiles' rows from first_row on.
template <std::size_t height, std::size_t width>
BNNHW_VNNI_INLINE void multiply_rows(const std::uint8_t* begin, const Pitch& pitch, const std::int8_t* const* columns,
                                     const TileWeights& weights, const TileSums& sums, std::int32_t* const* tiles,
                                     std::size_t first_row) {
  __m512i sum[height][width];
  for (std::size_t r = 0; r < height; ++r) {
    for (std::size_t c = 0; c < width; ++c) {
      sum[r][c] = _mm512_setzero_si512();
    }
  }
  const std::size_t line_bytes = weights.steps() * kTileSize;
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    const std::uint8_t* const inputs = begin + line * pitch.line;
    for (std::size_t group = 0; group < weights.groups(); ++group) {
      __m512i weight[width];
#pragma GCC unroll 4
      for (std::size_t c = 0; c < width; ++c) {
        weight[c] = _mm512_load_si512(columns[c] + line * line_bytes + group * kTileBytes);
      }
#pragma GCC unroll 16
      for (std::size_t r = 0; r < height; ++r) {
        std::int32_t four;
        std::memcpy(&four, inputs + r * pitch.row + group * 4, sizeof four);
        const __m512i repeated = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (std::size_t c = 0; c < width; ++c) sum[r][c] = _mm512_dpbusd_epi32(sum[r][c], repeated, weight[c]);
      }
    }
  }
  for (std::size_t r = 0; r < height; ++r) {
    for (std::size_t c = 0; c < width; ++c) _mm512_storeu_si512(tiles[c] + (first_row + r) * sums.stride, sum[r][c]);
  }
}

// The row tiles of a block one after the other, `together` rows at a time and none far beyond a tile's count.
template <std::size_t row_tiles, std::size_t width, std::size_t together>
BNNHW_VNNI void multiply(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                         const TileWeights& weights, const TileSums& sums) {
  for (std::size_t tile = 0; tile < row_tiles; ++tile) {
    for (std::size_t row = 0; row < rows[tile].count; row += together) {
      multiply_rows<together, width>(rows[tile].begin + row * pitch.row, pitch, columns, weights, sums,
                                     sums.tiles + tile * width, row);
    }
  }
}

void nothing() {}

}  // namespace

const TileUnit* vnni_unit() {
  __builtin_cpu_init();
  static const bool available =
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  static constexpr TileUnit unit{multiply<2, 2, 8>, multiply<4, 1, 16>, multiply<1, 4, 4>, nothing, nothing};
  return available ? &unit : nullptr;
}

}  // namespace bnnhw::kernels

#else

namespace bnnhw::kernels {

const TileUnit* vnni_unit() { return nullptr; }

}  // namespace bnnhw::kernels

#endif
