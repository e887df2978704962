// Which variables a search is busy with: how often each occurs in its lemmas, the recent ones counting more. It is the
// measure by which the solver itself decides (VSIDS: Moskewicz et al., "Chaff", DAC 2001), read off its proof.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "literal.hpp"
#include "proof_sink.hpp"

namespace bnnhw::engine {

class LemmaActivity final : public solver::ProofSink {
 public:
  void learned(solver::Span<solver::Literal> clause) override {
    weight_ /= decay;
    for (const solver::Literal literal : clause) {
      if (literal.variable() >= activity_.size()) activity_.resize(literal.variable() + std::size_t{1});
      activity_[literal.variable()] += weight_;
    }
    if (weight_ < largest) return;
    for (double& one : activity_) one /= largest;
    weight_ /= largest;
  }
  void deleted(solver::Span<solver::Literal>) override {}

  // At most `count` variables that occurred at all, the busiest first.
  std::vector<solver::Variable> busiest(std::size_t count) const {
    std::vector<solver::Variable> order;
    for (solver::Variable variable = 1; variable < activity_.size(); ++variable) {
      if (activity_[variable] > 0) order.push_back(variable);
    }
    std::stable_sort(order.begin(), order.end(),
                     [this](solver::Variable a, solver::Variable b) { return activity_[a] > activity_[b]; });
    order.resize(std::min(order.size(), count));
    return order;
  }

 private:
  static constexpr double decay = 0.999;
  static constexpr double largest = 1e100;

  std::vector<double> activity_;
  double weight_ = 1.0;
};

}  // namespace bnnhw::engine
