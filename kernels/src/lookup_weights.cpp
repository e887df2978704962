// Weights as codes of six bits.
#include <algorithm>
#include <stdexcept>

#include "lookup_products.hpp"

namespace bnnhw::kernels {

LookupWeights::LookupWeights(const std::int8_t* weights, std::size_t outputs, std::size_t inputs)
    : outputs_(outputs),
      inputs_(inputs),
      codes_((inputs + 2 * kCodeInputs - 1) / (2 * kCodeInputs) * 2),
      table_(blocks() * codes_),
      negatives_(blocks() * kLookupOutputs) {
  if (inputs > kMostLookupInputs) throw std::invalid_argument("an output has too many inputs to look sums up");
  if (std::count(weights, weights + outputs * inputs, 0) != 0) {
    throw std::invalid_argument("a weight is zero: sums are looked up for weights -1 and +1");
  }
  for (std::size_t o = 0; o < blocks() * kLookupOutputs; ++o) {
    const std::size_t within = o % kLookupOutputs;
    Codes* const block = table_.data() + o / kLookupOutputs * codes_;
    for (std::size_t k = 0; k < codes_ * kCodeInputs; ++k) {
      // Past the inputs a row's bits are 0, with which +1 does not agree.
      const bool negative = o < outputs && k < inputs && weights[o * inputs + k] < 0;
      negatives_[o] += negative;
      if (negative) continue;
      block[k / kCodeInputs].of[within % 16 * 4 + within / 16] |= static_cast<std::uint8_t>(1u << k % kCodeInputs);
    }
  }
}

}  // namespace bnnhw::kernels
