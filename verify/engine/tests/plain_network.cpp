#include "plain_network.hpp"

#include <algorithm>
#include <limits>

namespace bnnhw::engine::tests {

namespace {

// Calls visit(output, input, weight) for every tap of every window that lies inside the image.
template <typename Visit>
void for_each_tap(const PlainLayer& layer, const Shape& shape, const Visit& visit) {
  const Shape made = output_shape(layer, shape);
  std::uint32_t output = 0;
  for (std::uint32_t channel = 0; channel < made.channels; ++channel) {
    for (std::uint32_t y = 0; y < made.height; ++y) {
      for (std::uint32_t x = 0; x < made.width; ++x, ++output) {
        for (std::uint32_t from = 0; from < shape.channels; ++from) {
          if (layer.pool && from != channel) continue;
          for (std::uint32_t ky = 0; ky < layer.kernel[0]; ++ky) {
            for (std::uint32_t kx = 0; kx < layer.kernel[1]; ++kx) {
              const auto row = static_cast<std::int64_t>(y * layer.stride[0] + ky) - layer.padding[0];
              const auto column = static_cast<std::int64_t>(x * layer.stride[1] + kx) - layer.padding[1];
              if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
              const std::size_t tap =
                  ((static_cast<std::size_t>(channel) * shape.channels + from) * layer.kernel[0] + ky) *
                      layer.kernel[1] + kx;
              const auto input = static_cast<std::size_t>((from * shape.height + row) * shape.width + column);
              visit(output, input, layer.pool ? std::int8_t{1} : layer.weights[tap]);
            }
          }
        }
      }
    }
  }
}

std::int64_t threshold_of(const PlainLayer& layer, const Shape& made, std::size_t output) {
  const std::size_t channel = output / (made.height * made.width);
  if (layer.pool) return layer.flipped[channel] != 0 ? layer.kernel[0] * layer.kernel[1] : 1;
  return layer.thresholds[layer.thresholds.size() == made.channels ? channel : output];
}

bool less_equal(const PlainLayer& layer, const Shape& made, std::size_t output) {
  return !layer.pool && layer.flipped[output / (made.height * made.width)] != 0;
}

Matrix matrix_of(std::uint32_t columns, const std::vector<std::vector<Entry>>& rows) {
  std::vector<std::int64_t> begin{0};
  std::vector<std::int32_t> index;
  std::vector<std::int8_t> weight;
  for (const auto& row : rows) {
    for (const Entry& entry : row) {
      index.push_back(static_cast<std::int32_t>(entry.index));
      weight.push_back(static_cast<std::int8_t>(entry.weight));
    }
    begin.push_back(static_cast<std::int64_t>(index.size()));
  }
  return Matrix(static_cast<std::uint32_t>(rows.size()), columns, begin, index, weight);
}

}  // namespace

Shape output_shape(const PlainLayer& layer, const Shape& shape) {
  return Shape{layer.pool ? shape.channels : layer.channels,
               (shape.height + 2 * layer.padding[0] - layer.kernel[0]) / layer.stride[0] + 1,
               (shape.width + 2 * layer.padding[1] - layer.kernel[1]) / layer.stride[1] + 1};
}

Integers quantize(const PlainNetwork& network, const Image& image) {
  Integers levels(image.size());
  for (std::size_t pixel = 0; pixel < image.size(); ++pixel) {
    for (const std::int32_t threshold : network.quantizer[network.quantizer.size() == 1 ? 0 : pixel]) {
      if (image[pixel] >= threshold) ++levels[pixel];
    }
  }
  return levels;
}

Integers accumulate(const PlainLayer& layer, const Shape& shape, const Integers& activations) {
  Integers sums(output_shape(layer, shape).size());
  for_each_tap(layer, shape, [&](std::size_t output, std::size_t input, std::int8_t weight) {
    sums[output] += weight * activations[input];
  });
  return sums;
}

Integers compare(const PlainLayer& layer, const Shape& shape, const Integers& accumulators) {
  const Shape made = output_shape(layer, shape);
  Integers bits(accumulators.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const std::int64_t threshold = threshold_of(layer, made, i);
    bits[i] = (less_equal(layer, made, i) ? accumulators[i] <= threshold : accumulators[i] >= threshold) ? 1 : 0;
  }
  return bits;
}

Integers multiply(const std::vector<std::vector<std::int8_t>>& rows, const Integers& activations) {
  Integers sums;
  for (const auto& row : rows) {
    sums.push_back(0);
    for (std::size_t i = 0; i < row.size(); ++i) sums.back() += row[i] * activations[i];
  }
  return sums;
}

Trace infer(const PlainNetwork& network, const Image& image) {
  Trace trace;
  Shape shape = network.shape;
  Integers activations = quantize(network, image);
  for (const PlainLayer& layer : network.hidden) {
    activations = compare(layer, shape, accumulate(layer, shape, activations));
    trace.bits.push_back(activations);
    shape = output_shape(layer, shape);
  }
  trace.output = multiply(network.output, activations);
  for (std::size_t one = 0; one < trace.output.size(); ++one) {
    trace.scores.push_back(trace.output[one] * (std::int64_t{1} << network.shift) + network.bias[one]);
  }
  trace.predicted = static_cast<std::uint32_t>(std::max_element(trace.scores.begin(), trace.scores.end()) -
                                               trace.scores.begin());
  return trace;
}

Network translate(const PlainNetwork& network) {
  Network result;
  result.pixels = network.shape.size();
  result.levels = static_cast<std::uint32_t>(network.quantizer.front().size());
  for (const auto& thresholds : network.quantizer) {
    result.thresholds.insert(result.thresholds.end(), thresholds.begin(), thresholds.end());
  }
  Shape shape = network.shape;
  for (const PlainLayer& layer : network.hidden) {
    const Shape made = output_shape(layer, shape);
    std::vector<std::vector<Entry>> rows(made.size());
    Layer translated;
    for_each_tap(layer, shape, [&](std::size_t output, std::size_t input, std::int8_t weight) {
      rows[output].push_back(
          Entry{static_cast<std::uint32_t>(input), less_equal(layer, made, output) ? -weight : weight});
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      // The least of all thresholds has no negation; no sum is below it, just as none reaches the largest.
      const std::int64_t threshold = threshold_of(layer, made, i) * (less_equal(layer, made, i) ? -1 : 1);
      translated.threshold.push_back(static_cast<std::int32_t>(
          std::min<std::int64_t>(threshold, std::numeric_limits<std::int32_t>::max())));
    }
    translated.matrix = matrix_of(shape.size(), rows);
    result.hidden.push_back(std::move(translated));
    shape = made;
  }
  std::vector<std::vector<Entry>> rows;
  for (const auto& weights : network.output) {
    rows.emplace_back();
    for (std::uint32_t i = 0; i < weights.size(); ++i) rows.back().push_back(Entry{i, weights[i]});
  }
  result.output = matrix_of(shape.size(), rows);
  result.bias = network.bias;
  result.shift = network.shift;
  return result;
}

}  // namespace bnnhw::engine::tests
