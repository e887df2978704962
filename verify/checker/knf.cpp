// A formula file (bnnhw/verify/formula.py describes the format), read without a word of the solver's reader.
#include <sstream>

#include "formula.hpp"
#include "json.hpp"

namespace bnnhw::checker {

Formula read_knf(std::string_view text) {
  Formula formula;
  std::istringstream lines{std::string(text)};
  std::string line, word;
  std::int64_t declared = -1, variables = 0;
  const auto literals = [&variables](std::istringstream& words) {
    std::vector<Literal> all;
    for (std::int64_t literal = 0; words >> literal;) {
      if (literal == 0) {
        std::string more;
        require(!(words >> more), "formula: a line goes on behind its 0");
        return all;
      }
      require(literal <= variables && literal >= -variables, "formula: an unknown variable");
      all.push_back(static_cast<Literal>(literal > 0 ? 2 * literal : 1 - 2 * literal));
    }
    throw std::invalid_argument("formula: a line without its 0");
  };
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    if (!(words >> word) || word == "c") continue;
    if (word == "p") {
      require(declared < 0 && words >> word >> variables >> declared && word == "rknf" && !(words >> word) &&
                  variables >= 0 && variables < 1 << 28 && declared >= 0, "formula: its header");
      formula.variables = static_cast<std::uint32_t>(variables);
      continue;
    }
    require(declared >= 0, "formula: no header");
    if (word != "r") {
      words = std::istringstream(line);
      formula.clauses.push_back(literals(words));
      continue;
    }
    std::int64_t out = 0, bound = 0;
    require(words >> out >> word >> bound && (word == "<=" || word == ">=") && out <= variables && out >= -variables &&
                bound < std::int64_t{1} << 40 && bound > -(std::int64_t{1} << 40), "formula: a constraint");
    // sum <= bound is not (sum >= bound + 1).
    const bool at_most = word == "<=";
    Linear linear{static_cast<std::uint32_t>(formula.constraints.size()), 0, {}, bound + (at_most ? 1 : 0)};
    linear.out = static_cast<Literal>(out == 0 ? 0 : out > 0 ? 2 * out : 1 - 2 * out) ^ (at_most ? 1u : 0u);
    for (const Literal literal : literals(words)) linear.terms.push_back({literal, 1});
    formula.constraints.push_back(std::move(linear));
  }
  const auto found = static_cast<std::int64_t>(formula.clauses.size() + formula.constraints.size());
  require(declared == found, "formula: another number of constraints than its header declares");
  return formula;
}

}  // namespace bnnhw::checker
