// An IntegerModel as the engine reads it: a quantizer, threshold layers, integer scores. Built once per process and
// shared, unchanged, by every query.
//
// Every hidden layer has one shape: bit_j = (sum of row j >= threshold_j). A neuron that compares with <= enters with
// its row and threshold negated; pooling is a row of ones with threshold 1 (any) or the window's size (all). Border
// taps that fall on padding are absent.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix.hpp"

namespace bnnhw::engine {

struct Layer {
  Matrix matrix;
  std::vector<std::int32_t> threshold;
};

struct Network {
  std::uint32_t pixels = 0;
  // Thresholds of each pixel, ascending; one row shared by all pixels, or one per pixel.
  std::uint32_t levels = 0;
  std::vector<std::int32_t> thresholds;
  std::vector<Layer> hidden;
  Matrix output;
  std::vector<std::int64_t> bias;
  std::uint32_t shift = 0;

  std::uint32_t classes() const { return output.rows(); }
  Span<std::int32_t> pixel_thresholds(std::uint32_t pixel) const {
    return {thresholds.data() + (thresholds.size() == levels ? 0 : static_cast<std::size_t>(pixel) * levels), levels};
  }
  // Number of thresholds that the value reaches.
  std::int32_t level(std::uint32_t pixel, std::int32_t value) const;
  // Matrix that reads the activations of stage 0 (input levels), 1 (bits of hidden[0]), ...; the last is the output.
  std::uint32_t stages() const { return static_cast<std::uint32_t>(hidden.size()) + 1; }
  const Matrix& matrix(std::uint32_t stage) const { return stage < hidden.size() ? hidden[stage].matrix : output; }

  // The least accumulator difference acc[winner] - acc[loser] with which winner's score (acc << shift) + bias ranks
  // above loser's. A tie goes to the lower class, or always to the winner if `ties_win`.
  std::int64_t needed(std::uint32_t winner, std::uint32_t loser, bool ties_win) const;
};

}  // namespace bnnhw::engine
