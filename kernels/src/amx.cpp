#include "amx.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <stdexcept>

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxint8intrin.h>)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define BNNHW_AMX [[gnu::target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8")]]
#define BNNHW_AMX_INLINE [[gnu::target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8"), gnu::always_inline]] inline
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

#if defined(BNNHW_AMX)

namespace {

// As the processor reads it.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
// Static, because GCC takes the instruction to read eight bytes only and would not fill in the rest of a local one.
constexpr TileConfiguration configuration;

constexpr std::size_t tile_height = 16;
constexpr std::size_t tile_sums = tile_height * kTileOutputs;

// Memory that a thread keeps, since fresh memory costs a page fault for every 4 KiB.
std::uint8_t* scratch(std::size_t bytes) {
  thread_local std::unique_ptr<std::int8_t, AlignedDelete> buffer;
  thread_local std::size_t size = 0;
  if (size < bytes) {
    buffer = aligned_zeros(bytes);
    size = bytes;
  }
  return reinterpret_cast<std::uint8_t*>(buffer.get());
}

BNNHW_AMX_INLINE void copy_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
  for (; count > kTileBytes; count -= kTileBytes, to += kTileBytes, from += kTileBytes) {
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
  }
  const __mmask64 some = _cvtu64_mask64(low_ones(count));
  _mm512_mask_storeu_epi8(to, some, _mm512_maskz_loadu_epi8(some, from));
}

// `lines` of `line` bytes each, one after the other, to places `pitch` bytes apart.
BNNHW_AMX void copy_lines(std::uint8_t* to, std::size_t pitch, const std::uint8_t* from, std::size_t line,
                          std::size_t lines) {
  for (std::size_t y = 0; y < lines; ++y) copy_bytes(to + y * pitch, from + y * line, line);
}

// Rows of the result that a tile makes, `count` of them from `row` on, and where the first one's inputs begin.
struct TileRows {
  const std::uint8_t* begin;
  std::size_t row;
  std::size_t count;
};

// How a layer's activations lie: the distances between the rows of a tile and between the lines of inputs.
struct Pitch {
  std::size_t row;
  std::size_t line;
};

// Blocks of four tiles of sums, as many as the registers hold with what is multiplied: 2 x 2 needs the fewest loads;
// 4 x 1 and 1 x 4 are for what is left over, because a product waits for the one before it on the same sums. Each
// leaves int32[4][16][16], row tiles first. Bytes read beyond a line's inputs may hold anything: they meet zero
// weights.
BNNHW_AMX void multiply_2x2(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, std::int32_t* sums) {
  const std::size_t steps = weights.steps();
  std::size_t tile = 0;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < steps; ++step, tile += kTileSize) {
      const std::size_t at = line * pitch.line + step * kTileBytes;
      _tile_loadd(4, rows[0].begin + at, pitch.row);
      _tile_loadd(6, columns[0] + tile, kTileBytes);
      _tile_dpbusd(0, 4, 6);
      _tile_loadd(7, columns[1] + tile, kTileBytes);
      _tile_dpbusd(1, 4, 7);
      _tile_loadd(5, rows[1].begin + at, pitch.row);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kTileBytes);
  _tile_stored(1, sums + tile_sums, kTileBytes);
  _tile_stored(2, sums + 2 * tile_sums, kTileBytes);
  _tile_stored(3, sums + 3 * tile_sums, kTileBytes);
}

BNNHW_AMX void multiply_4x1(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, std::int32_t* sums) {
  const std::size_t steps = weights.steps();
  std::size_t tile = 0;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < steps; ++step, tile += kTileSize) {
      const std::size_t at = line * pitch.line + step * kTileBytes;
      _tile_loadd(6, columns[0] + tile, kTileBytes);
      _tile_loadd(4, rows[0].begin + at, pitch.row);
      _tile_dpbusd(0, 4, 6);
      _tile_loadd(5, rows[1].begin + at, pitch.row);
      _tile_dpbusd(1, 5, 6);
      _tile_loadd(7, rows[2].begin + at, pitch.row);
      _tile_dpbusd(2, 7, 6);
      _tile_loadd(4, rows[3].begin + at, pitch.row);
      _tile_dpbusd(3, 4, 6);
    }
  }
  _tile_stored(0, sums, kTileBytes);
  _tile_stored(1, sums + tile_sums, kTileBytes);
  _tile_stored(2, sums + 2 * tile_sums, kTileBytes);
  _tile_stored(3, sums + 3 * tile_sums, kTileBytes);
}

