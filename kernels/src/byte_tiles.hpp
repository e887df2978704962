// Layers of an integer model as 8-bit matrix products. A bit or a level takes a byte, so nothing is packed, unpacked or
// counted between layers, zero weights cost nothing extra, and a convolution reads its inputs where they lie in the
// image. That pays where the processor multiplies bytes: on AMX (amx.cpp) eight times as many operations a cycle as a
// vector popcount does on ternary weights, on AVX-512 VNNI (vnni.cpp) about as many, without the work around them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "layers.hpp"

namespace bnnhw::kernels {

inline constexpr std::size_t kTileHeight = 16;
inline constexpr std::size_t kTileOutputs = 16;
inline constexpr std::size_t kTileBytes = 64;
inline constexpr std::size_t kTileSize = 1024;

struct AlignedDelete {
  void operator()(void* memory) const;
};

// int8[columns][lines][steps][16][16][4]: for 16 outputs and 64 inputs a tile, whose row holds four inputs of each
// output. Inputs come in lines, the rows of a convolution's kernel, each of which begins a tile of its own; what a tile
// has beyond the layer's inputs and outputs is zero.
class TileWeights {
 public:
  // weights: int8[outputs][lines * line].
  TileWeights(const std::int8_t* weights, std::size_t outputs, std::size_t lines, std::size_t line);

  std::size_t outputs() const { return outputs_; }
  std::size_t lines() const { return lines_; }
  std::size_t inputs() const { return lines_ * line_; }
  // Groups of four inputs in a line; tiles along a line and along the outputs.
  std::size_t groups() const { return (line_ + 3) / 4; }
  std::size_t steps() const { return (line_ + kTileBytes - 1) / kTileBytes; }
  std::size_t columns() const { return (outputs_ + kTileOutputs - 1) / kTileOutputs; }
  const std::int8_t* column(std::size_t index) const { return tiles_.get() + index * column_bytes(); }

 private:
  std::size_t column_bytes() const { return lines_ * steps() * kTileSize; }

  std::size_t outputs_;
  std::size_t lines_;
  std::size_t line_;
  std::unique_ptr<std::int8_t, AlignedDelete> tiles_;
};

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

// What multiplies: blocks of four tiles of sums, 2 x 2 because that needs the fewest loads, 4 x 1 and 1 x 4 for what is
// left over. rows and columns: as many of each as the block has. Leaves the sums of four tiles, row tiles first, each
// int32[16][16] with rows `sums.stride` apart; rows beyond a tile's count may hold anything. Bytes read beyond a line's
// inputs may too: they meet zero weights.
struct TileSums {
  std::int32_t* tiles[4];
  std::size_t stride;
};
struct TileUnit {
  using Multiply = void (*)(const TileRows* rows, const Pitch& pitch, const std::int8_t* const* columns,
                            const TileWeights& weights, const TileSums& sums);
  Multiply multiply_2x2, multiply_4x1, multiply_1x4;
  // Called by a thread before and after it multiplies.
  void (*begin)();
  void (*end)();
};

// Null where the processor, the system or the compiler does not have it. The first asks the system for permission.
const TileUnit* amx_unit();
const TileUnit* vnni_unit();

// Where a layer's result goes, row by row of `outputs` values: sums as they are, or, thresholded, one byte a bit, or
// bits of which every row starts at a word of its own. Exactly one of the three is given, thresholds with the last two.
struct TileResult {
  std::int32_t* sums;
  std::uint8_t* bytes;
  std::uint64_t* bits;
  const Thresholds* thresholds;
};

// activations: uint8[images][height][width][channels]; the result has a row for each of an image's positions. The
// weights' lines are the kernel's rows.
void byte_conv(const TileUnit& unit, const std::uint8_t* activations, std::size_t images, const Window& window,
               const TileWeights& weights, const TileResult& result);

// activations: uint8[images][weights.inputs()]; the weights have one line.
void byte_dense(const TileUnit& unit, const std::uint8_t* activations, std::size_t images, const TileWeights& weights,
                const TileResult& result);

// What the loops around a unit share.

// The unit, ready while this lives.
class UnitInUse {
 public:
  explicit UnitInUse(const TileUnit& unit) : unit_(unit) { unit_.begin(); }
  ~UnitInUse() { unit_.end(); }
  UnitInUse(const UnitInUse&) = delete;
  UnitInUse& operator=(const UnitInUse&) = delete;

 private:
  const TileUnit& unit_;
};

// Memory that a thread keeps, since fresh memory costs a page fault for every 4 KiB.
std::uint8_t* thread_scratch(std::size_t bytes);

// How many of the rows go through the weights together: as many as, at `row_bytes` each, lie in the second-level cache,
// shared out evenly and a multiple of `together`.
std::size_t rows_of_a_pass(std::size_t rows, std::size_t together, std::size_t row_bytes);

}  // namespace bnnhw::kernels
