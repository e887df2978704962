// Reverse unit propagation with reasons. Where a lemma's negation meets a conflict, what the conflict rests on is
// collected backwards along the trail ("conflict analysis", Marques-Silva and Sakallah, IEEE TC 1999); a literal fixed for
// good is explained once, when it is found. A constraint explains a literal by the literals that it lost first, as few as
// exhaust its slack: they are the likeliest to be needed anyway.
#include "elaboration.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>


namespace bnnhw::elaborator {

namespace {

using checker::require;

class Elaborator {
 public:
  Elaborator(const Formula& formula, bool with_clauses)
      : formula_(formula), with_clauses_(with_clauses), value_(2 * std::size_t{formula.variables} + 2),
        places_(formula.variables + std::size_t{1}), fixed_(places_.size()), parent_(places_.size()),
        parent_fact_(places_.size()), coefficient_(places_.size()), marked_(places_.size()), watches_(value_.size()),
        losses_(value_.size()), armed_(value_.size()) {
    for (std::size_t i = 0; i < parent_.size(); ++i) parent_[i] = 2 * static_cast<Literal>(i);
    made.steps.push_back({' ', 0, 0});
    assign(0, {});
    for (std::size_t i = 0; i < formula.clauses.size() && !refuted(); ++i) {
      std::vector<Literal> clause = formula.clauses[i];
      std::sort(clause.begin(), clause.end());
      clause.erase(std::unique(clause.begin(), clause.end()), clause.end());
      const std::uint32_t fact = add_fact(Kind::input, static_cast<std::uint32_t>(i), {}, {});
      attach(std::move(clause), fact);
    }
    for (std::size_t i = 0; i < formula.constraints.size() && !refuted(); ++i) {
      const Linear& linear = formula.constraints[i];
      if (linear.name >= named_.size()) named_.resize(linear.name + std::size_t{1}, none);
      original_.resize(named_.size(), none);
      version_.resize(named_.size(), none);
      original_[linear.name] = static_cast<std::uint32_t>(i);
      std::vector<std::uint32_t> basis;
      const Linear first = normal(linear, basis);
      add(first, add_version(linear.name, basis));
    }
    to_root();
  }

  bool refuted() const { return refuted_; }

  void step(ProofBytes& proof) {
    const char letter = proof.letter();
    if (letter == 'a') return lemma(proof);
    to_root();
    if (refuted()) return;
    std::vector<std::uint32_t> basis;
    if (letter == 'd') {
      const std::uint64_t back = proof.number(none);
      require(back < lemmas_.size(), "deletes a lemma that does not exist");
      clauses_[lemmas_[lemmas_.size() - 1 - back]] = {};
    } else if (letter == 'w') {
      const std::uint64_t name = name_in(proof);
      if (decided(name)) return;
      const Linear linear = current(name, basis);
      add(linear, add_version(linear.name, basis));
    } else if (letter == 'e') {
      const std::uint64_t name = name_in(proof);
      if (decided(name)) return;
      const Linear linear = current(name, basis);
      const std::int64_t heaviest = linear.terms.empty() ? 0 : linear.terms[0].weight;
      const bool decides = heaviest >= linear.bound && total(linear) - heaviest < linear.bound;
      const std::uint32_t version = add_version(linear.name, basis);
      add(linear, version);
      if (refuted() || constant(linear) || value_[linear.out] != 0) return;
      require(decides, "no literal alone decides the constraint");
      merge(linear.out, linear.terms[0].literal, {version}, {name, name});
    } else if (letter == 's') {
      const std::uint64_t one = name_in(proof), other = name_in(proof);
      if (decided(one) && decided(other)) return;
      const Linear first = current(one, basis), second = current(other, basis);
      if (same(first, second)) {
        merge(first.out, second.out, basis, {one, other});
      } else if (same(first, opposite(second))) {
        merge(first.out, second.out ^ 1u, basis, {one, other});
      } else {
        require(constant(first) && constant(second), "the sums differ");
        if (!decided(one)) add(first, add_version(first.name, basis));
        if (!refuted() && !decided(other)) add(second, add_version(second.name, basis));
      }
    } else {
      require(false, letter == 'q' || letter == '\0' ? "the proof ends without a contradiction" : "an unknown step");
    }
  }

