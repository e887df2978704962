// When to restart. Two modes alternate, in stretches that grow (Oh, "Between SAT and UNSAT: the fundamental
// difference in CDCL SAT", SAT 2015). The focused mode, good for refutations, restarts as soon as the LBD of recent
// lemmas, averaged exponentially over a short window, is clearly worse than over a long one (Biere and Froehlich,
// "Evaluating CDCL restart schemes", POS 2015; LBD, the number of decision levels in a lemma, is due to Audemard and
// Simon, "Predicting learnt clauses quality", IJCAI 2009). The long mode, good for finding models, follows Luby's
// sequence with a large unit (Luby, Sinclair and Zuckerman, "Optimal speedup of Las Vegas algorithms", 1993). Focused
// alone needed up to 20 per cent less for network queries with no counterexample, but twice the conflicts, and many
// more time-outs, for those with one. One restart comes in any case, when a query has just proved not to be trivial:
// what is done near the root (probing, look-ahead) pays from then on.
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
    ++conflicts_;
    ++conflicts_since_restart_;
    if (conflicts_ == next_switch_) {
      long_mode_ = !long_mode_;
      ++switches_;
      next_switch_ += first_stretch * (switches_ + 1);
    }
  }

  bool due() const {
    if (past_warm_up() && conflicts_ - conflicts_since_restart_ < warm_up) return true;
    if (long_mode_) return conflicts_since_restart_ >= luby_unit * luby(luby_index_);
    return conflicts_since_restart_ >= shortest_run && fast_.value() > margin * slow_.value();
  }

  bool focused() const { return !long_mode_; }
  bool past_warm_up() const { return conflicts_ >= warm_up; }

  void restarted() {
    conflicts_since_restart_ = 0;
    if (long_mode_) ++luby_index_;
  }

  // Luby's sequence 1, 1, 2, 1, 1, 2, 4, ...; its last element for indices 2^k - 1 is 2^(k - 1). Counts from 1.
  static std::uint64_t luby(std::uint64_t index) {
    std::uint64_t power = 1;
    while (power - 1 < index) power *= 2;
    while (power - 1 != index) {
      index -= power / 2 - 1;
      power = 1;
      while (power - 1 < index) power *= 2;
    }
    return power / 2;
  }

 private:
  static constexpr std::uint64_t warm_up = 100;
  static constexpr std::uint64_t shortest_run = 10;
  static constexpr double margin = 1.10;
  static constexpr std::uint64_t luby_unit = 1000;
  static constexpr std::uint64_t first_stretch = 2000;

  MovingAverage fast_{1.0 / 32};
  MovingAverage slow_{1.0 / 100'000};
  std::uint64_t conflicts_ = 0;
  std::uint64_t conflicts_since_restart_ = 0;
  std::uint64_t luby_index_ = 1;
  std::uint64_t switches_ = 0;
  std::uint64_t next_switch_ = first_stretch;
  bool long_mode_ = false;
};

}  // namespace bnnhw::solver
