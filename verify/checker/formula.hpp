// What a proof is about: clauses and reified linear constraints, every constraint under the name that proofs call it by.
// A literal is 2 * variable, and 1 more if it is negated; variable 0 is true.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

using Literal = std::uint32_t;

struct Term {
  Literal literal;
  std::int64_t weight;
};

// out <-> sum of weight * [literal] >= bound.
struct Linear {
  std::uint32_t name = 0;
  Literal out = 0;
  std::vector<Term> terms{};
  std::int64_t bound = 0;

  // Adds weight * [literal] to the sum, any sign.
  void add(Literal literal, std::int64_t weight) {
    if (weight > 0) terms.push_back({literal, weight});
    if (weight < 0) terms.push_back({literal ^ 1u, -weight});
    if (weight < 0) bound -= weight;
  }
};

struct Formula {
  std::uint32_t variables = 0;
  std::vector<std::vector<Literal>> clauses{};
  std::vector<Linear> constraints{};
};

// The formula of a *.knf file. Throws std::invalid_argument.
Formula read_knf(std::string_view text);

// A first-layer bit with the multiple of the budget that decides it (question.cpp): a step of the proof.
struct BudgetStep {
  bool value;
  std::int64_t numerator;
  std::int64_t denominator;
};

// The bytes of a proof, read from the front.
struct ProofBytes {
  std::string_view rest;

  char letter() {
    if (rest.empty()) return '\0';
    const char first = rest.front();
    rest.remove_prefix(1);
    return first;
  }
  std::uint64_t number(std::uint64_t most);
};

// The steps that come before the formula can be set up, by the variables they decide.
std::map<std::uint32_t, BudgetStep> read_budget_steps(ProofBytes& proof);
// Does propagation alone find a contradiction?
bool refuted_at_once(Formula formula);
// Reads the rest, and returns if it leads the formula to a contradiction. Throws std::invalid_argument with the step.
void check_proof(Formula formula, ProofBytes proof);

}  // namespace bnnhw::checker