  Elaboration made;

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  enum class By : std::uint8_t { nothing, clause, premise, term };
  // Why a literal is true: a clause, or a half that is out of slack, by its premise or by one of its terms.
  struct Reason {
    By by = By::nothing;
    std::uint32_t index = 0;
  };
  struct Clause {
    std::vector<Literal> literals;
    std::uint32_t fact = 0;
  };
  struct Watch {
    std::uint32_t clause;
    Literal blocker;
  };
  struct Place {
    std::uint32_t level, position;
    Reason reason;
  };
  // Half 2k of version k: out -> sum >= bound. Half 2k + 1: not out -> sum of the negated literals > total - bound.
  struct Half {
    std::int64_t slack, allowance, heaviest;
    Literal premise;
  };
  struct Loss {
    std::uint32_t half;
    std::int64_t weight;
  };
  struct Version {
    Linear linear;
    std::uint32_t fact;
  };

  static std::int64_t total(const Linear& linear) {
    return std::accumulate(linear.terms.begin(), linear.terms.end(), std::int64_t{0},
                           [](std::int64_t sum, const Term& term) { return sum + term.weight; });
  }
  static bool constant(const Linear& linear) { return linear.bound <= 0 || total(linear) < linear.bound; }
  static Linear opposite(Linear linear) {
    linear.bound = total(linear) - linear.bound + 1;
    for (Term& term : linear.terms) term.literal ^= 1u;
    return linear;
  }
  static bool same(const Linear& first, const Linear& second) {
    const auto equal = [](const Term& a, const Term& b) { return a.literal == b.literal && a.weight == b.weight; };
    return first.bound == second.bound &&
           std::equal(first.terms.begin(), first.terms.end(), second.terms.begin(), second.terms.end(), equal);
  }

