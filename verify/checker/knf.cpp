// A formula file (bnnhw/verify/formula.py describes the format), read word by word and without a word of the solver's
// reader. Line breaks are blanks; a comment is where a constraint could begin, and ends with its line.
#include <algorithm>

#include "formula.hpp"

namespace bnnhw::checker {

namespace {

struct Words : Text {
  bool at_blank() const { return rest[0] == ' ' || rest[0] == '\n' || rest[0] == '\t' || rest[0] == '\r'; }
  void skip_blanks() {
    while (!rest.empty() && at_blank()) rest.remove_prefix(1);
  }
  void end_word() {
    require(rest.empty() || at_blank(), "formula: a blank is expected");
    skip_blanks();
  }
  bool word(std::string_view expected) {
    const bool found = take(expected);
    if (found) end_word();
    return found;
  }
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    const std::int64_t value = number(low, high);
    end_word();
    return value;
  }
};

}  // namespace

Formula read_knf(std::string_view file) {
  // A few bytes must not make the checker reserve memory for any number of variables.
  const auto most = static_cast<std::int64_t>(std::min(file.size() + (1u << 16), std::size_t{1} << 28));
  constexpr std::int64_t most_bound = std::int64_t{1} << 40;
  Formula formula;
  std::int64_t declared = -1, variables = 0;
  const auto literal_of = [](std::int64_t number) { return static_cast<Literal>(number >= 0 ? 2 * number : 1 - 2 * number); };
  Words words{{file}};
  for (words.skip_blanks(); !words.rest.empty();) {
    if (words.rest.front() == 'c') {
      words.rest.remove_prefix(std::min(words.rest.find('\n'), words.rest.size()));
      words.skip_blanks();
    } else if (words.word("p")) {
      require(declared < 0 && words.word("rknf"), "formula: its header");
      variables = words.integer(0, most);
      declared = words.integer(0, most);
      formula.variables = static_cast<std::uint32_t>(variables);
    } else if (words.word("r")) {
      require(declared >= 0, "formula: no header");
      Linear linear;
      linear.name = static_cast<std::uint32_t>(formula.constraints.size());
      linear.out = literal_of(words.integer(-variables, variables));
      const bool at_most = words.word("<=");
      require(at_most || words.word(">="), "formula: a constraint without its comparison");
      linear.bound = words.integer(-most_bound, most_bound);
      // sum <= bound is not (sum >= bound + 1).
      if (at_most) linear.bound += 1, linear.out ^= 1u;
      while (const std::int64_t number = words.integer(-variables, variables)) linear.terms.push_back({literal_of(number), 1});
      formula.constraints.push_back(std::move(linear));
    } else {
      require(declared >= 0, "formula: no header");
      std::vector<Literal> clause;
      while (const std::int64_t number = words.integer(-variables, variables)) clause.push_back(literal_of(number));
      formula.clauses.push_back(std::move(clause));
    }
  }
  require(declared == static_cast<std::int64_t>(formula.clauses.size() + formula.constraints.size()),
          "formula: another number of constraints than its header declares");
  return formula;
}

}  // namespace bnnhw::checker
