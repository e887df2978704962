// Local search for a counterexample on the integer model itself.
//
// Gradients of a network of signs are guesses; its slacks are facts. The score to climb is the rival's lead plus, for
// every undecided neuron of the last hidden layer, how close it stands to the side that favours the rival: progress
// shows long before a bit flips. Moves take one step of one pixel back or forth, under a budget in exchange for
// another pixel's; equal moves are accepted, worse ones sometimes (annealing), and every restart aims at the rival
// that the bounds leave most room, the next at the next. Deterministic by seed.
#pragma once

#include <cstdint>
#include <vector>

#include "bounds.hpp"
#include "enumeration.hpp"
#include "evaluation.hpp"
#include "goal.hpp"
#include "region.hpp"
#include "stop.hpp"

namespace bnnhw::engine {

struct Attack {
  // found, stopped, or complete where the moves ran out.
  Search outcome = Search::complete;
  std::vector<std::uint8_t> taken;
  std::uint64_t evaluations = 0;
};

// evaluations: at the clean image; left wherever the search ended.
Attack attack(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
              const Steps& steps, const Goal& goal, std::uint64_t seed, std::uint64_t most_evaluations, Stop& stop);

}  // namespace bnnhw::engine