  // --- facts
  std::uint32_t add_fact(Kind kind, std::uint32_t about, const std::vector<Literal>& literals,
                         const std::vector<std::uint32_t>& antecedents) {
    const std::size_t begin = made.literals.size(), basis = made.antecedents.size();
    made.literals.insert(made.literals.end(), literals.begin(), literals.end());
    made.antecedents.insert(made.antecedents.end(), antecedents.begin(), antecedents.end());
    made.facts.push_back({kind, static_cast<std::uint32_t>(made.steps.size() - 1), about, begin, made.literals.size(),
                          basis, made.antecedents.size()});
    require(made.facts.size() < none, "a proof of too many steps");
    return static_cast<std::uint32_t>(made.facts.size() - 1);
  }
  std::uint32_t add_version(std::uint32_t name, const std::vector<std::uint32_t>& basis) {
    std::vector<Literal> images;
    if (made.steps.size() > 1) look(name, images);
    return add_fact(Kind::version, original_[name], images, basis);
  }
  void look(std::uint64_t name, std::vector<Literal>& images) const {
    const Linear& linear = formula_.constraints[original_[name]];
    const auto look_at = [&](Literal literal) {
      const Literal now = value_[literal] != 0 ? (value_[literal] > 0 ? 0u : 1u) : find(literal);
      if (now != literal) images.insert(images.end(), {literal, now});
    };
    for (const Term& term : linear.terms) look_at(term.literal);
    look_at(linear.out);
  }
  // By what fact a clause or half takes part, where it makes these literals true, or is in conflict (none).
  std::uint32_t fact_of(Reason reason, Literal made_true, const std::vector<Literal>& because) {
    if (reason.by == By::clause) return clauses_[reason.index].fact;
    const std::uint32_t version = versions_[reason.index / 2].fact;
    if (!with_clauses_) return version;
    std::vector<Literal> clause;
    if (made_true != none) clause.push_back(made_true);
    for (const Literal literal : because) clause.push_back(literal ^ 1u);
    return implied(version, std::move(clause));
  }
  std::uint32_t implied(std::uint32_t version, std::vector<Literal> clause) {
    if (!with_clauses_) return version;
    std::sort(clause.begin(), clause.end());
    clause.erase(std::unique(clause.begin(), clause.end()), clause.end());
    return add_fact(Kind::implied, made.facts[version].about, clause, {version});
  }
  // The true literals that made this one true, or the conflict.
  std::vector<Literal> because(Reason reason, Literal made_true) {
    std::vector<Literal> all;
    if (reason.by == By::clause) {
      for (const Literal literal : clauses_[reason.index].literals) {
        if (literal != made_true) all.push_back(literal ^ 1u);
      }
      return all;
    }
    const Half& half = halves_[reason.index];
    const Literal flip = reason.index & 1u;
    const std::uint32_t before = made_true == none ? none : places_[made_true / 2].position;
    std::int64_t room = half.allowance;
    lost_.clear();
    for (const Term& term : versions_[reason.index / 2].linear.terms) {
      const Literal literal = term.literal ^ flip;
      if (reason.by == By::term && literal == made_true) room -= term.weight;
      if (value_[literal] < 0 && places_[literal / 2].position < before) lost_.push_back({literal, term.weight});
    }
    std::sort(lost_.begin(), lost_.end(), [this](const Term& a, const Term& b) {
      return places_[a.literal / 2].position < places_[b.literal / 2].position;
    });
    for (const Term& term : lost_) {
      if (room < 0) break;
      room -= term.weight;
      all.push_back(term.literal ^ 1u);
    }
    if (reason.by == By::term || made_true == none) all.push_back(half.premise);
    return all;
  }
  // What a conflict, or a literal that is true, rests on: literals fixed for good, then the rest in order.
  std::vector<std::uint32_t> analyze(Reason reason, Literal made_true) {
    ++stamp_;
    std::vector<std::uint32_t> units, rest;
    std::size_t open = 0;
    const auto resolve = [&](Reason with, Literal literal) {
      const std::vector<Literal> causes = because(with, literal);
      rest.push_back(fact_of(with, literal, causes));
      for (const Literal cause : causes) {
        if (marked_[cause / 2] == stamp_) continue;
        marked_[cause / 2] = stamp_;
        if (places_[cause / 2].level == 0) {
          if (cause != 0) units.push_back(fixed_[cause / 2]);
        } else {
          ++open;
        }
      }
    };
    resolve(reason, made_true);
    for (std::size_t i = trail_.size(); open > 0 && i-- > 0;) {
      const Literal literal = trail_[i];
      if (marked_[literal / 2] != stamp_ || places_[literal / 2].level == 0) continue;
      --open;
      if (places_[literal / 2].reason.by != By::nothing) resolve(places_[literal / 2].reason, literal);
    }
    units.insert(units.end(), rest.rbegin(), rest.rend());
    return units;
  }
  void refute(Reason reason) {
    made.contradiction = analyze(reason, none);
    refuted_ = true;
  }

  // --- the assignment
  void assign(Literal literal, Reason reason) {
    value_[literal] = 1;
    value_[literal ^ 1u] = -1;
    places_[literal / 2] = {static_cast<std::uint32_t>(assumed_.size()), static_cast<std::uint32_t>(trail_.size()), reason};
    trail_.push_back(literal);
    if (!assumed_.empty()) return;
    std::vector<std::uint32_t> basis;
    if (reason.by != By::nothing) basis = analyze(reason, literal);
    fixed_[literal / 2] = add_fact(Kind::unit, 0, {literal}, basis);
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
    if (refuted()) return;
    backtrack(0);
    if (!propagate()) refute(conflict_);
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
      std::vector<Literal>& clause = clauses_[watch.clause].literals;
      if (clause.empty()) continue;
      if (clause[0] == falsified) std::swap(clause[0], clause[1]);
      std::size_t free = value_[clause[0]] > 0 ? clause.size() : 2;
      while (free < clause.size() && value_[clause[free]] < 0) ++free;
      if (free < clause.size()) {
        std::swap(clause[1], clause[free]);
        watches_[clause[1]].push_back({watch.clause, clause[0]});
        continue;
      }
      watches[kept++] = {watch.clause, clause[0]};
      const Reason reason{By::clause, watch.clause};
      consistent = value_[clause[0]] >= 0;
      if (!consistent) conflict_ = reason;
      if (value_[clause[0]] == 0) assign(clause[0], reason);
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
      if (half.slack < half.heaviest) touched_.push_back(loss.half);
    }
    for (const std::uint32_t half : touched_) {
      if (!act(half)) return false;
    }
    return std::all_of(armed_[literal].begin(), armed_[literal].end(), [this](std::uint32_t half) { return act(half); });
  }
  bool act(std::uint32_t index) {
    const Half& half = halves_[index];
    if (half.slack >= half.heaviest) return true;
    if (half.slack < 0) {
      conflict_ = {By::premise, index};
      if (value_[half.premise] == 0) assign(half.premise ^ 1u, conflict_);
      return value_[half.premise] < 0;
    }
    if (value_[half.premise] <= 0) return true;
    for (const Term& term : versions_[index / 2].linear.terms) {
      if (term.weight <= half.slack) break;
      const Literal forced = term.literal ^ (index & 1u);
      if (value_[forced] == 0) assign(forced, {By::term, index});
    }
    return true;
  }

