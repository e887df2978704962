// Products of packed bits with ternary weights on the matrix unit, up to twice as many as it multiplies bytes. A byte
// has room for more than one bit or weight: with the digits w1 + B w2 of two outputs in a byte, a sum over K inputs is
// S1 + B S2, of which S1 is known only modulo B. Outputs are chained, S1 + B S2, S2 + B S3, ..., and r such sums tell
// r + 1 of them: their alternating combination is S1 +- B^r S[r+1], so S1 is its remainder, as long as B^r exceeds the
// range of a sum, and the others follow one by one. Rows of activations are chained in the same way, four in three, in
// digits large enough for what the columns' digits make of a sum. All of it is exact in the 32 bits that the unit has.
//
// Several narrow products in a wide multiplier, with room between them so that none overlap, are common on the DSP
// blocks of FPGAs (Xilinx, "Deep Learning with INT8 Optimization on Xilinx Devices", WP486). Here there is no room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "byte_tiles.hpp"

namespace bnnhw::kernels {

// The most inputs other than zero that an output may have.
inline constexpr std::size_t kMostDigitInputs = 16131;

// How the sums of one row are chained.
enum class Digits {
  // Weights as they are, B = 64: three outputs in two bytes. Sums from -2048 to 2047.
  three_in_two,
  // Four outputs in three bytes; sums as far as the rows' digits reach, 65 * 16131 < 2^20.
  four_in_three,
  // Where no weight is zero: a weight is whether it is +1, B = -128, and a sum is twice the digits' less the number of
  // ones in the row. Three outputs in two bytes up to 8192 inputs, 128 * 8192 = 2^20.
  ones_three_in_two,
};

class DigitWeights {
 public:
  // weights: int8[outputs][inputs] in -1, 0, +1. std::invalid_argument if an output has more than kMostDigitInputs.
  DigitWeights(const std::int8_t* weights, std::size_t outputs, std::size_t inputs);

  std::size_t outputs() const { return outputs_; }
  std::size_t inputs() const { return tiles_->inputs(); }
  Digits digits() const { return digits_; }
  // Byte columns that a group of 16 (chain() + 1) outputs takes, in units of 16.
  std::size_t chain() const { return digits_ == Digits::four_in_three ? 3 : 2; }
  const TileWeights& tiles() const { return *tiles_; }

 private:
  std::size_t outputs_;
  Digits digits_;
  std::optional<TileWeights> tiles_;
};

// activations: uint64[images][words_for(weights.inputs())]; the result has a row for each image, as sums or bits.
// Only where amx_unit() is one.
void digit_dense(const std::uint64_t* activations, std::size_t images, const DigitWeights& weights,
                 const TileResult& result);

}  // namespace bnnhw::kernels
