// The model reader: any bytes are a network or are refused, and a network that was read can be walked through: every
// input of every output is one that there is.
#include <stdexcept>

#include "network.hpp"
#include "sections.hpp"

using namespace bnnhw::checker;

namespace {

void walk(const Layer& layer, bool hidden) {
  const std::int64_t inputs = layer.in_channels * layer.in_height * layer.in_width;
  if (static_cast<std::int64_t>(layer.taps.size()) > 1 << 16) return;
  for (std::int64_t output = 0; output < layer.size() && output < 64; ++output) {
    if (hidden) layer.threshold(output);
    layer.visit(output, [inputs](std::int64_t input, std::int64_t weight) {
      if (input < 0 || input >= inputs || (weight != 1 && weight != -1)) fuzz::wrong("a tap outside the layer");
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Network network = read_network({reinterpret_cast<const char*>(data), size});
    for (const Layer& layer : network.hidden) walk(layer, true);
    walk(network.output, false);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit, unsigned seed) {
  std::string file(reinterpret_cast<const char*>(data), size);
  fuzz::mutate_model(file, seed);
  return fuzz::hand_back(file, data, limit);
}
