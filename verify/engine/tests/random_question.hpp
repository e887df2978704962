// Random questions that are hard enough to matter: thresholds and biases are taken from the accumulators of random
// images, so that bits and classes flip inside small regions, and regions are cut down until brute force can list them.
#pragma once

#include <vector>

#include "brute_force.hpp"
#include "plain_network.hpp"
#include "random.hpp"

namespace bnnhw::engine::tests {

struct Question {
  std::vector<PlainNetwork> networks;
  Region region;
  Goal goal;
};

using solver::Random;

// From low up to and including high.
std::int32_t between(Random& random, std::int64_t low, std::int64_t high);
Image random_image(Random& random, std::uint32_t pixels, std::int32_t largest);
PlainNetwork random_network(Random& random, const Shape& shape, std::int32_t largest, std::uint32_t classes,
                            std::uint32_t depth);
// The region has at most `most` images.
Question random_question(Random& random, std::size_t most);

}  // namespace bnnhw::engine::tests
