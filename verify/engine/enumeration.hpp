// Every image of a small budget, without looking at every image.
//
// Subsets of changes are walked depth first, on the slacks of the first-layer neurons that the bounds left undecided.
// At each subset the last change to be added is never tried one by one: only neurons within one change of their
// threshold can flip, each has a precomputed bit set of the changes that flip it, and splitting the set of allowed
// changes by those neurons gives every first-layer pattern one change away. A pattern is evaluated once, by the
// network's remaining layers, and remembered by its exact bits. Budgets of k changes cost about n^(k-1) such splits.
#pragma once

#include <cstdint>
#include <vector>

#include "bounds.hpp"
#include "evaluation.hpp"
#include "goal.hpp"
#include "region.hpp"
#include "stop.hpp"

namespace bnnhw::engine {

enum class Search { complete, found, stopped, declined };

struct Enumeration {
  Search outcome = Search::declined;
  // The counterexample's steps, if found.
  std::vector<std::uint8_t> taken;
  std::uint64_t subsets = 0;
  std::uint64_t patterns = 0;
};

// Declines regions without a budget, networks without a hidden layer, and whatever would take more than most_subsets.
// The clean image itself is not tried. evaluations: at the clean image, and again so on return.
Enumeration enumerate(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
                      const Steps& steps, const Goal& goal, double most_subsets, Stop& stop);

// Can a checker of proofs try every set of steps within the budget? It takes one after the other, and knows of a step
// only what it costs: none may be free.
bool checkable(const Region& region, const Steps& steps);

}  // namespace bnnhw::engine
