// When to restart: as soon as the LBD of recent lemmas, averaged exponentially over a short window, is clearly worse than
// over a long one (Biere and Froehlich, "Evaluating CDCL restart schemes", POS 2015; LBD, the number of decision
// levels in a lemma, is due to Audemard and Simon, "Predicting learnt clauses quality", IJCAI 2009). On network queries
// this was the largest single gain over Luby's sequence.
#pragma once

#include <cstdint>

namespace bnnhw::solver {

// An exponential moving average whose start is unbiased: it is divided by the weight actually seen so far.
class MovingAverage {
 public:
  explicit MovingAverage(double rate) : rate_(rate) {}

  void update(double sample) {
    sum_ += rate_ * (sample - sum_);
    missing_ *= 1.0 - rate_;
  }

  double value() const { return missing_ < 1.0 ? sum_ / (1.0 - missing_) : 0.0; }

 private:
  double rate_;
  double sum_ = 0.0;
  double missing_ = 1.0;
};

class RestartPolicy {
 public:
  void lemma(std::uint32_t lbd) {
    fast_.update(lbd);
    slow_.update(lbd);
    ++conflicts_since_restart_;
  }

  bool due() const {
    return conflicts_since_restart_ >= shortest_run && fast_.value() > margin * slow_.value();
  }

  void restarted() { conflicts_since_restart_ = 0; }

 private:
  static constexpr std::uint64_t shortest_run = 10;
  static constexpr double margin = 1.10;

  MovingAverage fast_{1.0 / 32};
  MovingAverage slow_{1.0 / 16384};
  std::uint64_t conflicts_since_restart_ = 0;
};

}  // namespace bnnhw::solver
