// Patterns of bits that plain evaluation refutes: each constraint whose variables all have values gives its output one,
// once and in order, for many patterns together. Where this meets a conflict, so does unit propagation.
#pragma once

#include <vector>

#include "formula.hpp"
#include "ways.hpp"

namespace bnnhw::checker {

// The patterns that meet no conflict, in the same order. Bit i of a pattern is the value of literal i of outputs; fixed
// literals are true in all of them. variables: how many there are. Constraints without terms and empty clauses say nothing.
std::vector<Pattern> without_conflict(const std::vector<Pattern>& patterns, std::size_t variables,
                                      const std::vector<Literal>& outputs, const std::vector<Literal>& fixed,
                                      const std::vector<Linear>& constraints,
                                      const std::vector<std::vector<Literal>>& clauses);

}  // namespace bnnhw::checker