  // --- clauses
  void lemma(ProofBytes& proof) {
    std::vector<Literal> clause(proof.number(marked_.size()));
    ++stamp_;
    for (Literal& literal : clause) {
      literal = static_cast<Literal>(proof.number(value_.size() - 1));
      require(marked_[literal / 2] != stamp_, "a lemma with a variable twice");
      marked_[literal / 2] = stamp_;
    }
    std::size_t common = 0;
    while (common < std::min(assumed_.size(), clause.size()) && assumed_[common] == (clause[common] ^ 1u)) ++common;
    backtrack(common);
    bool conflict = !propagate();
    Literal satisfied = none;
    for (std::size_t i = common; i < clause.size() && !conflict && satisfied == none; ++i) {
      const Literal assumption = clause[i] ^ 1u;
      if (value_[assumption] < 0) {
        satisfied = clause[i];
        break;
      }
      level_start_.push_back(trail_.size());
      assumed_.push_back(assumption);
      if (value_[assumption] == 0) assign(assumption, {});
      conflict = !propagate();
    }
    require(conflict || satisfied != none, "a lemma that does not follow by propagation");
    if (conflict && assumed_.empty()) return refute(conflict_);
    std::vector<std::uint32_t> basis;
    if (conflict) {
      basis = analyze(conflict_, none);
    } else if (places_[satisfied / 2].level == 0) {
      basis.push_back(fixed_[satisfied / 2]);
    } else {
      basis = analyze(places_[satisfied / 2].reason, satisfied);
    }
    const std::uint32_t fact = add_fact(Kind::lemma, static_cast<std::uint32_t>(lemmas_.size()), clause, basis);
    if (conflict) backtrack(assumed_.size() - 1);
    lemmas_.push_back(clauses_.size());
    attach(std::move(clause), fact);
  }
  // To where the clause is satisfied, or has two open literals, or one that it then forces.
  void attach(std::vector<Literal> clause, std::uint32_t fact) {
    const auto later = [this](Literal a, Literal b) { return falsified_at(a) > falsified_at(b); };
    const std::size_t watched = std::min<std::size_t>(2, clause.size());
    std::partial_sort(clause.begin(), clause.begin() + static_cast<std::ptrdiff_t>(watched), clause.end(), later);
    const std::uint32_t first = clause.empty() ? 0 : falsified_at(clause[0]);
    const std::uint32_t second = clause.size() < 2 ? 0 : falsified_at(clause[1]);
    const auto number = static_cast<std::uint32_t>(clauses_.size());
    clauses_.push_back({std::move(clause), fact});
    if (first == 0) return refute({By::clause, number});
    if (second != none) backtrack(first == second ? first - 1 : second);
    const std::vector<Literal>& literals = clauses_[number].literals;
    if (second < first && value_[literals[0]] == 0) assign(literals[0], {By::clause, number});
    if (literals.size() > 1) {
      watches_[literals[0]].push_back({number, literals[1]});
      watches_[literals[1]].push_back({number, literals[0]});
    }
  }
  std::uint32_t falsified_at(Literal literal) const { return value_[literal] < 0 ? places_[literal / 2].level : none; }

