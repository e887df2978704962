// A formula file (bnnhw/verify/formula.py describes the format), read without a word of the solver's reader.
#include <algorithm>
#include <charconv>

#include "formula.hpp"
#include "json.hpp"

namespace bnnhw::checker {

namespace {

struct Line {
  std::string_view rest;

  std::string_view word() {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t' || rest.front() == '\r')) rest.remove_prefix(1);
    std::size_t end = 0;
    while (end < rest.size() && rest[end] != ' ' && rest[end] != '\t' && rest[end] != '\r') ++end;
    const std::string_view found = rest.substr(0, end);
    rest.remove_prefix(end);
    return found;
  }
  std::int64_t number(std::int64_t low, std::int64_t high) {
    const char* at = rest.data();
    const char* const end = at + rest.size();
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    require(error == std::errc() && value >= low && value <= high, "formula: a number that is none, or out of range");
    require(rest.empty() || rest.front() == ' ' || rest.front() == '\t' || rest.front() == '\r', "formula: a number");
    return value;
  }
  std::vector<Literal> literals(std::int64_t variables) {
    std::vector<Literal> all;
    while (const std::int64_t literal = number(-variables, variables)) {
      all.push_back(static_cast<Literal>(literal > 0 ? 2 * literal : 1 - 2 * literal));
    }
    require(word().empty(), "formula: a line goes on behind its 0");
    return all;
  }
};

}  // namespace

Formula read_knf(std::string_view text) {
  constexpr std::int64_t most = 1 << 28;
  Formula formula;
  std::int64_t declared = -1, variables = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Line line{text.substr(0, end)};
    text.remove_prefix(std::min(end + 1, text.size()));
    const Line whole = line;
    const std::string_view first = line.word();
    if (first.empty() || first == "c") continue;
    if (first == "p") {
      require(declared < 0 && line.word() == "rknf", "formula: its header");
      variables = line.number(0, most);
      declared = line.number(0, most);
      formula.variables = static_cast<std::uint32_t>(variables);
      continue;
    }
    require(declared >= 0, "formula: no header");
    if (first != "r") {
      formula.clauses.push_back(Line(whole).literals(variables));
      continue;
    }
    const std::int64_t out = line.number(-variables, variables);
    const std::string_view comparison = line.word();
    require(comparison == "<=" || comparison == ">=", "formula: a constraint without its comparison");
    // sum <= bound is not (sum >= bound + 1).
    const bool at_most = comparison == "<=";
    Linear linear{static_cast<std::uint32_t>(formula.constraints.size()), 0, {}, 0};
    linear.bound = line.number(-(most << 12), most << 12) + (at_most ? 1 : 0);
    linear.out = static_cast<Literal>(out >= 0 ? 2 * out : 1 - 2 * out) ^ (at_most ? 1u : 0u);
    for (const Literal literal : line.literals(variables)) linear.terms.push_back({literal, 1});
    formula.constraints.push_back(std::move(linear));
  }
  const auto found = static_cast<std::int64_t>(formula.clauses.size() + formula.constraints.size());
  require(declared == found, "formula: another number of constraints than its header declares");
  return formula;
}

}  // namespace bnnhw::checker
