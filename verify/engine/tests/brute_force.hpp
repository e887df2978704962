// Brute force over a region's images by plain inference: which answers are right.
#pragma once

#include <cstdint>
#include <vector>

#include "goal.hpp"
#include "plain_network.hpp"
#include "region.hpp"

namespace bnnhw::engine::tests {

// What going from the region's image to another costs against its budget, by definition.
std::int64_t cost_of(const Region& region, const Image& image);
bool contains(const Region& region, const Image& image);
// Every image of the region, at most `most`; nothing where there are more.
std::vector<Image> members(const Region& region, std::size_t most);
// Does the image reach the goal?
bool reaches(const Goal& goal, const std::vector<Trace>& traces);
std::vector<Trace> infer(const std::vector<PlainNetwork>& networks, const Image& image);

}  // namespace bnnhw::engine::tests
