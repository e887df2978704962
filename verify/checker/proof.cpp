// Every step of a proof, checked. A lemma follows by reverse unit propagation: its negation, propagated over clauses and
// both halves of every constraint, meets a conflict. The lemmas of a search come with their literals in the order in
// which they became false, so that consecutive ones begin alike; what was propagated for the common beginning stays.
//
// A constraint's half has a slack: the weight it may still lose. Below zero its premise is false; with the premise true,
// what is heavier than the slack is true. Two literals that a constraint, or two with one sum, make equal become one in
// the constraints that the proof names from then on.
#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "formula.hpp"
#include "json.hpp"

namespace bnnhw::checker {

namespace {

class Checker {
 public:
  explicit Checker(Formula formula)
      : value_(2 * std::size_t{formula.variables} + 2), level_of_(formula.variables + std::size_t{1}),
        named_(formula.variables + std::size_t{1}), parent_(formula.variables + std::size_t{1}),
        coefficient_(formula.variables + std::size_t{1}), seen_(formula.variables + std::size_t{1}),
        watches_(value_.size()), losses_(value_.size()), armed_(value_.size()) {
    for (std::size_t i = 0; i < parent_.size(); ++i) parent_[i] = 2 * static_cast<Literal>(i);
    assign(0);
    for (std::vector<Literal>& clause : formula.clauses) {
      std::sort(clause.begin(), clause.end());
      clause.erase(std::unique(clause.begin(), clause.end()), clause.end());
      attach(std::move(clause));
    }
    // After the clauses, so that what units fix never enters a constraint.
    for (Linear& linear : formula.constraints) {
      if (linear.name >= named_.size()) named_.resize(linear.name + std::size_t{1});
      add(normal(linear));
    }
    if (!propagate()) refuted_ = true;
  }

  bool refuted() const { return refuted_; }

  void step(ProofBytes& proof) {
    const char letter = proof.letter();
    if (letter == 'a') return lemma(proof);
    to_root();
    if (refuted_) return;
    if (letter == 'd') {
      const std::uint64_t back = proof.number(std::numeric_limits<std::uint32_t>::max());
      require(back < lemmas_.size(), "deletes a lemma that does not exist");
      clauses_[lemmas_[lemmas_.size() - 1 - back]] = {};
    } else if (letter == 'w') {
      add(normal(named(proof)));
    } else if (letter == 'e') {
      const Linear linear = normal(named(proof));
      const std::int64_t heaviest = linear.terms.empty() ? 0 : linear.terms[0].weight;
      const bool decides = heaviest >= linear.bound && total(linear) - heaviest < linear.bound;
      add(linear);
      if (!constant(linear) && value_[linear.out] == 0) {
        require(decides, "no literal alone decides the constraint");
        merge(linear.out, linear.terms[0].literal);
      }
    } else if (letter == 's') {
      const Linear first = normal(named(proof)), second = normal(named(proof));
      if (same(first, second)) {
        merge(first.out, second.out);
      } else if (same(first, opposite(second))) {
        merge(first.out, second.out ^ 1u);
      } else {
        require(constant(first) && constant(second), "the sums differ");
        add(first);
        add(second);
      }
    } else {
      require(letter != '\0', "the proof breaks off before the contradiction");
      require(letter != 'q', "the proof ends without a contradiction");
      require(false, "an unknown step");
    }
  }

 private:
  struct Watch {
    std::uint32_t clause;
    Literal blocker;
  };
  // Half 2k of constraint k: out -> sum >= bound. Half 2k + 1: not out -> sum of the negated literals > total - bound.
  struct Half {
    std::int64_t slack = std::int64_t{1} << 62;
    std::int64_t heaviest = 0;
    Literal premise = 0;
  };
  struct Loss {
    std::uint32_t half;
    std::int32_t weight;
  };

  static std::int64_t total(const Linear& linear) {
    std::int64_t sum = 0;
    for (const Term& term : linear.terms) sum += term.weight;
    return sum;
  }
  static bool constant(const Linear& linear) { return linear.bound <= 0 || total(linear) < linear.bound; }
  static Linear opposite(Linear linear) {
    linear.bound = total(linear) - linear.bound + 1;
    for (Term& term : linear.terms) term.literal ^= 1u;
    return linear;
  }
  static bool same(const Linear& first, const Linear& second) {
    return first.bound == second.bound &&
           std::equal(first.terms.begin(), first.terms.end(), second.terms.begin(), second.terms.end(),
                      [](const Term& a, const Term& b) { return a.literal == b.literal && a.weight == b.weight; });
  }

