// Steps stand for a region's images: each image takes a prefix of its pixels' chains, the image made of those steps has
// the same levels in every network, costs no more, and its cost is exactly the sum of what the steps are charged.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "brute_force.hpp"
#include "check.hpp"
#include "random_question.hpp"
#include "region.hpp"

using namespace bnnhw::engine;
using namespace bnnhw::engine::tests;

namespace {

void steps_stand_for_images() {
  Random random(4);
  std::size_t checked = 0;
  std::size_t moved = 0;
  for (int round = 0; round < 1000; ++round) {
    const Question question = random_question(random, 200);
    std::vector<Network> networks;
    std::vector<const Network*> pointers;
    for (const PlainNetwork& network : question.networks) networks.push_back(translate(network));
    for (const Network& network : networks) pointers.push_back(&network);
    const Region& region = question.region;
    const Steps steps = find_steps(pointers, region);
    std::vector<std::uint8_t> ever(steps.steps.size());
    for (const Image& image : members(region, 200)) {
      std::vector<std::uint8_t> taken(steps.steps.size());
      std::int64_t charged = 0;
      for (std::size_t i = 0; i < taken.size(); ++i) {
        const Step& step = steps.steps[i];
        CHECK(i < steps.begin[step.pixel + 1] && i >= steps.begin[step.pixel]);
        taken[i] = (image[step.pixel] >= step.threshold) == step.up ? 1 : 0;
        ever[i] = taken[i] != 0 ? 1 : ever[i];
        charged += taken[i] != 0 ? step.cost : 0;
      }
      const Image cheapest = image_of(region, steps, taken);
      CHECK(contains(region, cheapest));
      if (region.budget) {
        CHECK(cost_of(region, cheapest) == charged);
        CHECK(charged <= cost_of(region, image));
      }
      for (std::size_t index = 0; index < networks.size(); ++index) {
        const Integers levels = quantize(question.networks[index], image);
        CHECK(quantize(question.networks[index], cheapest) == levels);
        Integers counted = quantize(question.networks[index], region.image);
        for (std::size_t i = 0; i < taken.size(); ++i) {
          if (taken[i] != 0) counted[steps.steps[i].pixel] += steps.delta(index, i);
        }
        CHECK(counted == levels);
      }
      ++checked;
      moved += cheapest != image && cheapest != region.image ? 1 : 0;
    }
    // No step without an image that takes it.
    for (const std::uint8_t one : ever) CHECK(one != 0);
  }
  std::printf("%zu images, %zu of them not the cheapest with their levels\n", checked, moved);
  CHECK(checked > 30000 && moved > 10000);
}

void levels_count_thresholds() {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    const PlainNetwork plain = random_network(random, Shape{1, 2, 3}, 9, 2, 1);
    const Network network = translate(plain);
    for (std::int32_t value = -1; value <= 11; ++value) {
      const Integers levels = quantize(plain, Image(6, value));
      for (std::uint32_t pixel = 0; pixel < 6; ++pixel) CHECK(network.level(pixel, value) == levels[pixel]);
    }
  }
}

}  // namespace

int main() {
  steps_stand_for_images();
  levels_count_thresholds();
  return 0;
}
