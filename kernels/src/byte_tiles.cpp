#include "byte_tiles.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#define BNNHW_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl")]]
#define BNNHW_AVX512_INLINE [[gnu::target("avx512f,avx512bw,avx512vl"), gnu::always_inline]] inline
#endif

namespace bnnhw::kernels {

void AlignedDelete::operator()(void* memory) const { std::free(memory); }

namespace {

std::unique_ptr<std::int8_t, AlignedDelete> aligned_zeros(std::size_t bytes) {
  bytes = (bytes + kTileBytes - 1) / kTileBytes * kTileBytes;
  void* const memory = std::aligned_alloc(kTileBytes, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  std::fill_n(static_cast<std::int8_t*>(memory), bytes, std::int8_t{0});
  return std::unique_ptr<std::int8_t, AlignedDelete>(static_cast<std::int8_t*>(memory));
}

}  // namespace

TileWeights::TileWeights(const std::int8_t* weights, std::size_t outputs, std::size_t lines, std::size_t line)
    : outputs_(outputs), lines_(lines), line_(line), tiles_(aligned_zeros(columns() * column_bytes())) {
  for (std::size_t o = 0; o < outputs; ++o) {
    std::int8_t* const column = tiles_.get() + o / kTileOutputs * column_bytes();
    for (std::size_t i = 0; i < inputs(); ++i) {
      const std::size_t k = i / line * steps() * kTileBytes + i % line;
      const std::size_t row = k % kTileBytes / 4;
      column[k / kTileBytes * kTileSize + row * kTileBytes + o % kTileOutputs * 4 + k % 4] = weights[o * inputs() + i];
    }
  }
}

std::uint8_t* thread_scratch(std::size_t bytes) {
  thread_local std::unique_ptr<std::int8_t, AlignedDelete> buffer;
  thread_local std::size_t size = 0;
  if (size < bytes) {
    buffer = aligned_zeros(bytes);
    size = bytes;
  }
  return reinterpret_cast<std::uint8_t*>(buffer.get());
}

std::size_t rows_of_a_pass(std::size_t rows, std::size_t together, std::size_t row_bytes) {
  constexpr std::size_t cache_share = std::size_t{5} << 18;
  const std::size_t fitting = std::max(together, cache_share / row_bytes);
  const std::size_t passes = (rows + fitting - 1) / fitting;
  return passes == 0 ? 0 : ((rows + passes - 1) / passes + together - 1) / together * together;
}

#if defined(__x86_64__)

namespace {

constexpr std::size_t tile_sums = kTileHeight * kTileOutputs;

BNNHW_AVX512_INLINE void copy_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
  for (; count > kTileBytes; count -= kTileBytes, to += kTileBytes, from += kTileBytes) {
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
  }
  const __mmask64 some = _cvtu64_mask64(low_ones(count));
  _mm512_mask_storeu_epi8(to, some, _mm512_maskz_loadu_epi8(some, from));
}

// `lines` of `line` bytes each, one after the other, to places `pitch` bytes apart.
BNNHW_AVX512 void copy_lines(std::uint8_t* to, std::size_t pitch, const std::uint8_t* from, std::size_t line,
                             std::size_t lines) {
  for (std::size_t y = 0; y < lines; ++y) copy_bytes(to + y * pitch, from + y * line, line);
}

// The sums of a tile, `count` rows from the result's `row` on, go to their place.
BNNHW_AVX512_INLINE void finish(const std::int32_t* sums, std::size_t count, std::size_t row, std::size_t positions,
                                std::size_t column, std::size_t outputs, const TileResult& result) {
  const std::size_t first = column * kTileOutputs;
  const auto some = static_cast<__mmask16>(low_ones(std::min(kTileOutputs, outputs - first)));
  if (result.sums != nullptr) {
    std::int32_t* to = result.sums + row * outputs + first;
    for (std::size_t i = 0; i < count; ++i, to += outputs) {
      _mm512_mask_storeu_epi32(to, some, _mm512_load_si512(sums + i * kTileOutputs));
    }
    return;
  }
  const Thresholds& t = *result.thresholds;
  const unsigned high_flips = 2 * column + 1 < blocks_for(outputs) ? t.flips[2 * column + 1] : 0u;
  const unsigned flips = (t.flips[2 * column] | high_flips << 8) & some;
  const std::size_t words = words_for(outputs);
  std::uint8_t* const bytes = result.bytes + row * outputs + first;
  std::uint64_t* const bits = result.bits + row * words + first / kWordBits;
  std::size_t position = row % positions;
  const std::int32_t* limits_at = t.limits + position * t.position_stride + first;
  __m512i limits = _mm512_maskz_loadu_epi32(some, limits_at);
  for (std::size_t i = 0; i < count; ++i) {
    const __m512i values = _mm512_load_si512(sums + i * kTileOutputs);
    const unsigned reached = _mm512_mask_cmpge_epi32_mask(some, values, limits) ^ flips;
    if (result.bytes != nullptr) {
      _mm_mask_storeu_epi8(bytes + i * outputs, some, _mm_maskz_set1_epi8(static_cast<__mmask16>(reached), 1));
    } else {
      bits[i * words] |= std::uint64_t{reached} << first % kWordBits;
    }
    if (t.position_stride == 0) continue;
    limits_at += t.position_stride;
    if (++position == positions) {
      position = 0;
      limits_at = t.limits + first;
    }
    limits = _mm512_maskz_loadu_epi32(some, limits_at);
  }
}

// One block of the product: the row tiles from `first_row` and the column tiles from `first_column` on, of which only
// those before the ends are finished; a block that reaches past them repeats the last one.
template <std::size_t height, std::size_t width, class TileAt>
BNNHW_AVX512 void multiply_block(const TileUnit& unit, std::size_t first_row, std::size_t row_end,
                                 std::size_t first_column, const TileAt& tile, const Pitch& pitch,
                                 std::size_t positions, const TileWeights& weights, const TileResult& result) {
  alignas(64) std::int32_t sums[4 * tile_sums];
  TileRows rows[height];
  const std::int8_t* columns[width];
  for (std::size_t r = 0; r < height; ++r) rows[r] = tile(std::min(first_row + r, row_end - 1));
  for (std::size_t c = 0; c < width; ++c)
    columns[c] = weights.column(std::min(first_column + c, weights.columns() - 1));
  const auto multiply = height == 2 ? unit.multiply_2x2 : height == 4 ? unit.multiply_4x1 : unit.multiply_1x4;
  const std::size_t outputs = weights.outputs();
  bool whole = first_row + height <= row_end && (first_column + width) * kTileOutputs <= outputs;
  for (const TileRows& tile_rows : rows) whole = whole && tile_rows.count == kTileHeight;
  if (result.sums != nullptr && whole) {
    // Whole tiles of sums need no way round.
    TileSums in_place{{}, outputs};
    for (std::size_t i = 0; i < 4; ++i) {
      in_place.tiles[i] = result.sums + rows[i / width].row * outputs + (first_column + i % width) * kTileOutputs;
    }
    multiply(rows, pitch, columns, weights, in_place);
    return;
  }
  multiply(rows, pitch, columns, weights,
           {{sums, sums + tile_sums, sums + 2 * tile_sums, sums + 3 * tile_sums}, kTileOutputs});
  for (std::size_t r = 0; r < height && first_row + r < row_end; ++r) {
    for (std::size_t c = 0; c < width && first_column + c < weights.columns(); ++c) {
      finish(sums + (r * width + c) * tile_sums, rows[r].count, rows[r].row, positions, first_column + c,
             weights.outputs(), result);
    }
  }
}

// tile(i) is the i-th of `tiles` TileRows.
template <class TileAt>
BNNHW_AVX512 void multiply_tiles(const TileUnit& unit, std::size_t tiles, const TileAt& tile, const Pitch& pitch,
                                 std::size_t positions, const TileWeights& weights, const TileResult& result) {
  const std::size_t paired_rows = tiles / 2 * 2;
  const std::size_t paired_columns = weights.columns() / 2 * 2;
  for (std::size_t column = 0; column < paired_columns; column += 2) {
    for (std::size_t row = 0; row < paired_rows; row += 2) {
      multiply_block<2, 2>(unit, row, paired_rows, column, tile, pitch, positions, weights, result);
    }
  }
  for (std::size_t row = 0; row < paired_rows && paired_columns < weights.columns(); row += 4) {
    multiply_block<4, 1>(unit, row, paired_rows, paired_columns, tile, pitch, positions, weights, result);
  }
  for (std::size_t column = 0; column < weights.columns() && paired_rows < tiles; column += 4) {
    multiply_block<1, 4>(unit, paired_rows, tiles, column, tile, pitch, positions, weights, result);
  }
}

}  // namespace

// The rows of a tile are neighbouring positions of a row of the output. Under one row of the kernel their inputs are
// runs of bytes in the image at a constant distance, which is how a tile is loaded: patches are never gathered.
void byte_conv(const TileUnit& unit, const std::uint8_t* activations, std::size_t images, const Window& window,
               const TileWeights& weights, const TileResult& result) {
  const Window& w = window;
  const std::size_t line = (w.width + 2 * w.pad_w) * w.channels;
  const std::size_t stride = w.stride_w * w.channels;
  const std::size_t columns = w.columns();
  const std::size_t across = (columns + kTileHeight - 1) / kTileHeight;
  const std::size_t lines = w.height + 2 * w.pad_h;
  // A tile may reach past its last position and a position past its last input.
  const std::size_t slack = kTileHeight * stride + kTileBytes;
  std::uint8_t* const padded = thread_scratch(lines * line + slack);
  std::fill_n(padded, lines * line, std::uint8_t{0});
  const UnitInUse in_use(unit);
  for (std::size_t n = 0; n < images; ++n) {
    const std::uint8_t* const image = activations + n * w.image();
    copy_lines(padded + w.pad_h * line + w.pad_w * w.channels, line, image, w.width * w.channels, w.height);
    const auto tile = [&](std::size_t i) {
      const std::size_t y = i / across;
      const std::size_t x = i % across * kTileHeight;
      return TileRows{padded + y * w.stride_h * line + x * stride, n * w.positions() + y * columns + x,
                      std::min(kTileHeight, columns - x)};
    };
    multiply_tiles(unit, across * w.rows(), tile, {stride, line}, w.positions(), weights, result);
  }
}

// Rows one after the other, at a distance that is an odd multiple of 64 bytes, because the 16 rows of a tile would
// otherwise share a few sets of the first-level cache.
void byte_dense(const TileUnit& unit, const std::uint8_t* activations, std::size_t images, const TileWeights& weights,
                const TileResult& result) {
  const std::size_t inputs = weights.inputs();
  const std::size_t stride = (weights.steps() | 1) * kTileBytes;
  const std::size_t most = rows_of_a_pass(images, 2 * kTileHeight, stride);
  std::uint8_t* const rows = thread_scratch(most * stride);
  const UnitInUse in_use(unit);
  for (std::size_t first = 0; first < images; first += most) {
    const std::size_t count = std::min(most, images - first);
    copy_lines(rows, stride, activations + first * inputs, inputs, count);
    const auto tile = [&](std::size_t i) {
      const std::size_t row = i * kTileHeight;
      return TileRows{rows + row * stride, first + row, std::min(kTileHeight, count - row)};
    };
    multiply_tiles(unit, (count + kTileHeight - 1) / kTileHeight, tile, {stride, 0}, 1, weights, result);
  }
}

#else

// There is no unit to call these with.
void byte_conv(const TileUnit&, const std::uint8_t*, std::size_t, const Window&, const TileWeights&,
               const TileResult&) {
  std::abort();
}

void byte_dense(const TileUnit&, const std::uint8_t*, std::size_t, const TileWeights&, const TileResult&) {
  std::abort();
}

#endif

}  // namespace bnnhw::kernels
