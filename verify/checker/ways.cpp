#include "ways.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace bnnhw::checker {

namespace {

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr std::uint64_t most_ways = 1 << 12;
#else
constexpr std::uint64_t most_ways = 1 << 29;
#endif
constexpr std::int64_t most_falsified = 32;
constexpr std::size_t recent_patterns = 1 << 14;
constexpr std::size_t most_repeated = 1 << 16;

struct Change {
  std::int64_t cost;
  std::vector<std::int32_t> effect{};  // on each sum
  // The clauses that have its variable, and whether it makes the literal there true.
  std::vector<std::pair<std::size_t, bool>> clauses{};
};

class Ways {
 public:
  Ways(const Linear& limit, const std::vector<Linear>& sums, const std::vector<std::pair<Literal, Literal>>& clauses)
      : margins_(sums.size()), recent_(recent_patterns) {
    require(sums.size() <= 64 * std::tuple_size<Pattern>::value, "more bits than can be told apart");
    std::unordered_map<Literal, std::size_t> number;
    for (const Term& term : limit.terms) {
      number[term.literal] = changes_.size();
      changes_.push_back({term.weight, std::vector<std::int32_t>(sums.size())});
      least_ = std::min(least_, term.weight);
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
      require(sums[i].total() <= std::numeric_limits<std::int32_t>::max(), "the weights of a constraint are too large");
      margins_[i] = -static_cast<std::int32_t>(sums[i].bound);
      for (const Term& term : sums[i].terms) {
        const auto weight = static_cast<std::int32_t>(term.weight);
        const auto same = number.find(term.literal);
        if (same != number.end()) margins_[i] += weight;
        const std::size_t change = same != number.end() ? same->second : number.at(term.literal ^ 1u);
        changes_[change].effect[i] = same != number.end() ? -weight : weight;
      }
    }
    for (const auto& [a, b] : clauses) {
      if (number.count(a & ~1u) + number.count(a | 1u) == 0 || number.count(b & ~1u) + number.count(b | 1u) == 0) continue;
      for (const Literal literal : {a, b}) {
        const auto same = number.find(literal);
        const std::size_t change = same != number.end() ? same->second : number.at(literal ^ 1u);
        changes_[change].clauses.emplace_back(true_.size(), same == number.end());
      }
      true_.push_back(static_cast<int>(number.count(a) + number.count(b)));
      violated_ += true_.back() == 0 ? 1 : 0;
    }
    look();
    visit(0, limit.total() - limit.bound);
    sort();
  }

  std::vector<Pattern> found{};

 private:
  // All ways with one change more, from this one on, and what they lead to.
  void visit(std::size_t from, std::int64_t left) {
    for (std::size_t i = from; i < changes_.size(); ++i) {
      const Change& change = changes_[i];
      if (change.cost > left) continue;
      require(++ways_ < most_ways && depth_ < most_falsified, "too many ways to meet the constraint");
      take(i, 1);
      look();
      if (left - change.cost >= least_) visit(i + 1, left - change.cost);
      take(i, -1);
    }
  }
  void take(std::size_t i, std::int32_t sign) {
    const Change& change = changes_[i];
    for (std::size_t k = 0; k < margins_.size(); ++k) margins_[k] += sign > 0 ? change.effect[k] : -change.effect[k];
    for (const auto& [clause, becomes_true] : change.clauses) {
      violated_ -= true_[clause] == 0 ? 1 : 0;
      true_[clause] += becomes_true == (sign > 0) ? 1 : -1;
      violated_ += true_[clause] == 0 ? 1 : 0;
    }
    depth_ += sign;
  }
  void look() {
    if (violated_ != 0) return;
    Pattern pattern{};
    for (std::size_t k = 0; k < margins_.size(); ++k) pattern[k / 64] |= std::uint64_t{margins_[k] >= 0} << (63 - k % 64);
    // Most have been seen a moment ago.
    const std::uint64_t mixed = (pattern[0] ^ pattern[1] * 31) * 0x9E3779B97F4A7C15u;
    std::pair<bool, Pattern>& recent = recent_[mixed >> 50];
    if (recent == std::pair(true, pattern)) return;
    recent = {true, pattern};
    found.push_back(pattern);
    if (found.size() < 2 * distinct_) return;
    sort();
    distinct_ = std::max(found.size(), most_repeated);
  }

  void sort() {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }

  std::vector<Change> changes_{};
  std::vector<std::int32_t> margins_;
  std::vector<int> true_;  // of each clause's literals
  std::vector<std::pair<bool, Pattern>> recent_;
  std::int64_t least_ = std::int64_t{1} << 62, violated_ = 0;
  std::uint64_t ways_ = 0;
  std::size_t distinct_ = most_repeated;
  std::int64_t depth_ = 0;
};

}  // namespace

std::vector<Pattern> patterns_of_ways(const Linear& limit, const std::vector<Linear>& sums,
                                      const std::vector<std::pair<Literal, Literal>>& clauses) {
  return Ways(limit, sums, clauses).found;
}

}  // namespace bnnhw::checker
