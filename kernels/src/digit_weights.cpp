// Weights as digits: which way of chaining they allow, and the bytes of it.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "digit_products.hpp"

namespace bnnhw::kernels {

namespace {

constexpr std::size_t most_inputs_in_two = 2047;
constexpr std::size_t most_inputs_as_ones = 8192;

}  // namespace

DigitWeights::DigitWeights(const std::int8_t* weights, std::size_t outputs, std::size_t inputs) : outputs_(outputs) {
  std::size_t most = 0;
  bool zeros = false;
  for (std::size_t o = 0; o < outputs; ++o) {
    const auto none = static_cast<std::size_t>(std::count(weights + o * inputs, weights + (o + 1) * inputs, 0));
    most = std::max(most, inputs - none);
    zeros = zeros || none != 0;
  }
  if (most > kMostDigitInputs) throw std::invalid_argument("an output has too many inputs for digits");
  digits_ = most <= most_inputs_in_two                ? Digits::three_in_two
            : !zeros && inputs <= most_inputs_as_ones ? Digits::ones_three_in_two
                                                      : Digits::four_in_three;
  const bool ones = digits_ == Digits::ones_three_in_two;
  const int base = ones ? -128 : 64;
  const std::size_t together = kTileOutputs * (chain() + 1);
  const std::size_t groups = (outputs + together - 1) / together;
  std::vector<std::int8_t> encoded(groups * chain() * kTileOutputs * inputs);
  const auto digit = [&](std::size_t o, std::size_t i) {
    const int weight = o < outputs ? weights[o * inputs + i] : 0;
    return ones ? weight > 0 : weight;
  };
  for (std::size_t column = 0; column < groups * chain() * kTileOutputs; ++column) {
    const std::size_t tile = column / kTileOutputs;
    const std::size_t o = tile / chain() * together + tile % chain() * kTileOutputs + column % kTileOutputs;
    for (std::size_t i = 0; i < inputs; ++i) {
      encoded[column * inputs + i] = static_cast<std::int8_t>(digit(o, i) + base * digit(o + kTileOutputs, i));
    }
  }
  tiles_.emplace(encoded.data(), groups * chain() * kTileOutputs, 1, inputs);
}

}  // namespace bnnhw::kernels
