#include "region.hpp"

#include <algorithm>

namespace bnnhw::engine {

namespace {

// What a change by `distance` > 0 costs; nothing where that is over the budget, however far beyond 64 bits.
std::optional<std::int64_t> cost_of(const Budget& budget, std::uint32_t pixel, std::int64_t distance) {
  const std::int64_t weight = budget.weight.empty() ? 1 : budget.weight[pixel];
  if (weight == 0) return 0;
  std::int64_t most = budget.limit / weight;
  if (budget.norm == Norm::l2_squared) most /= distance;
  if ((budget.norm == Norm::l0 ? 1 : distance) > most) return std::nullopt;
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
  std::int64_t total = 0;
  // Charges the next step of a way from the image's value; false where the budget does not get there.
  const auto charge_one = [&](Step& step) {
    const std::int64_t value = region.image[step.pixel];
    const std::optional<std::int64_t> cost =
        cost_of(budget, step.pixel, step.up ? step.threshold - value : value - step.threshold + 1);
    if (!cost) return false;
    step.cost = *cost - total;
    total = *cost;
    return true;
  };
  const auto first_up = std::find_if(chain.begin(), chain.end(), [](const Step& step) { return step.up; });
  auto end = first_up;
  while (end != chain.end() && charge_one(*end)) ++end;
  total = 0;
  auto begin = first_up;
  while (begin != chain.begin() && charge_one(*(begin - 1))) --begin;
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
      const Span<std::int32_t> at = network->pixel_thresholds(pixel);
      const std::int32_t* const end = std::upper_bound(at.begin(), at.end(), region.high[pixel]);
      for (auto threshold = std::upper_bound(at.begin(), end, region.low[pixel]); threshold != end; ++threshold) {
        if (!chain.empty() && chain.back().threshold == *threshold) continue;
        chain.push_back(Step{pixel, *threshold, *threshold > region.image[pixel], 0});
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
