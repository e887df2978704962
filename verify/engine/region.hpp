// What an adversary may do to one image, as the networks see it: steps.
//
// A network notices a pixel only where its value passes a quantizer threshold. Each distinct threshold that a pixel
// can pass inside its box becomes one step, "pixel >= threshold", and the steps of a pixel form a chain: passing the
// second needs passing the first. A budget charges for distance; a step is charged what it adds to the cheapest way
// of getting there, so the total over the steps taken is exactly the cost of the cheapest image with those levels.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "network.hpp"

namespace bnnhw::engine {

// What a change of a pixel by d costs, times the pixel's weight: 1, |d| or d * d.
enum class Norm { l0, l1, l2_squared };

struct Budget {
  Norm norm = Norm::l0;
  std::int64_t limit = 0;
  // One per pixel, not negative; none stands for all ones.
  std::vector<std::int64_t> weight;
};

struct Region {
  std::vector<std::int32_t> image;
  // The box, containing the image.
  std::vector<std::int32_t> low;
  std::vector<std::int32_t> high;
  std::optional<Budget> budget;
};

struct Step {
  std::uint32_t pixel;
  std::int32_t threshold;
  // Does taking the step raise the pixel past the threshold, or lower it below?
  bool up;
  // Charged against the budget when the step is taken; 0 without a budget.
  std::int64_t cost;
};

struct Steps {
  // By pixel, then threshold.
  std::vector<Step> steps;
  // Of network n, step s: how many of its quantizer's thresholds the step passes, gains[n * steps.size() + s].
  std::vector<std::int32_t> gains;
  // Range of each pixel's steps: begin[pixel] to begin[pixel + 1].
  std::vector<std::uint32_t> begin;

  // The change in a network's level when the step is taken.
  std::int32_t delta(std::size_t network, std::size_t step) const {
    const std::int32_t gain = gains[network * steps.size() + step];
    return steps[step].up ? gain : -gain;
  }
};

// The steps that some image of the region takes. Networks share one image shape.
Steps find_steps(const std::vector<const Network*>& networks, const Region& region);

// The image of the region closest to the original that takes exactly the given steps (one flag each).
std::vector<std::int32_t> image_of(const Region& region, const Steps& steps, const std::vector<std::uint8_t>& taken);

}  // namespace bnnhw::engine
