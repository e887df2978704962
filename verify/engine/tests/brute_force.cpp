#include "brute_force.hpp"

#include <cstdlib>

namespace bnnhw::engine::tests {

namespace {

std::int64_t cost_of_pixel(const Region& region, std::size_t pixel, std::int32_t value) {
  const std::int64_t distance = std::abs(static_cast<std::int64_t>(value) - region.image[pixel]);
  const std::int64_t weight = region.budget->weight.empty() ? 1 : region.budget->weight[pixel];
  if (region.budget->norm == Norm::l0) return distance == 0 ? 0 : weight;
  return region.budget->norm == Norm::l1 ? weight * distance : weight * distance * distance;
}

void extend(const Region& region, std::size_t most, std::int64_t left, Image& image, std::vector<Image>& all) {
  const std::size_t pixel = image.size();
  if (pixel == region.image.size()) {
    all.push_back(image);
    return;
  }
  for (std::int32_t value = region.low[pixel]; value <= region.high[pixel] && all.size() <= most; ++value) {
    const std::int64_t cost = region.budget ? cost_of_pixel(region, pixel, value) : 0;
    if (cost > left) continue;
    image.push_back(value);
    extend(region, most, left - cost, image, all);
    image.pop_back();
  }
}

}  // namespace

std::int64_t cost_of(const Region& region, const Image& image) {
  std::int64_t total = 0;
  for (std::size_t pixel = 0; pixel < image.size(); ++pixel) total += cost_of_pixel(region, pixel, image[pixel]);
  return total;
}

bool contains(const Region& region, const Image& image) {
  for (std::size_t pixel = 0; pixel < image.size(); ++pixel) {
    if (image[pixel] < region.low[pixel] || image[pixel] > region.high[pixel]) return false;
  }
  return !region.budget || cost_of(region, image) <= region.budget->limit;
}

std::vector<Image> members(const Region& region, std::size_t most) {
  std::vector<Image> all;
  Image image;
  extend(region, most, region.budget ? region.budget->limit : 0, image, all);
  if (all.size() > most) all.clear();
  return all;
}

bool reaches(const Goal& goal, const std::vector<Trace>& traces) {
  const Trace& first = traces.front();
  switch (goal.kind) {
    case Goal::Kind::targeted: return first.predicted == goal.target;
    case Goal::Kind::differ: return first.predicted != traces[1].predicted;
    case Goal::Kind::unanimous:
      for (const Trace& trace : traces) {
        if (trace.predicted != first.predicted || trace.predicted == goal.label) return false;
      }
      return true;
    case Goal::Kind::misclassified: break;
  }
  for (std::size_t one = 0; goal.ties_win && one < first.scores.size(); ++one) {
    if (one != goal.label && first.scores[one] >= first.scores[goal.label]) return true;
  }
  return first.predicted != goal.label;
}

std::vector<Trace> infer(const std::vector<PlainNetwork>& networks, const Image& image) {
  std::vector<Trace> traces;
  for (const PlainNetwork& network : networks) traces.push_back(infer(network, image));
  return traces;
}

}  // namespace bnnhw::engine::tests
