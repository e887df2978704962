// The oracle of the engine's tests: a network as its layers are written down, and inference by nested loops.
//
// Nothing here is shared with the engine except the integers that go in: no matrix, no interval, no incremental state,
// 64-bit sums. translate() writes the same network down as the engine reads it, row by row.
#pragma once

#include <cstdint>
#include <vector>

#include "network.hpp"

namespace bnnhw::engine::tests {

struct Shape {
  std::uint32_t channels = 1, height = 1, width = 1;

  std::uint32_t size() const { return channels * height * width; }
};

// A convolution of bits or levels with a threshold, or pooling. A dense layer is a convolution whose kernel is as large
// as its input.
struct PlainLayer {
  bool pool = false;
  std::uint32_t channels = 1;
  std::uint32_t kernel[2] = {1, 1}, stride[2] = {1, 1}, padding[2] = {0, 0};
  // By output channel, input channel, kernel row, kernel column; none for pooling.
  std::vector<std::int8_t> weights;
  // By channel, or by channel and position; none for pooling.
  std::vector<std::int32_t> thresholds;
  // By channel: compares with <= instead of >=; in pooling, all instead of any.
  std::vector<std::uint8_t> flipped;
};

struct PlainNetwork {
  Shape shape;
  // By pixel (or once for all), ascending.
  std::vector<std::vector<std::int32_t>> quantizer;
  std::vector<PlainLayer> hidden;
  // By class, then activation.
  std::vector<std::vector<std::int8_t>> output;
  std::vector<std::int64_t> bias;
  std::uint32_t shift = 0;
};

using Image = std::vector<std::int32_t>;
using Integers = std::vector<std::int64_t>;

struct Trace {
  std::vector<Integers> bits;
  Integers output;
  Integers scores;
  std::uint32_t predicted = 0;
};

Shape output_shape(const PlainLayer& layer, const Shape& shape);
Integers quantize(const PlainNetwork& network, const Image& image);
// Sums of the layer's windows; of pooling, how many of a window's bits are set.
Integers accumulate(const PlainLayer& layer, const Shape& shape, const Integers& activations);
Integers compare(const PlainLayer& layer, const Shape& shape, const Integers& accumulators);
Integers multiply(const std::vector<std::vector<std::int8_t>>& rows, const Integers& activations);
Trace infer(const PlainNetwork& network, const Image& image);

Network translate(const PlainNetwork& network);

}  // namespace bnnhw::engine::tests
