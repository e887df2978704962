// Random mixed formulas against brute force, incrementally and under assumptions, with every lemma checked as it is
// reported: assume it false, propagate by slack over the original constraints and the live clauses, expect a conflict.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "proof_sink.hpp"
#include "random.hpp"
#include "solver.hpp"

using namespace bnnhw::solver;

namespace {

struct Linear {
  Literal out;
  std::vector<Literal> literals;
  std::vector<std::int32_t> weights;
  std::int64_t bound = 0;
};

struct Formula {
  Variable variables = 0;
  std::vector<std::vector<Literal>> clauses;
  std::vector<Linear> constraints;
};

bool holds(Literal literal, std::uint32_t assignment) {
  return ((assignment >> literal.variable() & 1u) != 0) != literal.negative();
}

// Bit 0 of an assignment is the constant true.
bool satisfies(const Formula& formula, std::uint32_t assignment) {
  for (const auto& clause : formula.clauses) {
    if (std::none_of(clause.begin(), clause.end(), [&](Literal literal) { return holds(literal, assignment); })) {
      return false;
    }
  }
  for (const Linear& linear : formula.constraints) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < linear.literals.size(); ++i) {
      if (holds(linear.literals[i], assignment)) sum += linear.weights.empty() ? 1 : linear.weights[i];
    }
    if ((sum >= linear.bound) != holds(linear.out, assignment)) return false;
  }
  return true;
}

// One half of a reified constraint in pseudo-Boolean form: sum of weight * literal >= bound, no variable twice.
struct Inequality {
  std::vector<Literal> literals;
  std::vector<std::int64_t> weights;
  std::int64_t bound = 0;
};

class RupChecker : public ProofSink {
 public:
  explicit RupChecker(Variable variables) : variables_(variables) {}

  void add(const std::vector<Literal>& clause) { clauses_.push_back(clause); }

  void add(const Linear& linear) {
    constraints_.push_back(linear);
    for (const bool lower : {true, false}) inequalities_.push_back(half(linear, lower));
  }

  void learned(Span<Literal> clause) override {
    CHECK(refutes(clause));
    clauses_.emplace_back(clause.begin(), clause.end());
    ++lemmas;
  }

  void rewritten(std::uint32_t constraint, Literal out, const LinearSum& sum) override {
    const Linear now{out, sum.literals, sum.weights, sum.bound};
    CHECK(refutes({}) || renamed(constraints_.at(constraint)) == renamed(now));
    constraints_[constraint] = now;
    for (const bool lower : {true, false}) inequalities_.push_back(half(now, lower));
    ++rewritings;
  }

  void equal(Literal first, Literal second, std::uint32_t) override {
    for (const auto& clause : equality(first, second)) learned(clause);
  }

  void equal_sums(Literal first, Literal second, std::uint32_t constraint, std::uint32_t other_constraint) override {
    const Reified left = renamed(constraints_.at(constraint));
    const Reified right = renamed(constraints_.at(other_constraint));
    const std::vector<Literal> name = names();
    for (const auto& clause : equality(first, second)) {
      std::vector<Literal> named;
      for (const Literal literal : clause) named.push_back(named_by(name, literal));
      const bool follows = [&] {
        for (const Reified& one : {left, left.negated()}) {
          for (const Reified& other : {right, right.negated()}) {
            if (one.coefficient != other.coefficient || one.bound != other.bound) continue;
            const std::vector<Literal> wanted{~one.out, other.out};
            if (std::is_permutation(named.begin(), named.end(), wanted.begin(), wanted.end())) return true;
            if (clause.size() == 1 && wanted[0] == named[0] && wanted[1] == named[0]) return true;
          }
        }
        return false;
      }();
      CHECK(refutes({}) || follows);
    }
    for (const auto& clause : equality(first, second)) clauses_.push_back(clause);
    sums += 2;
  }

