// A model file (docs/file-format.md), read without a word of the model reader's code.
//
// Every hidden layer becomes bit = (sum of its taps >= threshold): what compares with <= enters negated, a dense layer is
// a kernel as large as its input, and pooling is taps of weight 1 on the own channel.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

struct Tap {
  std::int64_t channel, row, column, weight;
};

struct Layer {
  std::int64_t channels, height, width;              // of the output
  std::int64_t in_channels, in_height, in_width;     // of the input
  std::int64_t stride[2] = {1, 1}, padding[2] = {0, 0};
  std::vector<std::vector<Tap>> taps{};              // of each output channel
  std::vector<std::int64_t> threshold{};             // of each output

  std::int64_t size() const { return channels * height * width; }

  template <typename Visit>
  void visit(std::int64_t output, const Visit& input_and_weight) const {
    const std::int64_t y = output / width % height * stride[0] - padding[0];
    const std::int64_t x = output % width * stride[1] - padding[1];
    for (const Tap& tap : taps[static_cast<std::size_t>(output / (height * width))]) {
      const std::int64_t row = y + tap.row, column = x + tap.column;
      if (row < 0 || row >= in_height || column < 0 || column >= in_width) continue;
      input_and_weight((tap.channel * in_height + row) * in_width + column, tap.weight);
    }
  }
};

struct Network {
  std::int64_t channels, height, width;
  std::int64_t pixel_min, pixel_max;
  std::int64_t levels;
  std::vector<std::int64_t> thresholds{};            // levels x pixels
  std::vector<Layer> hidden{};
  Layer output{};
  std::vector<std::int64_t> bias{};
  std::int64_t shift = 0;

  std::int64_t pixels() const { return channels * height * width; }
};

// Throws std::invalid_argument where the bytes are no model.
Network read_network(std::string_view file);

}  // namespace bnnhw::checker
