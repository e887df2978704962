// Layers of an integer model as 8-bit matrix products on AMX, the matrix unit of Intel processors since Sapphire
// Rapids ("Intel Architecture Instruction Set Extensions Programming Reference", chapter 3). One instruction multiplies
// 16 rows of 64 unsigned bytes with 64 x 16 signed bytes and adds the products up in 32 bits, exactly. A bit or a level
// takes a byte here, so nothing is packed, unpacked or counted between layers, zero weights cost nothing extra, and the
// unit does 2048 operations a cycle where the vector popcount does 340 on ternary weights.
//
// Available only where both the processor and the system (Linux 5.16 or later) allow it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "layers.hpp"

namespace bnnhw::kernels {

// Asks the system for permission the first time.
bool amx_available();

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
  // Tiles along a line and along the outputs.
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
void amx_conv(const std::uint8_t* activations, std::size_t images, const Window& window, const TileWeights& weights,
              const TileResult& result);

// activations: uint8[images][weights.inputs()]; the weights have one line.
void amx_dense(const std::uint8_t* activations, std::size_t images, const TileWeights& weights,
               const TileResult& result);

// The same for bit strings, uint64[images][words_for(weights.inputs())].
void amx_dense_on_bits(const std::uint64_t* activations, std::size_t images, const TileWeights& weights,
                       const TileResult& result);

}  // namespace bnnhw::kernels
