// The network's whole state on one input, changed in small steps: every accumulator, bit and score stays exact while
// single activations move, and undo() returns to the last committed state. A changed input touches only the columns
// it feeds, so looking at a neighbour of an image costs a small part of an inference. Clean prediction, bounds,
// local search and enumeration all stand on this.
#pragma once

#include <cstdint>
#include <vector>

#include "network.hpp"

namespace bnnhw::engine {

struct Change {
  std::uint32_t index;
  std::int32_t delta;
};

class Evaluation {
 public:
  explicit Evaluation(const Network& network);

  // A committed state from scratch; levels: one per pixel.
  void start(Span<std::int32_t> levels);
  // Adds deltas to activations that enter the given stage: levels for stage 0, bits (delta +1 or -1) above.
  void apply(std::uint32_t stage, Span<Change> changes);
  void undo();
  void commit();

  // Accumulators of a stage's matrix, and for hidden stages whether each reaches its threshold.
  const std::vector<std::int32_t>& accumulators(std::uint32_t stage) const { return stages_[stage].now; }
  const std::vector<std::uint8_t>& bits(std::uint32_t stage) const { return stages_[stage].bits; }
  // In 64 bits, as a threshold may be any 32-bit integer.
  std::int64_t slack(std::uint32_t stage, std::uint32_t neuron) const {
    return static_cast<std::int64_t>(stages_[stage].now[neuron]) - network_->hidden[stage].threshold[neuron];
  }
  std::uint32_t predicted() const;
  // acc[winner] - acc[loser] of the output.
  std::int64_t difference(std::uint32_t winner, std::uint32_t loser) const {
    return static_cast<std::int64_t>(stages_.back().now[winner]) - stages_.back().now[loser];
  }
  const Network& network() const { return *network_; }

 private:
  struct Stage {
    std::vector<std::int32_t> now;
    std::vector<std::int32_t> committed;
    std::vector<std::uint8_t> bits;
    // Rows that differ, or may differ, from the committed state; meaningless while `everything` is set.
    std::vector<std::uint32_t> dirty;
    std::vector<std::uint8_t> is_dirty;
    bool everything = false;
    std::vector<std::uint32_t> touched;
    std::vector<std::uint8_t> is_touched;
    std::vector<Change> flips;
  };

  void add(std::uint32_t stage, Span<Change> changes);
  void collect_flips(std::uint32_t stage);

  const Network* network_;
  std::vector<Stage> stages_;
};

}  // namespace bnnhw::engine
