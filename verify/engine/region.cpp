#include "region.hpp"

#include <algorithm>

namespace bnnhw::engine {

namespace {

std::int64_t cost_of(const Budget& budget, std::uint32_t pixel, std::int64_t distance) {
  const std::int64_t weight = budget.weight.empty() ? 1 : budget.weight[pixel];
  switch (budget.norm) {
    case Norm::l0: return weight;
    case Norm::l1: return weight * distance;
    case Norm::l2_squared: break;
  }
  return weight * distance * distance;
}

// Keeps what the budget can reach, charged by what each adds to the one before on the way from the image's value.
void charge(const Region& region, std::vector<Step>& chain) {
  if (!region.budget) return;
  const Budget& budget = *region.budget;
  const auto charge_one = [&](Step& step, std::int64_t before) {
    const std::int64_t value = region.image[step.pixel];
    const std::int64_t distance = step.up ? step.threshold - value : value - step.threshold + 1;
    const std::int64_t total = cost_of(budget, step.pixel, distance);
    step.cost = total - before;
    return total;
  };
  const auto first_up = std::find_if(chain.begin(), chain.end(), [](const Step& step) { return step.up; });
  std::int64_t total = 0;
  auto end = first_up;
  for (; end != chain.end(); ++end) {
    total = charge_one(*end, total);
    if (total > budget.limit) break;
  }
  total = 0;
  auto begin = first_up;
  for (; begin != chain.begin(); --begin) {
    total = charge_one(*(begin - 1), total);
    if (total > budget.limit) break;
  }
  chain.erase(end, chain.end());
  chain.erase(chain.begin(), begin);
}

}  // namespace

Steps find_steps(const std::vector<const Network*>& networks, const Region& region) {
  Steps found;
  const auto pixels = static_cast<std::uint32_t>(region.image.size());
  found.begin.reserve(pixels + 1);
  std::vector<Step> chain;
  for (std::uint32_t pixel = 0; pixel < pixels; ++pixel) {
    found.begin.push_back(static_cast<std::uint32_t>(found.steps.size()));
    chain.clear();
    for (const Network* network : networks) {
      for (const std::int32_t threshold : network->pixel_thresholds(pixel)) {
        if (threshold <= region.low[pixel] || threshold > region.high[pixel]) continue;
        chain.push_back(Step{pixel, threshold, threshold > region.image[pixel], 0});
      }
    }
    if (chain.empty()) continue;
    if (networks.size() > 1) {
      std::sort(chain.begin(), chain.end(), [](const Step& a, const Step& b) { return a.threshold < b.threshold; });
    }
    const auto same = [](const Step& a, const Step& b) { return a.threshold == b.threshold; };
    chain.erase(std::unique(chain.begin(), chain.end(), same), chain.end());
    charge(region, chain);
    found.steps.insert(found.steps.end(), chain.begin(), chain.end());
  }
  found.begin.push_back(static_cast<std::uint32_t>(found.steps.size()));
  found.gains.reserve(networks.size() * found.steps.size());
  for (const Network* network : networks) {
    for (const Step& step : found.steps) {
      const Span<std::int32_t> at = network->pixel_thresholds(step.pixel);
      const auto range = std::equal_range(at.begin(), at.end(), step.threshold);
      found.gains.push_back(static_cast<std::int32_t>(range.second - range.first));
    }
  }
  return found;
}

std::vector<std::int32_t> image_of(const Region& region, const Steps& steps, const std::vector<std::uint8_t>& taken) {
  std::vector<std::int32_t> image = region.image;
  for (std::size_t i = 0; i < steps.steps.size(); ++i) {
    if (taken[i] == 0) continue;
    const Step& step = steps.steps[i];
    std::int32_t& value = image[step.pixel];
    value = step.up ? std::max(value, step.threshold) : std::min(value, step.threshold - 1);
  }
  return image;
}

}  // namespace bnnhw::engine
