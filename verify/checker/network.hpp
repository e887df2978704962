// A model file (docs/file-format.md), read without a word of the model reader's code.
//
// Every hidden layer becomes bit = (sum of weight * input >= threshold): what compares with <= enters negated, a dense
// layer is a kernel as large as its input, and pooling has weight 1 on its own channel.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

struct Layer {
  std::int64_t channels = 0, height = 0, width = 0;           // of the output
  std::int64_t in_channels = 0, in_height = 0, in_width = 0;  // of the input
  std::int64_t kernel[2] = {0, 0}, stride[2] = {1, 1}, padding[2] = {0, 0};
  // -1, 0 or 1: channels x in_channels x kernel; of pooling none.
  std::vector<std::int8_t> weights{};
  // Of each output, or of each channel.
  std::vector<std::int64_t> thresholds{};

  std::int64_t size() const { return channels * height * width; }
  std::int64_t threshold(std::int64_t output) const {
    const bool shared = thresholds.size() == static_cast<std::size_t>(channels);
    return thresholds[static_cast<std::size_t>(shared ? output / (height * width) : output)];
  }
  // Of every input that the output adds up: its place and its weight.
  template <typename Visit>
  void visit(std::int64_t output, const Visit& input_and_weight) const {
    const std::int64_t channel = output / (height * width), top = output / width % height * stride[0] - padding[0];
    const std::int64_t left = output % width * stride[1] - padding[1];
    const bool pools = weights.empty();
    for (std::int64_t c = pools ? channel : 0; c < (pools ? channel + 1 : in_channels); ++c) {
      for (std::int64_t i = 0; i < kernel[0]; ++i) {
        for (std::int64_t j = 0; j < kernel[1]; ++j) {
          const std::int64_t row = top + i, column = left + j;
          if (row < 0 || row >= in_height || column < 0 || column >= in_width) continue;
          const std::int64_t at = ((channel * in_channels + c) * kernel[0] + i) * kernel[1] + j;
          const std::int64_t weight = pools ? 1 : weights[static_cast<std::size_t>(at)];
          if (weight != 0) input_and_weight((c * in_height + row) * in_width + column, weight);
        }
      }
    }
  }
};

struct Network {
  std::vector<std::int64_t> shape{};  // channels, height, width of an image
  std::int64_t pixel_min = 0, pixel_max = 0;
  std::int64_t levels = 0;
  std::vector<std::int64_t> thresholds{};  // levels x pixels
  std::vector<Layer> hidden{};
  Layer output{};
  std::vector<std::int64_t> bias{};
  std::int64_t shift = 0;

  std::int64_t pixels() const { return shape[0] * shape[1] * shape[2]; }
};

// Throws std::invalid_argument where the bytes are no model.
Network read_network(std::string_view file);

}  // namespace bnnhw::checker