BNNHW_AMX void multiply_1x4(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, std::int32_t* sums) {
  const std::size_t steps = weights.steps();
  std::size_t tile = 0;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < steps; ++step, tile += kTileSize) {
      _tile_loadd(4, rows[0].begin + line * pitch.line + step * kTileBytes, pitch.row);
      _tile_loadd(5, columns[0] + tile, kTileBytes);
      _tile_dpbusd(0, 4, 5);
      _tile_loadd(6, columns[1] + tile, kTileBytes);
      _tile_dpbusd(1, 4, 6);
      _tile_loadd(7, columns[2] + tile, kTileBytes);
      _tile_dpbusd(2, 4, 7);
      _tile_loadd(5, columns[3] + tile, kTileBytes);
      _tile_dpbusd(3, 4, 5);
    }
  }
  _tile_stored(0, sums, kTileBytes);
  _tile_stored(1, sums + tile_sums, kTileBytes);
  _tile_stored(2, sums + 2 * tile_sums, kTileBytes);
  _tile_stored(3, sums + 3 * tile_sums, kTileBytes);
}

// The sums of a tile, `count` rows from the result's `row` on, go to their place.
BNNHW_AMX_INLINE void finish(const std::int32_t* sums, std::size_t count, std::size_t row, std::size_t positions,
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
BNNHW_AMX void multiply_block(std::size_t first_row, std::size_t row_end, std::size_t first_column, const TileAt& tile,
                              const Pitch& pitch, std::size_t positions, const TileWeights& weights,
                              const TileResult& result) {
  alignas(64) std::int32_t sums[4 * tile_sums];
  TileRows rows[height];
  const std::int8_t* columns[width];
  for (std::size_t r = 0; r < height; ++r) rows[r] = tile(std::min(first_row + r, row_end - 1));
  for (std::size_t c = 0; c < width; ++c)
    columns[c] = weights.column(std::min(first_column + c, weights.columns() - 1));
  constexpr auto multiply = height == 2 ? multiply_2x2 : height == 4 ? multiply_4x1 : multiply_1x4;
  multiply(rows, pitch, columns, weights, sums);
  for (std::size_t r = 0; r < height && first_row + r < row_end; ++r) {
    for (std::size_t c = 0; c < width && first_column + c < weights.columns(); ++c) {
      finish(sums + (r * width + c) * tile_sums, rows[r].count, rows[r].row, positions, first_column + c,
             weights.outputs(), result);
    }
  }
}

// tile(i) is the i-th of `tiles` TileRows.
template <class TileAt>
BNNHW_AMX void multiply_tiles(std::size_t tiles, const TileAt& tile, const Pitch& pitch, std::size_t positions,
                              const TileWeights& weights, const TileResult& result) {
  const std::size_t paired_rows = tiles / 2 * 2;
  const std::size_t paired_columns = weights.columns() / 2 * 2;
  for (std::size_t column = 0; column < paired_columns; column += 2) {
    for (std::size_t row = 0; row < paired_rows; row += 2) {
      multiply_block<2, 2>(row, paired_rows, column, tile, pitch, positions, weights, result);
    }
  }
  for (std::size_t row = 0; row < paired_rows && paired_columns < weights.columns(); row += 4) {
    multiply_block<4, 1>(row, paired_rows, paired_columns, tile, pitch, positions, weights, result);
  }
  for (std::size_t column = 0; column < weights.columns() && paired_rows < tiles; column += 4) {
    multiply_block<1, 4>(paired_rows, tiles, column, tile, pitch, positions, weights, result);
  }
}

// The tile registers, all of one size; without them the processor and the system have less to keep.
class TileRegisters {
 public:
  BNNHW_AMX TileRegisters() { _tile_loadconfig(&configuration); }
  BNNHW_AMX ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

// Rows one after the other: expand(row, bytes) writes the inputs of a row. The rows' distance is an odd multiple of 64
// bytes, because the 16 rows of a tile would otherwise share a few sets of the first-level cache.
template <class Expand>
void dense(std::size_t images, const TileWeights& weights, const TileResult& result, const Expand& expand) {
  constexpr std::size_t cache_share = std::size_t{5} << 18;
  const std::size_t stride = (weights.steps() | 1) * kTileBytes;
  // Passes over the weights, as few as let the rows of one lie in the second-level cache, and all of one size.
  const std::size_t fitting = std::max<std::size_t>(32, cache_share / stride);
  const std::size_t passes = (images + fitting - 1) / fitting;
  const std::size_t most = passes == 0 ? 0 : ((images + passes - 1) / passes + 31) / 32 * 32;
  std::uint8_t* const rows = scratch(most * stride);
  const TileRegisters registers;
  for (std::size_t first = 0; first < images; first += most) {
    const std::size_t count = std::min(most, images - first);
    for (std::size_t row = 0; row < count; ++row) expand(first + row, rows + row * stride);
    const auto tile = [&](std::size_t i) {
      const std::size_t row = i * tile_height;
      return TileRows{rows + row * stride, first + row, std::min(tile_height, count - row)};
    };
    multiply_tiles((count + tile_height - 1) / tile_height, tile, {stride, 0}, 1, weights, result);
  }
}

BNNHW_AMX void expand_bits(const std::uint64_t* words, std::size_t count, std::uint8_t* bytes) {
  for (std::size_t word = 0; word < count; ++word) {
    _mm512_store_si512(bytes + word * kWordBits, _mm512_maskz_set1_epi8(_cvtu64_mask64(words[word]), 1));
  }
}

bool ask_for_amx() {
  __builtin_cpu_init();
  constexpr long request_permission = 0x1023;
  constexpr long tile_data = 18;
  unsigned features = 0;
  unsigned ignored = 0;
  unsigned a = 7;
  unsigned c = 0;
  __asm__("cpuid" : "+a"(a), "=b"(ignored), "+c"(c), "=d"(features));
  const bool tiles_and_int8 = (features >> 24 & 3u) == 3u;
  return tiles_and_int8 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

bool amx_available() {
  static const bool available = ask_for_amx();
  return available;
}

// The rows of a tile are neighbouring positions of a row of the output. Under one row of the kernel their inputs are
// runs of bytes in the image at a constant distance, which is how a tile is loaded: patches are never gathered.
void amx_conv(const std::uint8_t* activations, std::size_t images, const Window& window, const TileWeights& weights,
              const TileResult& result) {
  const Window& w = window;
  const std::size_t line = (w.width + 2 * w.pad_w) * w.channels;
  const std::size_t stride = w.stride_w * w.channels;
  const std::size_t columns = w.columns();
  const std::size_t across = (columns + tile_height - 1) / tile_height;
  const std::size_t lines = w.height + 2 * w.pad_h;
  // A tile may reach past its last position and a position past its last input.
  const std::size_t slack = tile_height * stride + kTileBytes;
  std::uint8_t* const padded = scratch(lines * line + slack);
  std::fill_n(padded, lines * line, std::uint8_t{0});
  const TileRegisters registers;
  for (std::size_t n = 0; n < images; ++n) {
    const std::uint8_t* const image = activations + n * w.image();
    copy_lines(padded + w.pad_h * line + w.pad_w * w.channels, line, image, w.width * w.channels, w.height);
    const auto tile = [&](std::size_t i) {
      const std::size_t y = i / across;
      const std::size_t x = i % across * tile_height;
      return TileRows{padded + y * w.stride_h * line + x * stride, n * w.positions() + y * columns + x,
                      std::min(tile_height, columns - x)};
    };
    multiply_tiles(across * w.rows(), tile, {stride, line}, w.positions(), weights, result);
  }
}

void amx_dense(const std::uint8_t* activations, std::size_t images, const TileWeights& weights,
               const TileResult& result) {
  const std::size_t inputs = weights.inputs();
  dense(images, weights, result,
        [&](std::size_t row, std::uint8_t* bytes) { copy_lines(bytes, 0, activations + row * inputs, inputs, 1); });
}

void amx_dense_on_bits(const std::uint64_t* activations, std::size_t images, const TileWeights& weights,
                       const TileResult& result) {
  const std::size_t words = words_for(weights.inputs());
  dense(images, weights, result,
        [&](std::size_t row, std::uint8_t* bytes) { expand_bits(activations + row * words, words, bytes); });
}

#else

bool amx_available() { return false; }

void amx_conv(const std::uint8_t*, std::size_t, const Window&, const TileWeights&, const TileResult&) {
  throw std::logic_error("this program was built without AMX");
}

void amx_dense(const std::uint8_t*, std::size_t, const TileWeights&, const TileResult&) {
  throw std::logic_error("this program was built without AMX");
}

void amx_dense_on_bits(const std::uint64_t*, std::size_t, const TileWeights&, const TileResult&) {
  throw std::logic_error("this program was built without AMX");
}

#endif

}  // namespace bnnhw::kernels
