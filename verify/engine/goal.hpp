// What counts as a counterexample: a condition on the classes that the networks give one image.
#pragma once

#include <cstdint>
#include <vector>

#include "bounds.hpp"
#include "evaluation.hpp"

namespace bnnhw::engine {

struct Goal {
  enum class Kind {
    // The (one) network does not give `label`. With ties_win, not strictly: some class scores at least as much.
    misclassified,
    // The (one) network gives `target`.
    targeted,
    // All networks give the same class, and it is not `label`.
    unanimous,
    // The two networks give different classes.
    differ
  };

  Kind kind = Kind::misclassified;
  std::uint32_t label = 0;
  std::uint32_t target = 0;
  bool ties_win = false;
};

// Does the state that the evaluations are in reach the goal?
bool reached(const Goal& goal, const std::vector<Evaluation>& evaluations);

// Can interval bounds exclude the goal? Then no image of the region reaches it. The sink, if there is one, hears why.
bool excluded(const Goal& goal, const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds,
              PresolveSink* sink);

// May `winner` rank above `loser` somewhere in the region, as far as the bounds tell?
bool may_beat(const Bounds& bounds, const Network& network, std::uint32_t winner, std::uint32_t loser, bool ties_win);

}  // namespace bnnhw::engine
