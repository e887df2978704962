// A model file (docs/file-format.md), read without a word of the model reader's code.
//
// Every hidden layer becomes bit = (sum of weight * input >= threshold): what compares with <= enters negated, a dense
// layer is a kernel as large as its input, and pooling has weight 1 on its own channel.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

struct Tap {
  std::int32_t channel, row, column, weight;
};

struct Layer {
  std::int64_t channels = 0, height = 0, width = 0;           // of the output
  std::int64_t in_channels = 0, in_height = 0, in_width = 0;  // of the input
  std::int64_t kernel[2] = {0, 0}, stride[2] = {1, 1}, padding[2] = {0, 0};
  // What each channel adds up; `begin` is where its taps begin, and at the end where the last ones end.
  std::vector<Tap> taps{};
  // Of each tap in a window that has all: 2 * its place in the input, from the window's corner on, and 1 more if the
  // weight is -1. A quarter of the bytes, which is what evaluating a large network takes its time for.
  std::vector<std::uint32_t> places{};
  std::vector<std::size_t> begin{0};
  // Of each output, or of each channel.
  std::vector<std::int64_t> thresholds{};

  // place: in the kernel, by rows.
  void add_tap(std::int64_t channel, std::int64_t place, bool negative) {
    const std::int64_t row = place / kernel[1] % kernel[0], column = place % kernel[1];
    const std::int32_t weight = negative ? -1 : 1;
    taps.push_back({static_cast<std::int32_t>(channel), static_cast<std::int32_t>(row), static_cast<std::int32_t>(column), weight});
    places.push_back(static_cast<std::uint32_t>(2 * ((channel * in_height + row) * in_width + column) + (negative ? 1 : 0)));
  }
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
    const std::size_t first = begin[static_cast<std::size_t>(channel)], end = begin[static_cast<std::size_t>(channel) + 1];
    if (top >= 0 && left >= 0 && top + kernel[0] <= in_height && left + kernel[1] <= in_width) {
      const std::int64_t corner = top * in_width + left;
      for (const std::uint32_t* place = places.data() + first; place != places.data() + end; ++place) {
        input_and_weight(corner + *place / 2, 1 - 2 * static_cast<std::int64_t>(*place % 2));
      }
      return;
    }
    for (std::size_t k = first; k < end; ++k) {
      const std::int64_t row = top + taps[k].row, column = left + taps[k].column;
      if (row < 0 || row >= in_height || column < 0 || column >= in_width) continue;
      input_and_weight((taps[k].channel * in_height + row) * in_width + column, std::int64_t{taps[k].weight});
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
