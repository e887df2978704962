#include "evaluation.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace bnnhw::checker {

namespace {

constexpr std::size_t lanes = 64;
using Lanes = std::array<std::int16_t, lanes>;  // a pattern each; of a truth value, all bits or none
using Clause = std::vector<Literal>;

std::int16_t mask(bool value) { return static_cast<std::int16_t>(value ? -1 : 0); }

// Not inlined, or GCC exchanges the loops over terms and lanes, and no vector instructions are left.
[[gnu::noinline]] void add_where(const Lanes& truth, std::int16_t weight, Lanes& total) {
  for (std::size_t i = 0; i < lanes; ++i) total[i] = static_cast<std::int16_t>(total[i] + (truth[i] & weight));
}

// out <-> sum of weight * [variable] >= bound, over variables that differ from pattern to pattern.
struct Sum {
  Literal out;
  std::int16_t bound;
  std::vector<std::pair<std::uint32_t, std::int16_t>> terms{};
};

class Evaluation {
 public:
  Evaluation(std::size_t variables, const std::vector<Literal>& outputs, const std::vector<Literal>& fixed,
             const std::vector<Linear>& constraints, const std::vector<Clause>& clauses)
      : values_(variables), fixed_(variables) {
    for (const Literal literal : fixed) {
      values_[literal / 2].fill(mask(literal % 2 == 0));
      fixed_[literal / 2] = true;
    }
    known_ = fixed_;
    for (const Literal literal : outputs) known_[literal / 2] = true;
    for (const Linear& linear : constraints) {
      const auto known = [this](const Term& term) { return known_[term.literal / 2]; };
      if (linear.terms.empty() || linear.total() > std::numeric_limits<std::int16_t>::max()) continue;
      if (!std::all_of(linear.terms.begin(), linear.terms.end(), known)) continue;
      add(linear);
      known_[linear.out / 2] = true;
    }
    for (const Clause& clause : clauses) {
      const auto known = [this](Literal literal) { return known_[literal / 2]; };
      if (!clause.empty() && std::all_of(clause.begin(), clause.end(), known)) clauses_.push_back(&clause);
    }
  }

  void start() {
    known_ = fixed_;
    conflict_.fill(0);
  }
  void give(Literal literal, const Lanes& truth) {
    Lanes& own = values_[literal / 2];
    const std::int16_t negated = mask(literal % 2 != 0);
    if (known_[literal / 2]) {
      for (std::size_t i = 0; i < lanes; ++i) conflict_[i] |= own[i] ^ truth[i] ^ negated;
    } else {
      for (std::size_t i = 0; i < lanes; ++i) own[i] = truth[i] ^ negated;
      known_[literal / 2] = true;
    }
  }
  void evaluate() {
    for (const Sum& sum : sums_) {
      Lanes total{};
      for (const auto& [variable, weight] : sum.terms) add_where(values_[variable], weight, total);
      for (std::int16_t& one : total) one = mask(one >= sum.bound);
      give(sum.out, total);
    }
    for (const Clause* clause : clauses_) {
      Lanes violated;
      violated.fill(mask(true));
      for (const Literal literal : *clause) {
        const Lanes& own = values_[literal / 2];
        for (std::size_t i = 0; i < lanes; ++i) violated[i] &= own[i] ^ mask(literal % 2 == 0);
      }
      for (std::size_t i = 0; i < lanes; ++i) conflict_[i] |= violated[i];
    }
  }
  bool conflict(std::size_t lane) const { return conflict_[lane] != 0; }

 private:
  // weight * [not v] is weight - weight * [v].
  void add(const Linear& linear) {
    std::int64_t bound = linear.bound;
    Sum sum{linear.out, 0};
    for (const Term& term : linear.terms) {
      const bool negated = term.literal % 2 != 0;
      if (fixed_[term.literal / 2]) {
        bound -= (values_[term.literal / 2][0] != 0) != negated ? term.weight : 0;
      } else {
        bound -= negated ? term.weight : 0;
        sum.terms.emplace_back(term.literal / 2, static_cast<std::int16_t>(negated ? -term.weight : term.weight));
      }
    }
    sum.bound = static_cast<std::int16_t>(bound);
    sums_.push_back(std::move(sum));
  }

  std::vector<Lanes> values_;
  std::vector<bool> fixed_, known_{};
  std::vector<Sum> sums_{};
  std::vector<const Clause*> clauses_{};
  Lanes conflict_{};
};

}  // namespace

std::vector<Pattern> without_conflict(const std::vector<Pattern>& patterns, std::size_t variables,
                                      const std::vector<Literal>& outputs, const std::vector<Literal>& fixed,
                                      const std::vector<Linear>& constraints, const std::vector<Clause>& clauses) {
  Evaluation evaluation(variables, outputs, fixed, constraints, clauses);
  std::vector<Pattern> left;
  for (std::size_t start = 0; start < patterns.size(); start += lanes) {
    const std::size_t count = std::min(lanes, patterns.size() - start);
    evaluation.start();
    for (std::size_t bit = 0; bit < outputs.size(); ++bit) {
      Lanes truth{};
      for (std::size_t i = 0; i < count; ++i) truth[i] = mask(bit_of(patterns[start + i], bit));
      evaluation.give(outputs[bit], truth);
    }
    evaluation.evaluate();
    for (std::size_t i = 0; i < count; ++i) {
      if (!evaluation.conflict(i)) left.push_back(patterns[start + i]);
    }
  }
  return left;
}

}  // namespace bnnhw::checker
