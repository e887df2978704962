// Simplifying the linear constraints at level 0: fixed literals are substituted, equal literals become one, and both
// go on until nothing changes. Then what is left of a constraint may be a plain conjunction or disjunction.
//
// Most neurons of a convolution's first layer read one pixel that the adversary may change: they are that pixel, or its
// negation. A constraint with a literal that alone decides it makes its output that literal; two constraints with the
// same sum, or opposite ones, have equal outputs ("structural hashing", Kuehlmann, Paruthi, Krohm and Ganai, "Robust
// Boolean reasoning", IEEE TCAD 2002, here for sums). Written over one literal of each class, the terms of the next
// layer add up and cancel, and what slack propagation could not see, that two neurons never fire together, is gone from
// the sums. Queries about convolutional networks need a third to three quarters of the conflicts, on shorter sums.
//
// A small conjunction or disjunction is better off as clauses: they propagate first, need no explanations and let the
// look at tight constraints pass to the others. That saves another tenth on the same queries.
//
// Constraints are taken in order, so that what one layer shows is there for the next in the same pass: for an image
// whose pixels are fixed one pass computes all neurons that are fixed with them.
#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "linear_store.hpp"
#include "solver.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::uint32_t largest_gate = 5;

// SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t mix(std::uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
  return bits ^ bits >> 31;
}

}  // namespace

struct LinearStore::Rewriting {
  Trail& trail;
  LinearNormalizer& normalizer;
  EquivalentLiterals& equal;
  const bool with_sums;
  std::vector<RewritingStep> steps{};
  bool changed = false;
  // Of the constraints kept so far: their literals and weights, and their places by the hash of their sum.
  std::vector<Literal> literals{};
  std::vector<std::int32_t> weights{};
  std::unordered_map<std::uint64_t, std::uint32_t> by_sum{};

  Literal name(Literal literal) const {
    return trail.assigned(literal) ? literal : equal.representative(literal);
  }
  std::int32_t weight(const Constraint& constraint, std::uint32_t index) const {
    return constraint.weights_begin == unit_weights ? 1 : weights[constraint.weights_begin + index];
  }
  // Of a sum and its complement the canonical one is where the lowest variable is positive: is this the other one?
  bool complemented(const Constraint& constraint) const {
    std::uint32_t lowest = literals[constraint.begin].code;
    for (std::uint32_t i = 1; i < constraint.size; ++i) lowest = std::min(lowest, literals[constraint.begin + i].code);
    return (lowest & 1u) != 0;
  }
  // The canonical sum and its bound, as a number and, for when the numbers are equal, in full.
  std::uint64_t hash(const Constraint& constraint, bool flip) const {
    std::uint64_t sum = mix(static_cast<std::uint32_t>(canonical_bound(constraint, flip)));
    for (std::uint32_t i = 0; i < constraint.size; ++i) sum += mix(term(constraint, flip, i));
    return sum;
  }
  std::vector<std::uint64_t> terms(const Constraint& constraint, bool flip) const {
    std::vector<std::uint64_t> all;
    for (std::uint32_t i = 0; i < constraint.size; ++i) all.push_back(term(constraint, flip, i));
    std::sort(all.begin(), all.end());
    return all;
  }
  std::uint64_t term(const Constraint& constraint, bool flip, std::uint32_t index) const {
    const std::uint64_t code = literals[constraint.begin + index].code ^ (flip ? 1u : 0u);
    return code << 32 | static_cast<std::uint32_t>(weight(constraint, index));
  }
  static std::int32_t canonical_bound(const Constraint& constraint, bool flip) {
    return flip ? constraint.total - constraint.bound + 1 : constraint.bound;
  }
  // Is there anything left of a constraint that would be kept at this place? Otherwise a step says what it came to.
  bool keep(const Constraint& constraint, const std::vector<Constraint>& kept, std::uint32_t place);
  void force(const Constraint& constraint, Literal literal) {
    if (trail.value(literal) > 0) return;
    if (!trail.assigned(literal)) trail.push(literal, Reason());
    changed = true;
    steps.push_back({RewritingStep::Kind::forced, constraint.number, literal});
  }
  void make_equal(RewritingStep step) {
    if (step.first == step.second) return;
    equal.merge(step.first, step.second);
    changed = true;
    steps.push_back(std::move(step));
  }
};