  void deleted(Span<Literal> clause) override {
    std::vector<Literal> wanted(clause.begin(), clause.end());
    const auto by_code = [](Literal left, Literal right) { return left.code < right.code; };
    std::sort(wanted.begin(), wanted.end(), by_code);
    for (std::size_t i = 0; i < clauses_.size(); ++i) {
      std::vector<Literal> candidate = clauses_[i];
      std::sort(candidate.begin(), candidate.end(), by_code);
      if (candidate != wanted) continue;
      clauses_.erase(clauses_.begin() + static_cast<std::ptrdiff_t>(i));
      ++deletions;
      return;
    }
    // Originals may have lost level-0 literals on their way in; then there is nothing by this name to delete.
  }

  std::size_t lemmas = 0;
  std::size_t deletions = 0;
  std::size_t rewritings = 0;
  std::size_t sums = 0;

 private:
  // out <-> sum over all variables of coefficient * variable >= bound.
  struct Reified {
    Literal out;
    std::vector<std::int64_t> coefficient;
    std::int64_t bound = 0;

    bool operator==(const Reified& other) const {
      return out == other.out && coefficient == other.coefficient && bound == other.bound;
    }
    Reified negated() const {
      Reified result{~out, coefficient, 1 - bound};
      for (std::int64_t& c : result.coefficient) c = -c;
      return result;
    }
  };

  Reified reified(const Linear& linear) const {
    Reified result{linear.out, std::vector<std::int64_t>(variables_ + 1, 0), linear.bound};
    for (std::size_t i = 0; i < linear.literals.size(); ++i) {
      const std::int64_t weight = linear.weights.empty() ? 1 : linear.weights[i];
      const Literal literal = linear.literals[i];
      if (literal.negative()) result.bound -= weight;
      result.coefficient[literal.variable()] += literal.negative() ? -weight : weight;
    }
    return result;
  }

  // out -> sum >= bound: the premise gets the weight that makes it vacuous.
  Inequality half(const Linear& linear, bool lower) const {
    const Reified positive = reified(linear);
    const Reified side = lower ? positive : positive.negated();
    std::int64_t least = 0;
    for (const std::int64_t c : side.coefficient) least += std::min<std::int64_t>(c, 0);
    Inequality inequality;
    inequality.bound = side.bound;
    if (side.bound > least) add_term(inequality, ~side.out, side.bound - least);
    for (Variable variable = 0; variable <= variables_; ++variable) {
      const std::int64_t c = side.coefficient[variable];
      if (c > 0) add_term(inequality, Literal::of(variable, false), c);
      if (c < 0) {
        inequality.bound -= c;
        add_term(inequality, Literal::of(variable, true), -c);
      }
    }
    return inequality;
  }

  static std::vector<std::vector<Literal>> equality(Literal first, Literal second) {
    if (first == ~second) return {{~first}, {first}};
    return {{~first, second}, {first, ~second}};
  }

  // The constraint over the lowest literal of each class that the known binary clauses make equal, without fixed
  // literals, divided by the common weight.
  Reified renamed(const Linear& linear) const {
    std::vector<int> value(2 * (variables_ + 1), 0);
    propagate(value);
    const std::vector<Literal> name = names();
    Linear now = linear;
    now.out = named_by(name, linear.out);
    for (Literal& literal : now.literals) {
      literal = named_by(name, literal);
      if (value[literal.code] != 0) literal = value[literal.code] > 0 ? true_literal : ~true_literal;
    }
    Reified result = reified(now);
    result.bound -= result.coefficient[0];
    result.coefficient[0] = 0;
    std::int64_t divisor = 0;
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (const std::int64_t c : result.coefficient) {
      divisor = std::gcd(divisor, c);
      (c < 0 ? least : most) += c;
    }
    if (result.bound <= least || result.bound > most) {
      const bool always = result.bound <= least;
      return Reified{result.out, std::vector<std::int64_t>(variables_ + 1, 0), always ? 0 : 1};
    }
    for (std::int64_t& c : result.coefficient) c /= divisor;
    // Rounded up, also below zero.
    result.bound = result.bound >= 0 ? (result.bound + divisor - 1) / divisor : -(-result.bound / divisor);
    return result;
  }

