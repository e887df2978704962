// Which variable to decide next: the one with the highest exponentially decayed activity, kept in a binary heap
// (VSIDS, Moskewicz et al. 2001, in the growing-increment form of MiniSat; analysed by Biere and Froehlich,
// "Evaluating CDCL variable scoring schemes", SAT 2015). A weight per variable multiplies its bump: in networks,
// bumping the early layers more can halve the conflicts.
#pragma once

#include <cstdint>
#include <vector>

#include "literal.hpp"

namespace bnnhw::solver {

class DecisionHeap {
 public:
  void add_variables(std::size_t count) {
    activity_.resize(activity_.size() + count, 0.0);
    weight_.resize(weight_.size() + count, 1.0);
    slot_.resize(slot_.size() + count, absent);
  }

  bool empty() const { return heap_.empty(); }
  bool contains(Variable variable) const { return slot_[variable] != absent; }
  double activity(Variable variable) const { return activity_[variable]; }
  void set_weight(Variable variable, double weight) { weight_[variable] = weight; }

  void insert(Variable variable) {
    if (contains(variable)) return;
    slot_[variable] = static_cast<std::uint32_t>(heap_.size());
    heap_.push_back(variable);
    sift_up(slot_[variable]);
  }

  Variable top() const { return heap_.front(); }

  Variable pop() {
    const Variable best = heap_.front();
    const Variable last = heap_.back();
    heap_.pop_back();
    slot_[best] = absent;
    if (!heap_.empty()) {
      heap_[0] = last;
      slot_[last] = 0;
      sift_down(0);
    }
    return best;
  }

  void bump(Variable variable) {
    activity_[variable] += increment_ * weight_[variable];
    if (activity_[variable] > rescale_above) rescale();
    if (contains(variable)) sift_up(slot_[variable]);
  }

  void decay() { increment_ *= 1.0 / decay_factor; }

  std::size_t memory_bytes() const {
    return (activity_.capacity() + weight_.capacity()) * sizeof(double) +
           (slot_.capacity() + heap_.capacity()) * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::uint32_t absent = 0xFFFFFFFFu;
  static constexpr double decay_factor = 0.95;
  static constexpr double rescale_above = 1e100;

  // Ties go to the lower variable: encoders number inputs first, and a fixed order makes runs repeatable.
  bool before(Variable left, Variable right) const {
    return activity_[left] > activity_[right] || (activity_[left] == activity_[right] && left < right);
  }

  void rescale() {
    for (double& activity : activity_) activity *= 1.0 / rescale_above;
    increment_ *= 1.0 / rescale_above;
  }

  void sift_up(std::uint32_t slot) {
    const Variable variable = heap_[slot];
    while (slot > 0) {
      const std::uint32_t parent = (slot - 1) / 2;
      if (!before(variable, heap_[parent])) break;
      heap_[slot] = heap_[parent];
      slot_[heap_[slot]] = slot;
      slot = parent;
    }
    heap_[slot] = variable;
    slot_[variable] = slot;
  }

  void sift_down(std::uint32_t slot) {
    const Variable variable = heap_[slot];
    const auto count = static_cast<std::uint32_t>(heap_.size());
    while (true) {
      std::uint32_t child = 2 * slot + 1;
      if (child >= count) break;
      if (child + 1 < count && before(heap_[child + 1], heap_[child])) ++child;
      if (!before(heap_[child], variable)) break;
      heap_[slot] = heap_[child];
      slot_[heap_[slot]] = slot;
      slot = child;
    }
    heap_[slot] = variable;
    slot_[variable] = slot;
  }

  std::vector<double> activity_;
  std::vector<double> weight_;
  std::vector<std::uint32_t> slot_;
  std::vector<Variable> heap_;
  double increment_ = 1.0;
};

}  // namespace bnnhw::solver
