// Which bits can change at all inside the region: exact integer intervals, layer by layer.
//
// Relative to the image's own evaluation, every accumulator may rise and fall by what its undecided inputs allow. For
// inputs that vary independently that interval is reached, so a bit decided here is decided. Under a budget the first
// layer's inputs do not vary independently: each neuron's worst case is a knapsack, bounded by its linear relaxation
// (cheapest gain first, the last item in part). That bound is one linear combination, the neuron's constraint plus a
// multiple of the budget's, which is how a proof writes it; unit propagation alone cannot see it, and on queries of
// few changes it decides nine of ten neurons.
#pragma once

#include <cstdint>
#include <vector>

#include "evaluation.hpp"
#include "region.hpp"

namespace bnnhw::engine {

// A bit that the bounds decided although its inputs are not all decided: hidden bit `neuron` of `layer` keeps its
// value because its constraint plus `numerator / denominator` times the budget constraint (0 / 1 without) says so. In
// that sum's worst case the accumulator still stays `slack` >= 0 on its side of the threshold.
struct Decision {
  std::uint32_t network;
  std::uint32_t layer;
  std::uint32_t neuron;
  bool bit;
  std::int64_t numerator;
  std::int64_t denominator;
  std::int64_t slack;
};

// In one network, acc[winner] - acc[loser] of the output is nowhere more than `most`: too little for `winner` to rank
// above `loser`.
struct ScoreBound {
  std::uint32_t network;
  std::uint32_t winner;
  std::uint32_t loser;
  std::int64_t most;
};

// Where presolve reports what it derived, in an order in which each step follows from those before: decided bits by
// network and layer, then the score bounds that speak against the goal. A verdict of the bounds alone rests on nothing
// else; a bit none of whose inputs can change is not worth a report.
class PresolveSink {
 public:
  virtual ~PresolveSink() = default;
  virtual void decided(const Decision& decision) = 0;
  virtual void bounded(const ScoreBound& bound) = 0;

 protected:
  PresolveSink() = default;
  PresolveSink(const PresolveSink&) = default;
  PresolveSink& operator=(const PresolveSink&) = default;
};

// The undecided bits of one network's hidden layers, ascending per layer.
using Undecided = std::vector<std::vector<std::uint32_t>>;

class Bounds {
 public:
  explicit Bounds(const Network& network);

  // clean: the committed evaluation of the region's image. index: the network's place in steps.gains.
  void propagate(const Evaluation& clean, const Region& region, const Steps& steps, std::size_t index,
                 PresolveSink* sink);

  const Undecided& undecided() const { return undecided_; }
  // The most that acc[winner] - acc[loser] can be anywhere in the region.
  std::int64_t largest_difference(std::uint32_t winner, std::uint32_t loser) const;

 private:
  struct Reach {
    std::int64_t up = 0;
    std::int64_t down = 0;
    std::int64_t up_budget = 0;
    std::int64_t down_budget = 0;
    // The budget's multiplier where the relaxation stopped, as a fraction of gain over cost.
    std::int64_t up_gain = 0, up_cost = 1, down_gain = 0, down_cost = 1;
  };

  void spread(std::uint32_t stage, std::uint32_t activation, std::int32_t delta);
  void spread_budgeted(const Region& region, const Steps& steps, std::size_t index);
  void settle(std::uint32_t stage, const Evaluation& clean, std::size_t index, bool budgeted, PresolveSink* sink);

  const Network* network_;
  std::vector<Reach> reach_;
  std::vector<std::uint32_t> touched_;
  std::vector<std::uint8_t> is_touched_;
  Undecided undecided_;
  const Evaluation* clean_ = nullptr;
  // What enters the output stage undecided: its index and change.
  std::vector<Change> last_;
};

}  // namespace bnnhw::engine