bool LinearStore::Rewriting::keep(const Constraint& constraint, const std::vector<Constraint>& kept,
                                  std::uint32_t place) {
  using Kind = RewritingStep::Kind;
  const bool always = constraint.bound <= 0;
  if (always || constraint.total < constraint.bound) {
    force(constraint, always ? constraint.out : ~constraint.out);
    return false;
  }
  if (trail.assigned(constraint.out)) return true;
  const Literal heaviest = literals[constraint.begin];
  const bool decides = constraint.max_weight >= constraint.bound &&
                       constraint.total - constraint.max_weight < constraint.bound;
  if (decides) {
    make_equal({Kind::equal, constraint.number, constraint.out, heaviest});
    return false;
  }
  const bool flip = complemented(constraint);
  const auto [entry, is_new] = by_sum.try_emplace(hash(constraint, flip), place);
  if (is_new) return true;
  const Constraint& other = kept[entry->second];
  const bool other_flip = complemented(other);
  if (canonical_bound(constraint, flip) != canonical_bound(other, other_flip) ||
      terms(constraint, flip) != terms(other, other_flip)) {
    return true;
  }
  const Literal other_out = flip == other_flip ? other.out : ~other.out;
  make_equal({Kind::equal_sums, constraint.number, constraint.out, other_out, other.number});
  return false;
}

std::vector<RewritingStep> LinearStore::compile(Trail& trail, LinearNormalizer& normalizer,
                                                EquivalentLiterals& equal, bool with_sums) {
  Rewriting rewriting{trail, normalizer, equal, with_sums};
  do {
    rewriting.changed = false;
    rewrite(rewriting);
  } while (rewriting.changed);
  take_out_gates(rewriting.steps);
  lay_out_occurrences(2 * trail.variable_count());
  start_counters();
  compiled_ = true;
  return std::move(rewriting.steps);
}

void LinearStore::rewrite(Rewriting& rewriting) {
  using Kind = RewritingStep::Kind;
  rewriting.literals.clear();
  rewriting.weights.clear();
  rewriting.by_sum.clear();
  std::uint32_t kept = 0;
  for (const Constraint& before : constraints_) {
    Constraint constraint = before;
    if (substitute(rewriting, constraint)) {
      RewritingStep step{Kind::rewritten, constraint.number, constraint.out};
      if (rewriting.with_sums) {
        step.sum.bound = constraint.bound;
        step.sum.total = constraint.total;
        for (std::uint32_t i = 0; i < constraint.size; ++i) {
          step.sum.literals.push_back(rewriting.literals[constraint.begin + i]);
          step.sum.weights.push_back(rewriting.weight(constraint, i));
        }
      }
      rewriting.steps.push_back(std::move(step));
    }
    if (rewriting.keep(constraint, constraints_, kept)) {
      constraints_[kept++] = constraint;
    } else {
      rewriting.literals.resize(constraint.begin);
      if (constraint.weights_begin != unit_weights) rewriting.weights.resize(constraint.weights_begin);
    }
  }
  constraints_.resize(kept);
  literals_.swap(rewriting.literals);
  weights_.swap(rewriting.weights);
}

void LinearStore::take_out_gates(std::vector<RewritingStep>& steps) {
  std::size_t kept = 0;
  for (const Constraint& constraint : constraints_) {
    const std::int32_t lightest = weight(constraint, constraint.size - 1);
    const bool any = lightest >= constraint.bound;
    const bool all = constraint.total - lightest < constraint.bound;
    if (constraint.size > largest_gate || !(any || all)) {
      constraints_[kept++] = constraint;
      continue;
    }
    RewritingStep step{RewritingStep::Kind::gate, constraint.number, constraint.out};
    const Literal* const begin = literals(constraint);
    step.sum.literals.assign(begin, begin + constraint.size);
    step.sum.bound = any ? 1 : constraint.size;
    steps.push_back(std::move(step));
  }
  constraints_.resize(kept);
}

