#include "random_question.hpp"

#include <algorithm>

namespace bnnhw::engine::tests {

namespace {

constexpr std::uint32_t samples = 12;

std::vector<std::int8_t> random_weights(Random& random, std::size_t count) {
  const std::uint64_t zeros = random.below(4);
  std::vector<std::int8_t> weights(count);
  for (std::int8_t& weight : weights) {
    weight = random.below(5) < zeros ? std::int8_t{0} : random.coin() ? std::int8_t{1} : std::int8_t{-1};
  }
  return weights;
}

PlainLayer random_layer(Random& random, const Shape& shape, bool may_pool) {
  PlainLayer layer;
  const std::uint64_t kind = shape.height * shape.width == 1 ? 0 : random.below(may_pool ? 4 : 3);
  layer.pool = kind == 3;
  layer.channels = layer.pool ? shape.channels : static_cast<std::uint32_t>(between(random, 1, kind == 0 ? 16 : 4));
  const std::uint32_t sides[2] = {shape.height, shape.width};
  for (int axis = 0; axis < 2; ++axis) {
    layer.kernel[axis] = kind == 0 ? sides[axis] : static_cast<std::uint32_t>(
                                                       between(random, 1, std::min<std::uint32_t>(3, sides[axis])));
    if (kind == 0) continue;
    layer.stride[axis] = static_cast<std::uint32_t>(between(random, 1, 2));
    if (!layer.pool) layer.padding[axis] = static_cast<std::uint32_t>(random.below(layer.kernel[axis]));
  }
  for (std::uint32_t i = 0; i < layer.channels; ++i) layer.flipped.push_back(random.below(3) == 0 ? 1 : 0);
  if (!layer.pool) {
    layer.weights = random_weights(random, static_cast<std::size_t>(layer.channels) * shape.channels *
                                               layer.kernel[0] * layer.kernel[1]);
  }
  return layer;
}

}  // namespace

std::int32_t between(Random& random, std::int64_t low, std::int64_t high) {
  return static_cast<std::int32_t>(low + static_cast<std::int64_t>(
                                             random.below(static_cast<std::uint64_t>(high - low) + 1)));
}

Image random_image(Random& random, std::uint32_t pixels, std::int32_t largest) {
  Image image(pixels);
  for (std::int32_t& value : image) value = between(random, 0, largest);
  return image;
}

PlainNetwork random_network(Random& random, const Shape& shape, std::int32_t largest, std::uint32_t classes,
                            std::uint32_t depth) {
  PlainNetwork network;
  network.shape = shape;
  const std::uint32_t levels = static_cast<std::uint32_t>(between(random, 1, 6));
  network.quantizer.resize(random.below(3) == 0 ? shape.size() : 1);
  for (auto& thresholds : network.quantizer) {
    for (std::uint32_t level = 0; level < levels; ++level) {
      thresholds.push_back(random.below(8) == 0 ? between(random, 0, largest + 1) : between(random, 1, largest));
    }
    std::sort(thresholds.begin(), thresholds.end());
  }
  std::vector<Integers> activations;
  for (std::uint32_t i = 0; i < samples; ++i) {
    activations.push_back(quantize(network, random_image(random, shape.size(), largest)));
  }
  Shape current = shape;
  for (std::uint32_t i = 0; i < depth; ++i) {
    PlainLayer layer = random_layer(random, current, i > 0);
    const Shape made = output_shape(layer, current);
    std::vector<Integers> sums;
    for (const Integers& one : activations) sums.push_back(accumulate(layer, current, one));
    const bool by_position = random.below(4) == 0;
    for (std::uint32_t at = 0; !layer.pool && at < (by_position ? made.size() : made.channels); ++at) {
      const std::uint32_t output = by_position ? at : at * made.height * made.width;
      layer.thresholds.push_back(static_cast<std::int32_t>(sums[random.below(samples)][output]) +
                                 between(random, -1, 1));
    }
    for (std::uint32_t one = 0; one < samples; ++one) activations[one] = compare(layer, current, sums[one]);
    network.hidden.push_back(std::move(layer));
    current = made;
  }
  network.shift = static_cast<std::uint32_t>(random.below(3));
  for (std::uint32_t one = 0; one < classes; ++one) network.output.push_back(random_weights(random, current.size()));
  for (std::uint32_t one = 0; one < classes; ++one) {
    // Every class has its best score somewhere.
    const Integers sums = multiply(network.output, activations[random.below(samples)]);
    network.bias.push_back(-sums[one] * (std::int64_t{1} << network.shift) + between(random, -2, 2));
  }
  return network;
}

Question random_question(Random& random, std::size_t most) {
  static const Shape shapes[] = {{1, 2, 2}, {1, 2, 3}, {1, 3, 3}, {2, 2, 2}, {1, 3, 4},
                                 {1, 1, 4}, {3, 1, 2}, {1, 4, 4}, {2, 4, 3}, {1, 5, 5}};
  Question question;
  const Shape shape = shapes[random.below(10)];
  const std::int32_t largest = between(random, 1, random.coin() ? 2 : 12);
  const auto classes = static_cast<std::uint32_t>(random.below(12) == 0 ? 1 : between(random, 2, 4));
  question.goal.kind = static_cast<Goal::Kind>(random.below(4));
  question.goal.ties_win = question.goal.kind == Goal::Kind::misclassified && random.below(3) == 0;
  const std::uint64_t networks = question.goal.kind == Goal::Kind::differ      ? 2
                                 : question.goal.kind == Goal::Kind::unanimous ? 1 + random.below(3)
                                                                               : 1;
  for (std::uint64_t i = 0; i < networks; ++i) {
    const auto depth = static_cast<std::uint32_t>(random.below(10) == 0 ? 0 : between(random, 1, 3));
    question.networks.push_back(random_network(random, shape, largest, classes, depth));
  }
  Region& region = question.region;
  region.image = random_image(random, shape.size(), largest);
  const std::int32_t radius = between(random, 1, largest);
  for (const std::int32_t value : region.image) {
    region.low.push_back(std::max(0, value - between(random, radius / 2, radius)));
    region.high.push_back(std::min(largest, value + between(random, radius / 2, radius)));
  }
  if (random.below(3) != 0) {
    region.budget = Budget{static_cast<Norm>(random.below(3)), between(random, 0, 8), {}};
    if (random.below(3) == 0) region.budget->weight.resize(region.image.size());
    for (std::int64_t& weight : region.budget->weight) weight = between(random, 0, 3);
  }
  while (members(region, most).empty()) {
    if (region.budget && region.budget->limit > 0 && random.coin()) {
      --region.budget->limit;
      continue;
    }
    const std::size_t pixel = random.below(region.image.size());
    region.low[pixel] = region.high[pixel] = region.image[pixel];
  }
  const std::vector<Trace> traces = infer(question.networks, region.image);
  question.goal.label = traces.front().predicted;
  if (random.below(8) == 0) question.goal.label = static_cast<std::uint32_t>(random.below(classes));
  question.goal.target = static_cast<std::uint32_t>(random.below(classes));
  return question;
}

}  // namespace bnnhw::engine::tests
