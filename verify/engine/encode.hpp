// From a region and a goal to clauses and reified linear constraints over the undecided bits only.
//
// One variable per step, "pixel >= threshold", with order clauses between neighbours in a pixel's chain: exactly the
// levels of the region's images remain. (Linking pairs that are not neighbours, in the wrong direction, silently
// removes inputs and "proves" networks robust that are not.) One variable per undecided bit: bit <-> weighted sum >=
// bound, a weight -w reading the negated literal, decided inputs folded into the bound. Constraints are written
// relative to the image's own evaluation, so only what can change is ever visited. Satisfiable means that the goal
// can be reached.
#pragma once

#include <cstdint>
#include <vector>

#include "bounds.hpp"
#include "evaluation.hpp"
#include "goal.hpp"
#include "region.hpp"
#include "solver.hpp"

namespace bnnhw::engine {

// Adds the query to an empty solver. Steps become the variables 1, 2, ... in their order. Throws std::length_error
// where the steps' costs are together beyond what the solver adds up.
void encode(const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds, const Region& region,
            const Steps& steps, const Goal& goal, solver::Solver& solver);

// Which steps a model of that formula takes.
std::vector<std::uint8_t> steps_taken(const Steps& steps, const std::vector<std::int8_t>& model);

}  // namespace bnnhw::engine