  static Literal named_by(const std::vector<Literal>& name, Literal literal) {
    return Literal{name[literal.variable()].code ^ (literal.code & 1u)};
  }

  std::vector<Literal> names() const {
    std::vector<Literal> name;
    for (Variable variable = 0; variable <= variables_; ++variable) name.push_back(Literal::positive(variable));
    const auto implies = [this](Literal from, Literal to) {
      return std::any_of(clauses_.begin(), clauses_.end(), [from, to](const std::vector<Literal>& clause) {
        return clause.size() == 2 &&
               ((clause[0] == ~from && clause[1] == to) || (clause[1] == ~from && clause[0] == to));
      });
    };
    const auto lower = [&name](Variable variable, Literal candidate) {
      if (candidate.variable() >= name[variable].variable()) return false;
      name[variable] = candidate;
      return true;
    };
    for (bool changed = true; changed;) {
      changed = false;
      for (Variable one = 1; one <= variables_; ++one) {
        for (Variable two = 1; two < one; ++two) {
          for (const std::uint32_t sign : {0u, 1u}) {
            const Literal left = Literal::positive(one);
            const Literal right{Literal::positive(two).code ^ sign};
            if (!implies(left, right) || !implies(right, left)) continue;
            changed = lower(one, Literal{name[two].code ^ sign}) || changed;
            changed = lower(two, Literal{name[one].code ^ sign}) || changed;
          }
        }
      }
    }
    return name;
  }

  static void add_term(Inequality& inequality, Literal literal, std::int64_t weight) {
    inequality.literals.push_back(literal);
    inequality.weights.push_back(weight);
  }

  bool refutes(Span<Literal> clause) const {
    std::vector<int> value(2 * (variables_ + 1), 0);
    value[true_literal.code] = 1;
    value[(~true_literal).code] = -1;
    for (const Literal literal : clause) {
      if (value[literal.code] > 0) return true;
      value[literal.code] = -1;
      value[(~literal).code] = 1;
    }
    return !propagate(value);
  }

  // False at a conflict.
  bool propagate(std::vector<int>& value) const {
    const auto assign = [&value](Literal literal) {
      value[literal.code] = 1;
      value[(~literal).code] = -1;
    };
    assign(true_literal);
    bool changed = true;
    while (changed) {
      changed = false;
      for (const auto& known : clauses_) {
        Literal open = undefined_literal;
        std::size_t free = 0;
        bool satisfied = false;
        for (const Literal literal : known) {
          satisfied = satisfied || value[literal.code] > 0;
          if (value[literal.code] == 0 && literal != open) {
            open = literal;
            ++free;
          }
        }
        if (satisfied || free > 1) continue;
        if (free == 0) return false;
        assign(open);
        changed = true;
      }
      for (const Inequality& inequality : inequalities_) {
        std::int64_t slack = -inequality.bound;
        for (std::size_t i = 0; i < inequality.literals.size(); ++i) {
          if (value[inequality.literals[i].code] >= 0) slack += inequality.weights[i];
        }
        if (slack < 0) return false;
        for (std::size_t i = 0; i < inequality.literals.size(); ++i) {
          if (value[inequality.literals[i].code] == 0 && inequality.weights[i] > slack) {
            assign(inequality.literals[i]);
            changed = true;
          }
        }
      }
    }
    return true;
  }

  Variable variables_;
  std::vector<std::vector<Literal>> clauses_;
  std::vector<Inequality> inequalities_;
  // As they read now.
  std::vector<Linear> constraints_;
};

