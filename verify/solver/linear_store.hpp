// Reified linear constraints, out <-> sum of w_i * [l_i] >= bound, as two counters each.
//
// A constraint is two implications of one shape. Side 0: out -> sum w_i [l_i] >= bound. Side 1, with every literal
// negated: ~out -> sum w_i [~l_i] >= total - bound + 1. The slack of a side is how much weight it may still lose.
// Below zero its premise is impossible; with the premise true, every literal heavier than the slack is forced. These
// are the counter rules of MiniSatCS (Jia and Rinard, "Efficient exact verification of binarized neural networks",
// NeurIPS 2020) together with the weighted case they leave out, and equal to slack propagation on the constraint's
// pseudo-Boolean form.
//
// The state of the premise is folded into the counter as a bias, so that one subtraction and one sign test decide
// whether anything can happen: almost all of the millions of visits a second end there. Literals are counted when
// they are taken off the propagation queue and uncounted, exactly, when they are backtracked. Each literal's
// occurrences lie contiguous in one array that is rebuilt at level 0, where fixed literals and decided constraints
// disappear and equal literals become one (linear_rewriting.cpp).
#pragma once

#include <cstdint>
#include <vector>

#include "equivalent_literals.hpp"
#include "linear_normal_form.hpp"
#include "literal.hpp"
#include "trail.hpp"

namespace bnnhw::solver {

// Side index: 2 * constraint + (0 or 1).
using LinearSide = std::uint32_t;

// What rewriting the constraints at level 0 found, in an order in which each follows from the steps before it.
struct RewritingStep {
  enum class Kind : std::uint8_t {
    // `constraint` now reads first <-> sum; the sum is only filled in if it was asked for.
    rewritten,
    // first holds, by `constraint`, which is gone; it is on the trail now, unless its negation was.
    forced,
    // first <-> second, by `constraint`, which is gone.
    equal,
    // first <-> second, since `constraint`, which is gone, and `other` have the same sum but for the sign.
    equal_sums,
    // first <-> any (bound 1) or all of the sum's literals, by `constraint`, which is gone.
    gate,
  };
  Kind kind;
  std::uint32_t constraint;
  Literal first;
  Literal second{};
  std::uint32_t other = 0;
  LinearSum sum{};
};

class LinearStore {
 public:
  struct Constraint {
    // Counts what the caller has added.
    std::uint32_t number = 0;
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
    std::uint32_t weights_begin = unit_weights;
    std::int32_t bound = 0;
    std::int32_t total = 0;
    std::int32_t max_weight = 1;
    // How many literals, the first ones, weigh more than 1.
    std::uint32_t heavy = 0;
    Literal out;
    // The counted value of out: +1, -1 or 0.
    std::int32_t out_state = 0;
  };

  static constexpr std::uint32_t unit_weights = 0xFFFFFFFFu;

  void add_variables(std::size_t count) { occurrences_.resize(occurrences_.size() + 2 * count); }

  // Room for one more constraint of this many literals?
  bool fits(std::size_t literals) const {
    return literals_.size() + literals < max_reason_index && 2 * (constraints_.size() + 1) < max_reason_index;
  }
  // The sum is in normal form and neither always nor never satisfied.
  void add(std::uint32_t number, Literal out, const LinearSum& sum);

  // New or changed constraints wait for compile() before propagation may go on.
  bool compiled() const { return compiled_; }
  void require_compile() { compiled_ = false; }

  // At level 0: rewrites the constraints under what is on the trail, all of which is then counted, and lays out
  // occurrences and counters anew. The literals and equalities found are on the trail and in `equal` already.
  std::vector<RewritingStep> compile(Trail& trail, LinearNormalizer& normalizer, EquivalentLiterals& equal,
                                     bool with_sums = false);
  // May this side act as it stands? To be asked of every side once after compiling.
  bool pending(LinearSide side) const { return counters_[side] < 0; }

  // Counts a literal that became true. Sides that may now act come back in triggered(), valid until the next call.
  void count(Literal literal);
  void uncount(Literal literal);
  Span<LinearSide> triggered() const { return {triggered_.data(), triggered_count_}; }

  // How close the sides that would lose the literal, or be armed by it, are to acting: a sum of powers of two that
  // halve with every unit of slack. No side may be triggered; muted sides add nothing.
  std::uint64_t tightness(Literal literal) const;

  std::uint32_t side_count() const { return static_cast<std::uint32_t>(2 * constraints_.size()); }
  const Constraint& constraint(LinearSide side) const { return constraints_[side >> 1]; }

  // What the side says may be lost, given what is counted; muted sides (premise false) report no_limit.
  static constexpr std::int32_t no_limit = 1 << 30;
  std::int32_t slack(LinearSide side) const {
    const Constraint& constraint = constraints_[side >> 1];
    if (constraint.out_state == 0) return counters_[side];
    const bool armed = (constraint.out_state > 0) == ((side & 1u) == 0);
    return armed ? counters_[side] + constraint.max_weight : no_limit;
  }

  // The literal whose truth arms the side.
  Literal premise(LinearSide side) const { return Literal{constraints_[side >> 1].out.code ^ (side & 1u)}; }
  // Weight the side must lose before its premise is impossible.
  std::int32_t fatal_loss(LinearSide side) const {
    const Constraint& constraint = constraints_[side >> 1];
    return (side & 1u) != 0 ? constraint.bound : constraint.total - constraint.bound + 1;
  }
  // The constraint's literals as side 0 reads them.
  const Literal* literals(const Constraint& constraint) const { return literals_.data() + constraint.begin; }
  // The i-th literal as the side reads it, and its weight.
  Literal literal(const Constraint& constraint, LinearSide side, std::uint32_t index) const {
    return Literal{literals_[constraint.begin + index].code ^ (side & 1u)};
  }
  std::int32_t weight(const Constraint& constraint, std::uint32_t index) const {
    return constraint.weights_begin == unit_weights ? 1 : weights_[constraint.weights_begin + index];
  }
  std::int32_t weight_of(const Constraint& constraint, LinearSide side, Literal forced) const;

  std::uint64_t visits() const { return visits_; }
  std::size_t memory_bytes() const;

 private:
  // Ranges of entries_ for one literal: sides with weight 1, then (side, weight) pairs, then the sides whose premise
  // it is.
  struct Occurrences {
    std::uint32_t units = 0;
    std::uint32_t weighted = 0;
    std::uint32_t premises = 0;
    std::uint32_t end = 0;
  };

  // linear_rewriting.cpp
  struct Rewriting;
  void rewrite(Rewriting& rewriting);
  bool substitute(Rewriting& rewriting, Constraint& constraint) const;
  void take_out_gates(std::vector<RewritingStep>& steps);

  void lay_out_occurrences(std::size_t literal_count);
  void start_counters();

  std::vector<Constraint> constraints_;
  std::vector<Literal> literals_;
  std::vector<std::int32_t> weights_;
  std::vector<std::int32_t> counters_;
  std::vector<Occurrences> occurrences_;
  std::vector<std::uint32_t> entries_;
  std::vector<LinearSide> triggered_;
  std::size_t triggered_count_ = 0;
  std::uint64_t visits_ = 0;
  bool compiled_ = true;
};

}  // namespace bnnhw::solver
