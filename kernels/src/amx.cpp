// 8-bit products on AMX, the matrix unit of Intel processors since Sapphire Rapids ("Intel Architecture Instruction Set
// Extensions Programming Reference", chapter 3): one instruction multiplies 16 rows of 64 unsigned bytes with 64 x 16
// signed bytes and adds the products up in 32 bits, exactly, 2048 operations a cycle. It needs the system's permission
// (Linux 5.16 or later). A product waits for the one before it on the same sums, which is why a block has four.
#include "byte_tiles.hpp"

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxint8intrin.h>)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BNNHW_AMX [[gnu::target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8")]]

namespace bnnhw::kernels {

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

BNNHW_AMX void begin() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

BNNHW_AMX void store(const TileSums& sums) {
  const std::size_t row_bytes = sums.stride * sizeof(std::int32_t);
  _tile_stored(0, sums.tiles[0], row_bytes);
  _tile_stored(1, sums.tiles[1], row_bytes);
  _tile_stored(2, sums.tiles[2], row_bytes);
  _tile_stored(3, sums.tiles[3], row_bytes);
}

BNNHW_AMX void multiply_2x2(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, const TileSums& sums) {
  begin();
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < weights.steps(); ++step) {
      const std::size_t tile = (line * weights.steps() + step) * kTileSize;
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
  store(sums);
}

BNNHW_AMX void multiply_4x1(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, const TileSums& sums) {
  begin();
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < weights.steps(); ++step) {
      const std::size_t tile = (line * weights.steps() + step) * kTileSize;
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
  store(sums);
}

BNNHW_AMX void multiply_1x4(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, const TileSums& sums) {
  begin();
  for (std::size_t line = 0; line < weights.lines(); ++line) {
    for (std::size_t step = 0; step < weights.steps(); ++step) {
      const std::size_t tile = (line * weights.steps() + step) * kTileSize;
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
  store(sums);
}

// Released tile registers leave the processor and the system less to keep.
BNNHW_AMX void configure() { _tile_loadconfig(&configuration); }
BNNHW_AMX void release() { _tile_release(); }

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

const TileUnit* amx_unit() {
  static const bool available = ask_for_amx();
  static constexpr TileUnit unit{multiply_2x2, multiply_4x1, multiply_1x4, configure, release};
  return available ? &unit : nullptr;
}

}  // namespace bnnhw::kernels

#else

namespace bnnhw::kernels {

const TileUnit* amx_unit() { return nullptr; }

}  // namespace bnnhw::kernels

#endif