  // --- the assignment
  void assign(Literal literal) {
    value_[literal] = 1;
    value_[literal ^ 1u] = -1;
    level_of_[literal / 2] = static_cast<std::uint32_t>(assumed_.size());
    trail_.push_back(literal);
  }
  void backtrack(std::size_t level) {
    if (level >= assumed_.size()) return;
    const std::size_t size = level_start_[level];
    while (trail_.size() > size) {
      const Literal literal = trail_.back();
      trail_.pop_back();
      value_[literal] = value_[literal ^ 1u] = 0;
      if (trail_.size() < linear_head_) {
        for (const Loss& loss : losses_[literal]) halves_[loss.half].slack += loss.weight;
      }
    }
    clause_head_ = std::min(clause_head_, size);
    linear_head_ = std::min(linear_head_, size);
    assumed_.resize(level);
    level_start_.resize(level);
  }
  void to_root() {
    backtrack(0);
    if (!propagate()) refuted_ = true;
  }

  // --- propagation; false at a conflict
  bool propagate() {
    while (true) {
      if (clause_head_ < trail_.size()) {
        if (!visit_clauses(trail_[clause_head_++] ^ 1u)) return false;
      } else if (linear_head_ < trail_.size()) {
        if (!visit_halves(trail_[linear_head_++])) return false;
      } else {
        return true;
      }
    }
  }
  bool visit_clauses(Literal falsified) {
    std::vector<Watch>& watches = watches_[falsified];
    std::size_t kept = 0, i = 0;
    bool consistent = true;
    while (i < watches.size() && consistent) {
      const Watch watch = watches[i++];
      if (value_[watch.blocker] > 0) {
        watches[kept++] = watch;
        continue;
      }
      std::vector<Literal>& clause = clauses_[watch.clause];
      if (clause.empty()) continue;
      if (clause[0] == falsified) std::swap(clause[0], clause[1]);
      const Literal other = clause[0];
      std::size_t free = value_[other] > 0 ? clause.size() : 2;
      while (free < clause.size() && value_[clause[free]] < 0) ++free;
      if (free < clause.size()) {
        std::swap(clause[1], clause[free]);
        watches_[clause[1]].push_back({watch.clause, other});
        continue;
      }
      watches[kept++] = {watch.clause, other};
      if (value_[other] < 0) consistent = false;
      if (value_[other] == 0) assign(other);
    }
    while (i < watches.size()) watches[kept++] = watches[i++];
    watches.resize(kept);
    return consistent;
  }
  bool visit_halves(Literal literal) {
    touched_.clear();
    for (const Loss& loss : losses_[literal]) {
      Half& half = halves_[loss.half];
      half.slack -= loss.weight;
      if (half.slack < half.heaviest && (half.slack < 0 || value_[half.premise] > 0)) touched_.push_back(loss.half);
    }
    for (const std::uint32_t half : touched_) {
      if (!act(half)) return false;
    }
    for (const std::uint32_t half : armed_[literal]) {
      if (!act(half)) return false;
    }
    return true;
  }
  bool act(std::uint32_t index) {
    const Half& half = halves_[index];
    if (half.slack >= half.heaviest) return true;
    if (half.slack < 0) {
      if (value_[half.premise] == 0) assign(half.premise ^ 1u);
      return value_[half.premise] < 0;
    }
    if (value_[half.premise] <= 0) return true;
    for (const Term& term : constraints_[index / 2].terms) {
      if (term.weight <= half.slack) break;
      const Literal forced = term.literal ^ (index & 1u);
      if (value_[forced] == 0) assign(forced);
    }
    return true;
  }