// Reads the constraint off the old arrays onto the new ones. Did names change?
bool LinearStore::substitute(Rewriting& rewriting, Constraint& constraint) const {
  std::vector<Literal>& literals = rewriting.literals;
  std::vector<std::int32_t>& weights = rewriting.weights;
  const Constraint before = constraint;
  const std::size_t begin = literals.size();
  const std::size_t weights_begin = weights.size();
  const bool weighted = before.weights_begin != unit_weights;
  constraint.out = rewriting.name(before.out);
  bool renamed = false;
  for (std::uint32_t i = 0; i < before.size; ++i) {
    const Literal literal = literals_[before.begin + i];
    const std::int32_t weight = this->weight(before, i);
    const int value = rewriting.trail.value(literal);
    if (value == 0) {
      literals.push_back(rewriting.name(literal));
      if (weighted) weights.push_back(weight);
      renamed = renamed || literals.back() != literal;
    } else {
      constraint.total -= weight;
      if (value > 0) constraint.bound -= weight;
    }
  }
  if (renamed) {
    const Span<Literal> terms(literals.data() + begin, literals.size() - begin);
    const Span<std::int32_t> of(weights.data() + weights_begin, weights.size() - weights_begin);
    const LinearSum& sum = rewriting.normalizer.normalize(terms, of, constraint.bound, rewriting.trail);
    literals.resize(begin);
    weights.resize(weights_begin);
    literals.insert(literals.end(), sum.literals.begin(), sum.literals.end());
    weights.insert(weights.end(), sum.weights.begin(), sum.weights.end());
    constraint.bound = static_cast<std::int32_t>(sum.bound);
    constraint.total = static_cast<std::int32_t>(sum.total);
  }
  if (weights.size() > weights_begin && weights[weights_begin] == 1) weights.resize(weights_begin);
  constraint.begin = static_cast<std::uint32_t>(begin);
  constraint.size = static_cast<std::uint32_t>(literals.size() - begin);
  constraint.weights_begin = unit_weights;
  constraint.max_weight = 1;
  constraint.heavy = 0;
  if (weights.size() > weights_begin) {
    constraint.weights_begin = static_cast<std::uint32_t>(weights_begin);
    constraint.max_weight = weights[weights_begin];
    const auto first = weights.begin() + static_cast<std::ptrdiff_t>(weights_begin);
    constraint.heavy = static_cast<std::uint32_t>(std::lower_bound(first, weights.end(), 1, std::greater<>()) - first);
  }
  constraint.out_state = rewriting.trail.value(constraint.out);
  return renamed || constraint.out != before.out;
}

// False if the formula is found contradictory.
bool Solver::compile_linear() {
  report_root_units();
  const std::vector<RewritingStep> steps = linear_.compile(trail_, normalizer_, equal_, proof_ != nullptr);
  linear_head_ = trail_.size();
  compiled_root_size_ = trail_.size();
  reported_root_units_ = trail_.size();
  for (const RewritingStep& step : steps) {
    if (!take(step)) return contradiction();
  }
  for (LinearSide side = 0; side < linear_.side_count(); ++side) {
    if (linear_.pending(side) && act(side).found) return contradiction();
  }
  return true;
}

// A conjunction is the disjunction of the opposites, negated.
bool Solver::add_gate(const RewritingStep& step) {
  const std::uint32_t flip = step.sum.bound == 1 ? 0 : 1;
  const Literal out{step.first.code ^ flip};
  std::vector<Literal> some{~out};
  // The output may be among its own inputs; a lemma has no variable twice.
  const auto add = [this](std::vector<Literal> clause) {
    std::sort(clause.begin(), clause.end(), [](Literal a, Literal b) { return a.code < b.code; });
    clause.erase(std::unique(clause.begin(), clause.end()), clause.end());
    const auto opposites = [](Literal a, Literal b) { return a == ~b; };
    if (std::adjacent_find(clause.begin(), clause.end(), opposites) != clause.end()) return;
    report_lemma(clause);
    add_clause(clause);
  };
  for (const Literal literal : step.sum.literals) {
    const Literal input{literal.code ^ flip};
    some.push_back(input);
    add({out, ~input});
  }
  add(some);
  return consistent_;
}

// The two binary clauses of an equality are for the clauses that still have the replaced literal.
bool Solver::take(const RewritingStep& step) {
  switch (step.kind) {
    case RewritingStep::Kind::rewritten:
      if (proof_ != nullptr) proof_->rewritten(step.constraint, step.first, step.sum);
      return true;
    case RewritingStep::Kind::forced:
      report_lemma(Span<Literal>(&step.first, 1));
      return trail_.value(step.first) > 0;
    case RewritingStep::Kind::equal:
    case RewritingStep::Kind::equal_sums:
      break;
    case RewritingStep::Kind::gate:
      return add_gate(step);
  }
  if (proof_ != nullptr && step.kind == RewritingStep::Kind::equal) {
    proof_->equal(step.first, step.second, step.constraint);
  } else if (proof_ != nullptr) {
    proof_->equal_sums(step.first, step.second, step.constraint, step.other);
  }
  const bool opposites = step.second == ~step.first;
  if (!opposites) {
    clauses_.add_binary(~step.first, step.second);
    clauses_.add_binary(step.first, ~step.second);
  }
  return !opposites;
}

}  // namespace bnnhw::solver
