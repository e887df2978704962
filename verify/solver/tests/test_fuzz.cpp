// Random mixed formulas against brute force, incrementally and under assumptions, with every lemma checked as it is
// reported: assume it false, propagate by slack over the original constraints and the live clauses, expect a conflict.
#include <algorithm>
#include <cstdint>
#include <cstdio>
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
    // out -> sum >= bound: the premise gets the weight that makes it vacuous. Coefficients per variable first.
    for (const bool lower : {true, false}) {
      std::vector<std::int64_t> coefficient(variables_ + 1, 0);
      std::int64_t bound = lower ? linear.bound : 1 - linear.bound;
      std::int64_t least = 0;
      for (std::size_t i = 0; i < linear.literals.size(); ++i) {
        std::int64_t weight = linear.weights.empty() ? 1 : linear.weights[i];
        if (!lower) weight = -weight;
        const Literal literal = linear.literals[i];
        if (literal.negative()) bound -= weight;
        coefficient[literal.variable()] += literal.negative() ? -weight : weight;
      }
      for (const std::int64_t c : coefficient) least += std::min<std::int64_t>(c, 0);
      Inequality inequality;
      inequality.bound = bound;
      const Literal impossible = lower ? ~linear.out : linear.out;
      if (bound > least) add_term(inequality, impossible, bound - least);
      for (Variable variable = 1; variable <= variables_; ++variable) {
        if (coefficient[variable] > 0) add_term(inequality, Literal::of(variable, false), coefficient[variable]);
        if (coefficient[variable] < 0) {
          inequality.bound -= coefficient[variable];
          add_term(inequality, Literal::of(variable, true), -coefficient[variable]);
        }
      }
      inequalities_.push_back(inequality);
    }
  }

  void learned(Span<Literal> clause) override {
    CHECK(refutes(clause));
    clauses_.emplace_back(clause.begin(), clause.end());
    ++lemmas;
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

 private:
  static void add_term(Inequality& inequality, Literal literal, std::int64_t weight) {
    inequality.literals.push_back(literal);
    inequality.weights.push_back(weight);
  }

  bool refutes(Span<Literal> clause) const {
    std::vector<int> value(2 * (variables_ + 1), 0);
    const auto assign = [&value](Literal literal) {
      value[literal.code] = 1;
      value[(~literal).code] = -1;
    };
    assign(true_literal);
    for (const Literal literal : clause) {
      if (value[literal.code] > 0) return true;
      assign(~literal);
    }
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
        if (free == 0) return true;
        assign(open);
        changed = true;
      }
      for (const Inequality& inequality : inequalities_) {
        std::int64_t slack = -inequality.bound;
        for (std::size_t i = 0; i < inequality.literals.size(); ++i) {
          if (value[inequality.literals[i].code] >= 0) slack += inequality.weights[i];
        }
        if (slack < 0) return true;
        for (std::size_t i = 0; i < inequality.literals.size(); ++i) {
          if (value[inequality.literals[i].code] == 0 && inequality.weights[i] > slack) {
            assign(inequality.literals[i]);
            changed = true;
          }
        }
      }
    }
    return false;
  }

  Variable variables_;
  std::vector<std::vector<Literal>> clauses_;
  std::vector<Inequality> inequalities_;
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

  // Duplicates, opposites, the output among the literals, zero and negative weights, trivial bounds: all come up.
  Linear linear(const Formula& formula) {
    Linear result;
    result.out = below(6) == 0 ? true_literal : literal(formula);
    const std::size_t size = below(10);
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
  }
  std::printf("brute force: %zu sat, %zu unsat, %zu lemmas checked\n", sat, unsat, lemmas);
  CHECK(sat > 2000 && unsat > 2000 && lemmas > 2000);
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
