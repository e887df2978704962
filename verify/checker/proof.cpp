// Every step of a proof, checked. A lemma follows by reverse unit propagation: its negation, propagated over clauses and
// both halves of every constraint, meets a conflict. Then it is undone: between steps, what is assigned is so for good.
// (What two lemmas in a row have in common is propagated twice. Keeping it is a tenth to a fifth faster, and would be
// the most intricate part of what has to be trusted.)
//
// A constraint's half has a slack: the weight it may still lose. Below zero its premise is false; with the premise true,
// what is heavier than the slack is true. Two literals that a constraint, or two with one sum, make equal become one in
// the constraints that the proof names from then on.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>

#include "evaluation.hpp"
#include "formula.hpp"
#include "ways.hpp"

namespace bnnhw::checker {

namespace {

class Checker {
 public:
  explicit Checker(Formula formula)
      : value_(2 * std::size_t{formula.variables} + 2), watches_(value_.size()), variables_(value_.size() / 2) {
    for (std::size_t i = 0; i < variables_.size(); ++i) variables_[i].parent = 2 * static_cast<Literal>(i);
    assign(0);
    for (const Literal literal : formula.units) {
      if (value_[literal] < 0) refuted_ = true;
      if (value_[literal] == 0) assign(literal);
    }
    for (std::vector<Literal>& clause : formula.clauses) attach(std::move(clause));
    std::uint32_t names = 0;
    for (const Linear& linear : formula.constraints) names = std::max(names, linear.name + 1);
    constraints_.resize(names);
    for (std::uint32_t name = 0; name < names; ++name) constraints_[name].name = name;
    halves_.resize(2 * std::size_t{names});
    // After the clauses, so that what units fix never enters a constraint.
    for (const Linear& linear : formula.constraints) write(normal(linear));
    stated_ = std::move(formula.constraints);
    if (!propagate()) refuted_ = true;
  }

  bool refuted() const { return refuted_; }

  void step(ProofBytes& proof) {
    const char letter = proof.letter();
    if (letter == 'a') {
      lemma(proof);
    } else if (letter == 'd') {
      const std::uint64_t back = proof.number(std::numeric_limits<std::uint32_t>::max());
      require(back < lemmas_.size(), "deletes a lemma that does not exist");
      clauses_[lemmas_[lemmas_.size() - 1 - back]] = {};
    } else if (letter == 'w') {
      write(normal(named(proof)));
    } else if (letter == 'e') {
      const Linear linear = normal(named(proof));
      write(linear);
      if (!linear.constant() && value_[linear.out] == 0) {
        const std::int64_t heaviest = linear.terms[0].weight, others = linear.total() - heaviest;
        require(heaviest >= linear.bound && others < linear.bound, "no literal alone decides the constraint");
        merge(linear.out, linear.terms[0].literal);
      }
    } else if (letter == 's') {
      const Linear first = normal(named(proof)), second = normal(named(proof));
      if (same(first, second)) {
        merge(first.out, second.out);
      } else if (same(first, second.opposite())) {
        merge(first.out, second.out ^ 1u);
      } else {
        require(first.constant() && second.constant(), "the sums differ");
        write(first);
        write(second);
      }
    } else if (letter == 'n') {
      const std::uint64_t name = proof.number(std::numeric_limits<std::uint32_t>::max());
      const auto is = [name](const Linear& linear) { return linear.name == name; };
      const auto limit = std::find_if(stated_.begin(), stated_.end(), is);
      require(limit != stated_.end(), "a constraint that there is not");
      every_way(normal(*limit));
    } else {
      require(letter != '\0', "the proof breaks off before the contradiction");
      require(letter != 'q', "the proof ends without a contradiction");
      require(false, "an unknown step");
    }
    if (!propagate()) refuted_ = true;
  }

 private:
  struct Watch {
    std::uint32_t clause;
    Literal blocker;
  };
  // Of a variable in a constraint: the half that loses the weight when the variable becomes true; the other does when it
  // becomes false. Weight 0: the half whose premise then is true.
  struct Use {
    std::uint32_t half;
    std::int32_t weight;
  };
  struct Variable {
    std::vector<Use> uses{};
    Literal parent = 0;            // a literal that it is equal to
    std::int64_t coefficient = 0;  // of use to normal() only
  };
  // Half 2k of constraint k: out -> sum >= bound. Half 2k + 1: not out -> sum of the negated literals > total - bound.
  struct Half {
    std::int32_t slack = 0;
    std::int32_t heaviest = 0;
    Literal premise = 0;
  };

  static bool same(const Linear& first, const Linear& second) {
    return first.bound == second.bound && first.terms == second.terms;
  }

  // --- the assignment
  void assign(Literal literal) {
    value_[literal] = 1;
    value_[literal ^ 1u] = -1;
    trail_.push_back(literal);
  }
  // Back to so many assignments.
  void undo(std::size_t size) {
    for (; trail_.size() > size; trail_.pop_back()) {
      const Literal literal = trail_.back();
      value_[literal] = value_[literal ^ 1u] = 0;
      if (trail_.size() > linear_head_) continue;
      for (const Use& use : variables_[literal / 2].uses) halves_[use.half ^ (literal & 1u)].slack += use.weight;
    }
    clause_head_ = std::min(clause_head_, size);
    linear_head_ = std::min(linear_head_, size);
  }