  // --- constraints, at the root
  std::uint64_t name_in(ProofBytes& proof) const {
    const std::uint64_t name = proof.number(named_.empty() ? 0 : named_.size() - 1);
    require(!named_.empty() && original_[name] != none, "there is no such constraint");
    return name;
  }
  bool decided(std::uint64_t name) const { return named_[name] == none; }
  // As the step that names it writes it anew; one that is decided reads true <-> 0 >= 0. It comes out the same whether
  // versions between were written or not, so it rests on what they rest on.
  Linear current(std::uint64_t name, std::vector<std::uint32_t>& basis) {
    const Fact& before = made.facts[version_[name]];
    if (decided(name)) {
      basis.push_back(version_[name]);
      return {static_cast<std::uint32_t>(name), 0, {}, 0};
    }
    for (std::uint64_t k = before.antecedents; k < before.antecedents_end; ++k) basis.push_back(made.antecedents[k]);
    return normal(versions_[named_[name]].linear, basis);
  }
  Literal find(Literal literal) const {
    while (parent_[literal / 2] / 2 != literal / 2) literal = parent_[literal / 2] ^ (literal & 1u);
    return literal;
  }
  // What the literal reads now, and what says so.
  Literal found(Literal literal, std::vector<std::uint32_t>& basis) const {
    if (value_[literal] != 0) {
      if (literal / 2 != 0) basis.push_back(fixed_[literal / 2]);
      return literal;
    }
    for (; parent_[literal / 2] / 2 != literal / 2; literal = parent_[literal / 2] ^ (literal & 1u)) {
      basis.push_back(parent_fact_[literal / 2]);
    }
    return literal;
  }
  Linear normal(const Linear& linear, std::vector<std::uint32_t>& basis) {
    Linear written{linear.name, found(linear.out, basis), {}, linear.bound};
    variables_.clear();
    for (const Term& term : linear.terms) {
      const Literal literal = found(term.literal, basis);
      // weight * [not v] is weight - weight * [v].
      if (value_[literal] > 0 || (value_[literal] == 0 && (literal & 1u) != 0)) written.bound -= term.weight;
      if (value_[literal] != 0) continue;
      variables_.push_back(literal / 2);
      coefficient_[literal / 2] += (literal & 1u) != 0 ? -term.weight : term.weight;
    }
    std::int64_t divisor = 0;
    for (const std::uint32_t variable : variables_) {
      written.add(2 * variable, coefficient_[variable]);
      divisor = std::gcd(divisor, coefficient_[variable]);
      coefficient_[variable] = 0;
    }
    if (written.bound <= 0 || divisor == 0) divisor = 1;
    for (Term& term : written.terms) term.weight /= divisor;
    written.bound = (written.bound + divisor - 1) / divisor;
    std::sort(written.terms.begin(), written.terms.end(), [](const Term& a, const Term& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.literal / 2 < b.literal / 2;
    });
    return written;
  }
  // In place of the constraint of that name, if there is one.
  void add(const Linear& linear, std::uint32_t version) {
    if (std::uint32_t& before = named_[linear.name]; before != none) {
      for (const std::uint32_t half : {2 * before, 2 * before + 1}) halves_[half] = {never, never, 0, 0};
      versions_[before].linear.terms.clear();
      before = none;
    }
    version_[linear.name] = version;
    if (constant(linear)) {
      const Literal unit = linear.out ^ (linear.bound <= 0 ? 0u : 1u);
      return attach({unit}, implied(version, {unit}));
    }
    const auto number = static_cast<std::uint32_t>(versions_.size());
    named_[linear.name] = number;
    versions_.push_back({linear, version});
    const std::int64_t spare = total(linear) - linear.bound, heaviest = linear.terms[0].weight;
    halves_.push_back({spare, spare, heaviest, linear.out});
    halves_.push_back({linear.bound - 1, linear.bound - 1, heaviest, linear.out ^ 1u});
    for (const Term& term : linear.terms) {
      losses_[term.literal ^ 1u].push_back({2 * number, term.weight});
      losses_[term.literal].push_back({2 * number + 1, term.weight});
    }
    armed_[linear.out].push_back(2 * number);
    armed_[linear.out ^ 1u].push_back(2 * number + 1);
    // What is fixed but not yet propagated is among the terms of no version, so the slacks are exact.
    for (const std::uint32_t half : {2 * number, 2 * number + 1}) {
      if (!act(half)) return refute(conflict_);
    }
  }
  void merge(Literal first, Literal second, std::vector<std::uint32_t> basis,
             std::pair<std::uint64_t, std::uint64_t> names) {
    first = find_all(first, basis), second = find_all(second, basis);
    if (first == second) return;
    std::vector<Literal> literals{first, second};
    if (names.first != names.second) {
      look(names.first, literals);
      look(names.second, literals);
    }
    const std::uint32_t fact = add_fact(Kind::equality, original_[names.first], literals, basis);
    made.facts[fact].other = original_[names.second];
    if (first == (second ^ 1u)) {
      made.contradiction = {fact};
      refuted_ = true;
      return;
    }
    attach({first ^ 1u, second}, fact);
    if (!refuted()) attach({first, second ^ 1u}, fact);
    to_root();
    if (refuted() || value_[first] != 0) return;
    if (first > second) std::swap(first, second);
    parent_[second / 2] = first ^ (second & 1u);
    parent_fact_[second / 2] = fact;
  }
  Literal find_all(Literal literal, std::vector<std::uint32_t>& basis) const {
    for (; parent_[literal / 2] / 2 != literal / 2; literal = parent_[literal / 2] ^ (literal & 1u)) {
      basis.push_back(parent_fact_[literal / 2]);
    }
    return literal;
  }