class Fuzzer {
 public:
  explicit Fuzzer(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_.next() % bound); }

  Literal literal(const Formula& formula) {
    return Literal::of(static_cast<Variable>(1 + below(formula.variables)), random_.coin());
  }

  std::vector<Literal> clause(const Formula& formula) {
    std::vector<Literal> literals;
    const std::size_t size = 1 + below(12) / 3 + (below(20) == 0 ? 0 : 1);
    for (std::size_t i = 0; i < size; ++i) literals.push_back(literal(formula));
    return literals;
  }

  // Duplicates, opposites, the output among the literals, zero and negative weights, trivial bounds, an earlier sum or
  // its opposite again, outputs that are a literal: all come up.
  Linear linear(const Formula& formula) {
    Linear result;
    result.out = below(6) == 0 ? true_literal : literal(formula);
    const std::size_t kind = below(8);
    if (kind == 0 && !formula.constraints.empty()) return with_sum_of(formula, result.out);
    const std::size_t size = kind == 1 ? 1 : below(10);
    const bool weighted = below(2) == 0;
    std::int64_t most = 0;
    for (std::size_t i = 0; i < size; ++i) {
      result.literals.push_back(below(12) == 0 && result.out != true_literal ? result.out : literal(formula));
      const auto weight = static_cast<std::int32_t>(below(9)) - 2;
      if (weighted) result.weights.push_back(weight);
      most += weighted ? std::max(weight, 0) : 1;
    }
    result.bound = static_cast<std::int64_t>(below(static_cast<std::size_t>(most) + 3)) - 1;
    return result;
  }

 private:
  Linear with_sum_of(const Formula& formula, Literal out) {
    Linear result = formula.constraints[below(formula.constraints.size())];
    result.out = out;
    if (random_.coin()) return result;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < result.literals.size(); ++i) {
      total += result.weights.empty() ? 1 : result.weights[i];
      result.literals[i] = ~result.literals[i];
    }
    result.bound = total - result.bound + 1;
    return result;
  }

  Random random_;
};

void check_query(const Formula& formula, Solver& solver, const std::vector<Literal>& assumptions, std::size_t* sat,
                 std::size_t* unsat) {
  const auto extended = [&assumptions](std::uint32_t assignment) {
    return std::all_of(assumptions.begin(), assumptions.end(),
                       [assignment](Literal literal) { return holds(literal, assignment); });
  };
  const std::uint32_t end = 1u << (formula.variables + 1);
  bool expected = false;
  for (std::uint32_t assignment = 1; assignment < end && !expected; assignment += 2) {
    expected = extended(assignment) && satisfies(formula, assignment);
  }
  const Outcome outcome = solver.solve(assumptions, Limits{});
  CHECK(outcome.status == (expected ? Status::satisfiable : Status::unsatisfiable));
  if (expected) {
    ++*sat;
    std::uint32_t assignment = 1;
    for (Variable variable = 1; variable <= formula.variables; ++variable) {
      if (solver.model()[variable] != 0) assignment |= 1u << variable;
    }
    CHECK(extended(assignment));
    CHECK(satisfies(formula, assignment));
    return;
  }
  ++*unsat;
  const std::vector<Literal>& failed = solver.failed_assumptions();
  for (const Literal literal : failed) {
    CHECK(std::find(assumptions.begin(), assumptions.end(), literal) != assumptions.end());
  }
  for (std::uint32_t assignment = 1; assignment < end; assignment += 2) {
    const bool all = std::all_of(failed.begin(), failed.end(),
                                 [assignment](Literal literal) { return holds(literal, assignment); });
    CHECK(!all || !satisfies(formula, assignment));
  }
}

