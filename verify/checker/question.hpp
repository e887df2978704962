// What a question about networks means, as a formula without a solution exactly where the answer is "robust".
#pragma once

#include <map>
#include <vector>

#include "formula.hpp"
#include "json.hpp"
#include "network.hpp"

namespace bnnhw::checker {

// The question as certificates state it (docs/certificates.md). Throws std::invalid_argument where it makes no sense for
// the networks, or where a budget step does not add up.
Formula formula_of(const std::vector<const Network*>& networks, const Json& question,
                   const std::map<std::uint32_t, BudgetStep>& budget_steps);

// Throws std::invalid_argument unless the image is one of the question's that violates its condition.
void check_counterexample(const std::vector<const Network*>& networks, const Json& question, const Json& image);

}  // namespace bnnhw::checker
