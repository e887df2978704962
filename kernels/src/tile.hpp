// A tile is a few rows (patches of an image, or images of a dense layer) that meet every block of output channels
// while both lie in the first-level cache. finish_tile turns the sums of a tile into the layer's result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "layers.hpp"

namespace bnnhw::kernels {

inline constexpr std::size_t kTileRows = 64;

// Rows of `bytes` bytes that fill half of a 32 KiB cache, at least 4 and at most kTileRows.
inline std::size_t tile_rows(std::size_t bytes) {
  return std::clamp<std::size_t>(16384 / std::max<std::size_t>(1, bytes), 4, kTileRows);
}

// What one thread needs to finish tiles of a layer with `outputs` channels.
struct TileScratch {
  explicit TileScratch(std::size_t outputs)
      : mask_words(words_for(outputs) + 1), masks(mask_words * kTileRows), sums(kTileRows * kLanes) {}

  std::size_t mask_words;
  std::vector<std::uint64_t> masks;
  std::vector<std::int32_t> sums;
  std::uint8_t bytes[kTileRows] = {};
};

// Where the tile's rows go: row r's sums to sums + r * outputs, or its bits to bit `first_bit + r * bit_stride` of
// `bits`, thresholded as position `first_position + r` (any position if the thresholds are shared).
struct Tile {
  std::size_t rows;
  std::int32_t* sums;
  std::uint64_t* bits;
  std::size_t first_bit;
  std::size_t bit_stride;
  std::size_t first_position;
};

// accumulate(block, sums) fills int32[rows][kLanes] with the sums of one block of channels.
template <class Accumulate>
void finish_tile(const InstructionSet& lanes, std::size_t outputs, const Thresholds* thresholds, const Tile& tile,
                 TileScratch& scratch, const Accumulate& accumulate) {
  const std::size_t blocks = blocks_for(outputs);
  std::int32_t* sums = scratch.sums.data();
  if (thresholds) std::fill(scratch.masks.begin(), scratch.masks.end(), 0);
  for (std::size_t block = 0; block < blocks; ++block) {
    accumulate(block, sums);
    if (!thresholds) {
      const std::size_t count = std::min(kLanes, outputs - block * kLanes);
      for (std::size_t row = 0; row < tile.rows; ++row) {
        std::copy_n(sums + row * kLanes, count, tile.sums + row * outputs + block * kLanes);
      }
      continue;
    }
    const std::size_t stride = thresholds->position_stride;
    lanes.compare(sums, tile.rows, thresholds->limits + tile.first_position * stride + block * kLanes, stride,
                  thresholds->flips[block], scratch.bytes);
    const std::size_t shift = block * kLanes % kWordBits;
    std::uint64_t* word = scratch.masks.data() + block * kLanes / kWordBits;
    for (std::size_t row = 0; row < tile.rows; ++row) {
      word[row * scratch.mask_words] |= std::uint64_t{scratch.bytes[row]} << shift;
    }
  }
  if (!thresholds) return;
  for (std::size_t row = 0; row < tile.rows; ++row) {
    or_range(tile.bits, tile.first_bit + row * tile.bit_stride, scratch.masks.data() + row * scratch.mask_words, 0,
             outputs);
  }
}

}  // namespace bnnhw::kernels
