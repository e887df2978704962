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
#include "proof_writer.hpp"
#include "solver.hpp"

namespace bnnhw::engine {

// What a proof calls the variables of a question, whatever bounds have decided: the constant true, the steps, every
// hidden bit (network by network, layer by layer, in C, H, W order), then per network a comparison of each ordered pair
// of classes, then per network whether each class wins, then whether the networks together make each class a
// counterexample. A constraint is called like the variable it defines, the budget 0 (docs/certificates.md).
class CanonicalNames {
 public:
  static constexpr std::uint32_t budget = 0;  // the constraint's

  CanonicalNames(const std::vector<Evaluation>& clean, const Steps& steps);

  std::uint32_t bit(std::size_t network, std::uint32_t stage, std::uint32_t neuron) const {
    return first_bit_[network][stage] + neuron;
  }
  std::uint32_t comparison(std::size_t network, std::uint32_t winner, std::uint32_t loser) const {
    return first_comparison_ + (static_cast<std::uint32_t>(network) * classes_ + winner) * classes_ + loser;
  }
  std::uint32_t wins(std::size_t network, std::uint32_t one) const {
    return first_win_ + static_cast<std::uint32_t>(network) * classes_ + one;
  }
  std::uint32_t reached_by(std::uint32_t one) const {
    return first_win_ + static_cast<std::uint32_t>(first_bit_.size()) * classes_ + one;
  }

 private:
  std::uint32_t classes_;
  std::vector<std::vector<std::uint32_t>> first_bit_;
  std::uint32_t first_comparison_;
  std::uint32_t first_win_;
};

// Adds the query to an empty solver. Steps become the variables 1, 2, ... in their order. Throws std::length_error
// where the steps' costs are together beyond what the solver adds up. Returns what the solver's variables and
// constraints are called in a proof.
solver::ProofNames encode(const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds, const Region& region,
                          const Steps& steps, const Goal& goal, solver::Solver& solver);

// Which steps a model of that formula takes.
std::vector<std::uint8_t> steps_taken(const Steps& steps, const std::vector<std::int8_t>& model);

}  // namespace bnnhw::engine