  // --- clauses
  void lemma(ProofBytes& proof) {
    std::vector<Literal> clause(proof.number(seen_.size()));
    ++lemma_stamp_;
    for (Literal& literal : clause) {
      literal = static_cast<Literal>(proof.number(value_.size() - 1));
      require(seen_[literal / 2] != lemma_stamp_, "a lemma with a variable twice");
      seen_[literal / 2] = lemma_stamp_;
    }
    std::size_t common = 0;
    while (common < std::min(assumed_.size(), clause.size()) && assumed_[common] == (clause[common] ^ 1u)) ++common;
    backtrack(common);
    bool conflict = !propagate(), satisfied = false;
    for (std::size_t i = common; i < clause.size() && !conflict && !satisfied; ++i) {
      const Literal assumption = clause[i] ^ 1u;
      satisfied = value_[assumption] < 0;
      if (satisfied) break;
      level_start_.push_back(trail_.size());
      assumed_.push_back(assumption);
      if (value_[assumption] == 0) assign(assumption);
      conflict = !propagate();
    }
    require(conflict || satisfied, "a lemma that does not follow by propagation");
    if (conflict && assumed_.empty()) refuted_ = true;
    if (conflict && !assumed_.empty()) backtrack(assumed_.size() - 1);
    lemmas_.push_back(clauses_.size());
    attach(std::move(clause));
  }
  // To where the clause is satisfied, or has two open literals, or one that it then forces.
  void attach(std::vector<Literal> clause) {
    const auto later = [this](Literal a, Literal b) { return falsified_at(a) > falsified_at(b); };
    const std::size_t watched = std::min<std::size_t>(2, clause.size());
    std::partial_sort(clause.begin(), clause.begin() + static_cast<std::ptrdiff_t>(watched), clause.end(), later);
    const std::uint32_t first = clause.empty() ? 0 : falsified_at(clause[0]);
    const std::uint32_t second = clause.size() < 2 ? 0 : falsified_at(clause[1]);
    if (first == 0) refuted_ = true;
    if (refuted_) return;
    if (second != open) backtrack(first == second ? first - 1 : second);
    const auto number = static_cast<std::uint32_t>(clauses_.size());
    if (second < first && value_[clause[0]] == 0) assign(clause[0]);
    if (clause.size() > 1) {
      watches_[clause[0]].push_back({number, clause[1]});
      watches_[clause[1]].push_back({number, clause[0]});
    }
    clauses_.push_back(std::move(clause));
  }
  static constexpr std::uint32_t open = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t falsified_at(Literal literal) const { return value_[literal] < 0 ? level_of_[literal / 2] : open; }

  // --- constraints, at the root
  // One that is decided already says nothing more: true <-> 0 >= 0.
  const Linear& named(ProofBytes& proof) {
    const std::uint64_t name = proof.number(named_.size() - 1);
    decided_.name = static_cast<std::uint32_t>(name);
    return named_[name] == 0 ? decided_ : constraints_[named_[name] - 1];
  }
  Literal find(Literal literal) const {
    while (parent_[literal / 2] / 2 != literal / 2) literal = parent_[literal / 2] ^ (literal & 1u);
    return literal;
  }
  // Over open literals that no other is equal to, each once, the heaviest first, divided by what divides all weights.
  Linear normal(const Linear& linear) {
    Linear made{linear.name, value_[linear.out] != 0 ? linear.out : find(linear.out), {}, linear.bound};
    variables_.clear();
    for (const Term& term : linear.terms) {
      const Literal literal = find(term.literal);
      // weight * [not v] is weight - weight * [v].
      const bool counts = value_[literal] > 0 || (value_[literal] == 0 && (literal & 1u) != 0);
      if (counts) made.bound -= term.weight;
      if (value_[literal] != 0) continue;
      variables_.push_back(literal / 2);
      coefficient_[literal / 2] += (literal & 1u) != 0 ? -term.weight : term.weight;
    }
    std::int64_t divisor = 0;
    for (const std::uint32_t variable : variables_) {
      made.add(2 * variable, coefficient_[variable]);
      divisor = std::gcd(divisor, coefficient_[variable]);
      coefficient_[variable] = 0;
    }
    if (made.bound <= 0 || divisor == 0) divisor = 1;
    for (Term& term : made.terms) term.weight /= divisor;
    made.bound = (made.bound + divisor - 1) / divisor;
    std::sort(made.terms.begin(), made.terms.end(), [](const Term& a, const Term& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.literal / 2 < b.literal / 2;
    });
    return made;
  }
  // In place of the constraint of that name, if there is one.
  void add(const Linear& linear) {
    if (std::uint32_t& before = named_[linear.name]; before != 0) {
      halves_[2 * before - 2] = halves_[2 * before - 1] = Half{};
      stale_ += constraints_[before - 1].terms.size();
      constraints_[before - 1].terms.clear();
      before = 0;
    }
    if (constant(linear)) return attach({linear.out ^ (linear.bound <= 0 ? 0u : 1u)});
    constraints_.push_back(linear);
    named_[linear.name] = static_cast<std::uint32_t>(constraints_.size());
    const std::int64_t sum = total(linear);
    require(sum < std::numeric_limits<std::int32_t>::max(), "the weights of a constraint are too large");
    halves_.push_back({sum - linear.bound, linear.terms[0].weight, linear.out});
    halves_.push_back({linear.bound - 1, linear.terms[0].weight, linear.out ^ 1u});
    entered_ += linear.terms.size();
    enter(static_cast<std::uint32_t>(constraints_.size() - 1));
    if (stale_ > entered_ / 2 && stale_ > value_.size()) drop_stale();
    for (const std::uint32_t flip : {2u, 1u}) {
      if (!act(static_cast<std::uint32_t>(halves_.size()) - flip)) refuted_ = true;
    }
  }
  void enter(std::uint32_t index) {
    const Linear& linear = constraints_[index];
    for (const Term& term : linear.terms) {
      losses_[term.literal ^ 1u].push_back({2 * index, static_cast<std::int32_t>(term.weight)});
      losses_[term.literal].push_back({2 * index + 1, static_cast<std::int32_t>(term.weight)});
    }
    armed_[linear.out].push_back(2 * index);
    armed_[linear.out ^ 1u].push_back(2 * index + 1);
  }
  void drop_stale() {
    for (auto& list : losses_) list.clear();
    for (auto& list : armed_) list.clear();
    for (std::uint32_t i = 0; i < constraints_.size(); ++i) {
      if (!constraints_[i].terms.empty()) enter(i);
    }
    entered_ -= stale_;
    stale_ = 0;
  }
  void merge(Literal first, Literal second) {
    first = find(first), second = find(second);
    if (first == second) return;
    if (first == (second ^ 1u)) refuted_ = true;
    if (refuted_) return;
    attach({first ^ 1u, second});
    attach({first, second ^ 1u});
    if (!propagate()) refuted_ = true;
    if (value_[first] != 0) return;
    if (first > second) std::swap(first, second);
    parent_[second / 2] = first ^ (second & 1u);
  }