  static constexpr std::int64_t never = std::int64_t{1} << 62;
  const Formula& formula_;
  const bool with_clauses_;
  bool refuted_ = false;
  std::vector<std::int8_t> value_;
  std::vector<Place> places_;
  // By variable, the fact that fixed it.
  std::vector<std::uint32_t> fixed_;
  // By the constraint's name: its place among the versions, none once it is decided; in the formula; its last version.
  std::vector<std::uint32_t> named_, original_, version_;
  std::vector<Literal> parent_;
  std::vector<std::uint32_t> parent_fact_;
  std::vector<std::int64_t> coefficient_;
  std::vector<std::uint64_t> marked_;
  std::uint64_t stamp_ = 0;
  std::vector<std::vector<Watch>> watches_;
  std::vector<std::vector<Loss>> losses_;
  std::vector<std::vector<std::uint32_t>> armed_;
  std::vector<Literal> trail_, assumed_;
  std::vector<std::size_t> level_start_;
  std::size_t clause_head_ = 0, linear_head_ = 0;
  std::vector<Clause> clauses_;
  std::vector<std::size_t> lemmas_;
  std::vector<Version> versions_;
  std::vector<Half> halves_;
  std::vector<std::uint32_t> touched_, variables_;
  std::vector<Term> lost_;
  Reason conflict_;
};

}  // namespace

Elaboration elaborate(const Formula& formula, ProofBytes proof, bool with_clauses) {
  Elaborator elaborator(formula, with_clauses);
  const ProofBytes whole = proof;
  const std::size_t size = proof.rest.size();
  while (!elaborator.refuted()) {
    if (!proof.rest.empty() && proof.rest.front() == 'n') {
      checker::check_proof(formula, whole);
      elaborator.made.every_way = true;
      break;
    }
    const std::size_t begin = size - proof.rest.size();
    elaborator.made.steps.push_back({proof.rest.empty() ? '\0' : proof.rest.front(), begin, begin});
    try {
      elaborator.step(proof);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("step " + std::to_string(elaborator.made.steps.size() - 1) + ": " + error.what());
    }
    elaborator.made.steps.back().end = size - proof.rest.size();
  }
  return std::move(elaborator.made);
}

}  // namespace bnnhw::elaborator
