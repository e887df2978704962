// One question about one image, asked stage by stage, cheapest first; each stage is exact. The stages share the
// image's evaluation, so what one computed the next reuses; which to run, and for how long, is the caller's choice.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attack.hpp"
#include "bounds.hpp"
#include "encode.hpp"
#include "enumeration.hpp"
#include "evaluation.hpp"
#include "goal.hpp"
#include "region.hpp"

namespace bnnhw::engine {

class Query {
 public:
  // Throws std::invalid_argument where networks, region and goal do not fit together. The networks must outlive it.
  Query(std::vector<const Network*> networks, Region region, const Goal& goal);

  // Classes of the image itself, one per network; does the image itself reach the goal?
  std::vector<std::uint32_t> predicted() const;
  bool clean_reaches() const { return reached(goal_, clean_); }

  // Before bound(): the stages that follow report to the writer, which must outlive them, what makes a proof.
  void set_proof(solver::ProofWriter* proof) { proof_ = proof; }
  // Steps, then bounds; true where these exclude the goal, so that no image of the region reaches it.
  bool bound(PresolveSink* sink = nullptr);
  const Steps& steps() const { return steps_; }
  const std::vector<Bounds>& bounds() const { return bounds_; }

  // After bound(); std::logic_error without it.
  Enumeration enumerate(double most_subsets, Stop& stop);
  Attack attack(std::uint64_t seed, std::uint64_t most_evaluations, Stop& stop);
  // Into a solver that is still empty.
  void encode(solver::Solver& solver) const;
  std::vector<std::int32_t> image_of(const std::vector<std::uint8_t>& taken) const {
    return engine::image_of(region_, steps_, taken);
  }

 private:
  void require_bounds() const;

  std::vector<const Network*> networks_;
  Region region_;
  Goal goal_;
  std::vector<Evaluation> clean_;
  Steps steps_;
  std::vector<Bounds> bounds_;
  solver::ProofWriter* proof_ = nullptr;
};

}  // namespace bnnhw::engine
