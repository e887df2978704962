// What a question about networks means, as a formula without a solution exactly where the answer is "robust".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formula.hpp"
#include "network.hpp"

namespace bnnhw::checker {

// A question as certificates state it (docs/certificates.md); whether it makes sense is checked where it is asked.
struct Question {
  std::vector<std::int64_t> shape{}, image{}, low{}, high{};
  std::string norm{};  // l0, l1 or l2_squared; empty without a budget
  std::int64_t limit = 0;
  std::vector<std::int64_t> weight{};  // of each pixel; empty where all are 1
  std::string kind{};                  // keeps, avoids, not_unanimously_wrong or agree
  std::int64_t label = 0;              // or the target
  bool strictly = false;

  // What a change of the pixel by this distance costs. Any number above the limit stands for all that are.
  std::int64_t cost(std::size_t pixel, std::int64_t distance) const;
};

// A first-layer bit with the multiple of the budget that decides it: a step of the proof, before all others.
struct BudgetStep {
  bool value;
  std::int64_t numerator;
  std::int64_t denominator;
};

// By the bit's name.
using BudgetSteps = std::map<std::uint32_t, BudgetStep>;

// What follows throws std::invalid_argument, with what is wrong.
BudgetSteps read_budget_steps(ProofBytes& proof);
// Without a solution exactly where the answer is "robust". What a budget step decides is a clause, and no constraint.
Formula formula_of(const std::vector<const Network*>& networks, const Question& question, const BudgetSteps& budget_steps);
// Returns if the proof shows that no image of the question violates
// its condition.
void check_robust(const std::vector<const Network*>& networks, const Question& question, ProofBytes proof);
// Returns if the image is one of the question's that violates its condition.
void check_falsified(const std::vector<const Network*>& networks, const Question& question, const std::vector<std::int64_t>& image);

}  // namespace bnnhw::checker