  bool refuted_ = false;
  std::vector<std::int8_t> value_;
  std::vector<std::uint32_t> level_of_;
  // By the constraint's name, one more than its place; 0 if there is none.
  std::vector<std::uint32_t> named_;
  std::vector<Literal> parent_;
  std::vector<std::int64_t> coefficient_;
  std::vector<std::uint64_t> seen_;
  std::uint64_t lemma_stamp_ = 0;
  // By literal: the clauses that watch it, the halves that lose weight when it becomes true, those whose premise it is.
  std::vector<std::vector<Watch>> watches_;
  std::vector<std::vector<Loss>> losses_;
  std::vector<std::vector<std::uint32_t>> armed_;
  std::vector<Literal> trail_;
  std::vector<Literal> assumed_;
  std::vector<std::size_t> level_start_;
  std::size_t clause_head_ = 0, linear_head_ = 0;
  std::vector<std::vector<Literal>> clauses_;
  std::vector<std::size_t> lemmas_;
  std::vector<Linear> constraints_;
  Linear decided_;
  std::vector<Half> halves_;
  std::vector<std::uint32_t> touched_, variables_;
  // Terms that were entered, and those of them whose constraint has been written anew.
  std::size_t entered_ = 0, stale_ = 0;
};

}  // namespace

std::uint64_t ProofBytes::number(std::uint64_t most) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 56; shift += 7) {
    require(!rest.empty(), "the proof breaks off");
    const auto byte = static_cast<unsigned char>(letter());
    value |= std::uint64_t{byte & 127u} << shift;
    if (byte < 128) {
      require(value <= most, "a number out of range");
      return value;
    }
  }
  throw std::invalid_argument("a number too long");
}

std::map<std::uint32_t, BudgetStep> read_budget_steps(ProofBytes& proof) {
  std::map<std::uint32_t, BudgetStep> steps;
  while (!proof.rest.empty() && proof.rest.front() == 'b') {
    proof.letter();
    const std::uint64_t literal = proof.number(std::numeric_limits<std::uint32_t>::max());
    const auto numerator = static_cast<std::int64_t>(proof.number(1u << 28));
    const auto denominator = static_cast<std::int64_t>(proof.number(1u << 28));
    require(denominator > 0, "budget step: its multiplier");
    steps[static_cast<std::uint32_t>(literal / 2)] = {(literal & 1u) == 0, numerator, denominator};
  }
  return steps;
}

bool refuted_at_once(Formula formula) { return Checker(std::move(formula)).refuted(); }

void check_proof(Formula formula, ProofBytes proof) {
  Checker checker(std::move(formula));
  for (std::uint64_t step = 1; !checker.refuted(); ++step) {
    try {
      checker.step(proof);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("step " + std::to_string(step) + ": " + error.what());
    }
  }
}

}  // namespace bnnhw::checker