void random_formulas_agree_with_brute_force() {
  Fuzzer fuzzer(20260101);
  std::size_t sat = 0;
  std::size_t unsat = 0;
  std::size_t lemmas = 0;
  std::size_t rewritings = 0;
  std::size_t sums = 0;
  for (std::size_t round = 0; round < 3000; ++round) {
    Formula formula;
    formula.variables = static_cast<Variable>(2 + fuzzer.below(9));
    RupChecker checker(formula.variables);
    Solver solver(round, round % 2 == 0);
    solver.set_proof_sink(&checker);
    solver.new_variables(formula.variables);
    const std::size_t stages = 1 + fuzzer.below(3);
    for (std::size_t stage = 0; stage < stages; ++stage) {
      const std::size_t clauses = fuzzer.below(2 * formula.variables);
      for (std::size_t i = 0; i < clauses; ++i) {
        formula.clauses.push_back(fuzzer.clause(formula));
        checker.add(formula.clauses.back());
        solver.add_clause(formula.clauses.back());
      }
      const std::size_t constraints = fuzzer.below(formula.variables);
      for (std::size_t i = 0; i < constraints; ++i) {
        formula.constraints.push_back(fuzzer.linear(formula));
        const Linear& linear = formula.constraints.back();
        checker.add(linear);
        solver.add_at_least(linear.out, linear.literals, linear.weights, linear.bound);
      }
      for (std::size_t query = 0; query < 3; ++query) {
        std::vector<Literal> assumptions;
        const std::size_t count = query == 0 ? 0 : fuzzer.below(5);
        for (std::size_t i = 0; i < count; ++i) assumptions.push_back(fuzzer.literal(formula));
        check_query(formula, solver, assumptions, &sat, &unsat);
      }
    }
    lemmas += checker.lemmas;
    rewritings += checker.rewritings;
    sums += checker.sums;
  }
  std::printf("brute force: %zu sat, %zu unsat; checked %zu lemmas, %zu rewritings, %zu sums\n", sat, unsat, lemmas,
              rewritings, sums);
  CHECK(sat > 2000 && unsat > 2000 && lemmas > 2000 && rewritings > 300 && sums > 100);
}

// Searches with restarts, probing, reductions and garbage collection, every step of their proofs checked: one layer of
// random neurons and a demand on how many of them agree with a random pattern that no input meets.
void longer_searches_have_checked_proofs() {
  Fuzzer fuzzer(7);
  std::size_t deletions = 0;
  std::size_t unsat = 0;
  for (std::size_t round = 0; round < 3; ++round) {
    Formula formula;
    const std::size_t inputs = 16;
    const std::size_t neurons = 60;
    formula.variables = static_cast<Variable>(inputs + neurons);
    RupChecker checker(formula.variables);
    Solver solver(round);
    solver.set_proof_sink(&checker);
    solver.new_variables(formula.variables);
    const auto add = [&](const Linear& linear) {
      checker.add(linear);
      solver.add_at_least(linear.out, linear.literals, linear.weights, linear.bound);
    };
    for (std::size_t i = 0; i < neurons; ++i) {
      Linear neuron;
      neuron.out = Literal::positive(static_cast<Variable>(inputs + 1 + i));
      for (std::size_t j = 0; j < inputs; ++j) {
        if (fuzzer.below(2) == 0) continue;
        neuron.literals.push_back(Literal::of(static_cast<Variable>(1 + j), fuzzer.below(2) == 0));
        neuron.weights.push_back(static_cast<std::int32_t>(1 + fuzzer.below(2)));
      }
      neuron.bound = static_cast<std::int64_t>(3 * neuron.literals.size() / 4);
      add(neuron);
    }
    Linear score;
    score.out = true_literal;
    for (std::size_t i = 0; i < neurons; ++i) {
      score.literals.push_back(Literal::of(static_cast<Variable>(inputs + 1 + i), fuzzer.below(2) == 0));
    }
    score.bound = static_cast<std::int64_t>(neurons * 80 / 100);
    add(score);
    Limits limits;
    limits.conflicts = 20000;
    const Outcome outcome = solver.solve({}, limits);
    unsat += outcome.status == Status::unsatisfiable ? 1 : 0;
    deletions += checker.deletions;
  }
  std::printf("longer searches: %zu of 3 unsat, %zu deletions checked\n", unsat, deletions);
  CHECK(unsat > 0 && deletions > 0);
}

}  // namespace

int main() {
  random_formulas_agree_with_brute_force();
  longer_searches_have_checked_proofs();
  return 0;
}