  // --- propagation; false at a conflict
  bool propagate() {
    while (true) {
      if (clause_head_ < trail_.size()) {
        if (!visit_clauses(trail_[clause_head_++] ^ 1u)) return false;
      } else if (linear_head_ < trail_.size()) {
        if (!visit_constraints(trail_[linear_head_++])) return false;
      } else {
        return true;
      }
    }
  }
  bool visit_clauses(Literal falsified) {
    std::vector<Watch>& watches = watches_[falsified];
    std::size_t kept = 0;
    bool consistent = true;
    for (std::size_t i = 0; i < watches.size(); ++i) {
      const Watch watch = watches[i];
      if (!consistent || value_[watch.blocker] > 0) {
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
    watches.resize(kept);
    return consistent;
  }
  bool visit_constraints(Literal literal) {
    touched_.clear();
    for (const Use& use : variables_[literal / 2].uses) {
      const std::uint32_t index = use.half ^ (literal & 1u);
      Half& half = halves_[index];
      half.slack -= use.weight;
      if (half.slack < half.heaviest && (half.slack < 0 || value_[half.premise] > 0)) touched_.push_back(index);
    }
    // Only now: at a conflict every slack has to have lost the literal's weight, as backtracking gives it back.
    return std::all_of(touched_.begin(), touched_.end(), [this](std::uint32_t half) { return act(half); });
  }
  bool act(std::uint32_t index) {
    const Half& half = halves_[index];
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
    std::vector<Literal> clause(proof.number(variables_.size()));
    for (Literal& literal : clause) literal = static_cast<Literal>(proof.number(value_.size() - 1));
    const std::size_t kept = trail_.size();
    bool follows = false;
    for (const Literal literal : clause) {
      if (value_[literal] > 0) follows = true;
      if (value_[literal] == 0) assign(literal ^ 1u);
    }
    follows = follows || !propagate();
    undo(kept);
    require(follows, "a lemma that does not follow by propagation");
    lemmas_.push_back(clauses_.size());
    attach(std::move(clause));
  }
  void attach(std::vector<Literal> clause) {
    std::sort(clause.begin(), clause.end());
    clause.erase(std::unique(clause.begin(), clause.end()), clause.end());
    // The first two are watched, and neither is false.
    const auto end = std::partition(clause.begin(), clause.end(), [this](Literal literal) { return value_[literal] >= 0; });
    const auto open = end - clause.begin();
    if (open == 0) refuted_ = true;
    if (open == 1 && value_[clause[0]] == 0) assign(clause[0]);
    if (open > 1) {
      const auto number = static_cast<std::uint32_t>(clauses_.size());
      watches_[clause[0]].push_back({number, clause[1]});
      watches_[clause[1]].push_back({number, clause[0]});
    }
    clauses_.push_back(std::move(clause));
  }

  // --- constraints
  // One that is decided has no terms left, and is constant; one whose name is not in use holds always.
  const Linear& named(ProofBytes& proof) const {
    const std::uint64_t name = proof.number(std::numeric_limits<std::uint32_t>::max());
    require(name < constraints_.size(), "a constraint that there is not");
    return constraints_[name];
  }
  Literal find(Literal literal) const {
    while (variables_[literal / 2].parent / 2 != literal / 2) literal = variables_[literal / 2].parent ^ (literal & 1u);
    return literal;
  }
  // Over open literals that no other is equal to, each once, the heaviest first, divided by what divides all weights.
  Linear normal(const Linear& linear) {
    Linear made{linear.name, value_[linear.out] != 0 ? linear.out : find(linear.out), {}, linear.bound};
    summed_.clear();
    for (const Term& term : linear.terms) {
      const Literal literal = find(term.literal);
      // weight * [not v] is weight - weight * [v].
      const bool counts = value_[literal] > 0 || (value_[literal] == 0 && (literal & 1u) != 0);
      if (counts) made.bound -= term.weight;
      if (value_[literal] != 0) continue;
      summed_.push_back(literal / 2);
      variables_[literal / 2].coefficient += (literal & 1u) != 0 ? -term.weight : term.weight;
    }
    std::int64_t divisor = 0;
    made.terms.reserve(summed_.size());
    for (const std::uint32_t variable : summed_) {
      std::int64_t& coefficient = variables_[variable].coefficient;
      made.add(2 * variable, coefficient);
      if (divisor != 1) divisor = std::gcd(divisor, coefficient);
      coefficient = 0;
    }
    if (made.bound > 0 && divisor > 1) {
      for (Term& term : made.terms) term.weight /= divisor;
      made.bound = (made.bound + divisor - 1) / divisor;
    }
    const auto before = [](const Term& a, const Term& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.literal / 2 < b.literal / 2;
    };
    if (!std::is_sorted(made.terms.begin(), made.terms.end(), before)) std::sort(made.terms.begin(), made.terms.end(), before);
    return made;
  }
  // In place of what the constraint of that name said.
  void write(Linear linear) {
    Linear& before = constraints_[linear.name];
    if (!before.terms.empty()) forget(before.name, before.out / 2);
    for (const Term& term : before.terms) forget(before.name, term.literal / 2);
    before = std::move(linear);
    if (before.constant()) {
      before.terms.clear();
      return attach({before.out ^ (before.always() ? 0u : 1u)});
    }
    const std::int64_t total = before.total();
    require(total < std::numeric_limits<std::int32_t>::max(), "the weights of a constraint are too large");
    for (const Term& term : before.terms) {
      const std::uint32_t lighter = 2 * before.name + 1 - (term.literal & 1u);
      variables_[term.literal / 2].uses.push_back({lighter, static_cast<std::int32_t>(term.weight)});
    }
    variables_[before.out / 2].uses.push_back({2 * before.name + (before.out & 1u), 0});
    const auto heaviest = static_cast<std::int32_t>(before.terms[0].weight);
    halves_[2 * before.name] = {static_cast<std::int32_t>(total - before.bound), heaviest, before.out};
    halves_[2 * before.name + 1] = {static_cast<std::int32_t>(before.bound - 1), heaviest, before.out ^ 1u};
    if (!act(2 * before.name) || !act(2 * before.name + 1)) refuted_ = true;
  }
  void forget(std::uint32_t constraint, std::uint32_t variable) {
    std::vector<Use>& uses = variables_[variable].uses;
    const auto is = [constraint](const Use& use) { return use.half / 2 == constraint; };
    uses.erase(std::remove_if(uses.begin(), uses.end(), is), uses.end());
  }
  // The constraint holds, as it was stated: one that leaves every choice may have been decided meanwhile. Each way to meet
  // it gives the sums over its variables their bits; if none of these patterns can be, there is no solution.
  void every_way(const Linear& limit) {
    require(value_[limit.out] > 0 && limit.total() >= limit.bound, "a constraint that need not hold");
    std::vector<bool> among(variables_.size());
    for (const Term& term : limit.terms) among[term.literal / 2] = true;
    const auto outside = [this, &among](const Term& term) {
      const Literal literal = find(term.literal);
      return value_[literal] == 0 && !among[literal / 2];
    };
    std::vector<Linear> sums;
    for (const Linear& stored : constraints_) {
      if (stored.terms.empty() || stored.name == limit.name) continue;
      if (std::any_of(stored.terms.begin(), stored.terms.end(), outside)) continue;
      Linear linear = normal(stored);
      if (!linear.constant()) sums.push_back(std::move(linear));
    }
    std::vector<std::pair<Literal, Literal>> pairs;
    for (const std::vector<Literal>& clause : clauses_) {
      if (clause.size() == 2) pairs.emplace_back(clause[0], clause[1]);
    }
    std::vector<Literal> outputs;
    for (const Linear& sum : sums) outputs.push_back(sum.out);
    // Most meet a conflict by plain evaluation, which takes many at a time; then propagation meets one as well.
    const std::vector<Pattern> patterns = without_conflict(patterns_of_ways(limit, sums, pairs), variables_.size(), outputs,
                                                           trail_, constraints_, clauses_);
    refute(sums, patterns.data(), patterns.data() + patterns.size(), 0);
    refuted_ = true;
  }
  // Patterns with the same first bits together, as far as it takes.
  void refute(const std::vector<Linear>& sums, const Pattern* begin, const Pattern* end, std::size_t bit) {
    require(bit < sums.size(), "a way to meet the constraint that propagation does not refute");
    const Pattern* const middle = std::partition_point(begin, end, [bit](const Pattern& one) { return !bit_of(one, bit); });
    for (const bool set : {false, true}) {
      const Pattern* const first = set ? middle : begin;
      const Pattern* const last = set ? end : middle;
      const Literal literal = sums[bit].out ^ (set ? 0u : 1u);
      if (first == last || value_[literal] < 0) continue;
      const std::size_t kept = trail_.size();
      if (value_[literal] == 0) assign(literal);
      if (propagate()) refute(sums, first, last, bit + 1);
      undo(kept);
    }
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
    variables_[second / 2].parent = first ^ (second & 1u);
  }

  bool refuted_ = false;
  // By literal.
  std::vector<std::int8_t> value_;
  std::vector<std::vector<Watch>> watches_;
  std::vector<Variable> variables_;
  std::vector<Literal> trail_;
  std::size_t clause_head_ = 0, linear_head_ = 0;
  std::vector<std::vector<Literal>> clauses_;
  std::vector<std::size_t> lemmas_;
  std::vector<Linear> stated_{};  // in the formula's order
  // As they read now, by name; without terms where there is none.
  std::vector<Linear> constraints_;
  std::vector<Half> halves_;
  std::vector<std::uint32_t> touched_, summed_;
};

}  // namespace

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
