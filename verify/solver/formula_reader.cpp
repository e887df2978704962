#include "formula_reader.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "linear_normal_form.hpp"
#include "literal.hpp"

namespace bnnhw::solver {

namespace {

// Numbers are clamped here, beyond every range that is accepted, so that later sums cannot overflow.
constexpr std::int64_t largest_number = max_bound + max_bound / 2;

constexpr bool is_blank(char character) {
  return character == ' ' || (character >= '\t' && character <= '\r');
}

// False if the word is not an optional sign and decimal digits.
bool to_integer(std::string_view word, std::int64_t& value) {
  std::size_t i = !word.empty() && (word[0] == '-' || word[0] == '+') ? 1 : 0;
  if (i == word.size()) return false;
  std::int64_t magnitude = 0;
  for (; i < word.size(); ++i) {
    const auto digit = static_cast<unsigned>(word[i] - '0');
    if (digit > 9) return false;
    if (magnitude > (largest_number - 9) / 10) magnitude = (largest_number - 9) / 10;
    magnitude = 10 * magnitude + digit;
  }
  value = word[0] == '-' ? -magnitude : magnitude;
  return true;
}

// A word as an error message may show it: short, and printable whatever the file holds.
std::string shown(std::string_view word) {
  constexpr char hex[] = "0123456789abcdef";
  std::string text;
  for (const char character : word.substr(0, 40)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= ' ' && byte < 127) {
      text += character;
    } else {
      text += {'\\', 'x', hex[byte >> 4], hex[byte & 15u]};
    }
  }
  return word.size() > 40 ? text + "..." : text;
}

struct Constraint {
  Literal out;
  std::int64_t bound;
  std::size_t end;
};

class Reader {
 public:
  explicit Reader(std::string_view text) {
    const char* next = text.data();
    const char* const end = next + text.size();
    while (next != end) {
      const void* const newline = std::memchr(next, '\n', static_cast<std::size_t>(end - next));
      at_ = next;
      line_end_ = newline != nullptr ? static_cast<const char*>(newline) : end;
      next = newline != nullptr ? line_end_ + 1 : end;
      ++line_;
      read_line();
    }
    if (!has_header_) {
      throw std::invalid_argument("there is no header; the first line must be 'p rknf VARIABLES CONSTRAINTS'");
    }
    const auto found = static_cast<std::int64_t>(clause_ends_.size() + constraints_.size());
    if (found != declared_) {
      throw std::invalid_argument("the header declares " + std::to_string(declared_) +
                                  " constraints but the file has " + std::to_string(found));
    }
  }

  void add_to(Solver& solver) const {
    solver.new_variables(static_cast<std::uint32_t>(variables_));
    std::size_t begin = 0;
    for (const std::size_t end : clause_ends_) {
      solver.add_clause(Span<Literal>(clause_literals_.data() + begin, end - begin));
      begin = end;
    }
    begin = 0;
    for (const Constraint& constraint : constraints_) {
      const Span<Literal> literals(sum_literals_.data() + begin, constraint.end - begin);
      solver.add_at_least(constraint.out, literals, Span<std::int32_t>(), constraint.bound);
      begin = constraint.end;
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument("line " + std::to_string(line_) + ": " + what);
  }

  // Empty at the end of the line.
  std::string_view next_word() {
    while (at_ != line_end_ && is_blank(*at_)) ++at_;
    const char* const begin = at_;
    while (at_ != line_end_ && !is_blank(*at_)) ++at_;
    return std::string_view(begin, static_cast<std::size_t>(at_ - begin));
  }

  std::int64_t integer(std::string_view word) const {
    std::int64_t value = 0;
    if (!to_integer(word, value)) fail("'" + shown(word) + "' is not an integer");
    return value;
  }

  void read_line() {
    const char* const start = at_;
    const std::string_view word = next_word();
    if (word.empty() || word == "c") return;
    if (word == "p") {
      if (has_header_) fail("a second header; a file has one");
      read_header();
    } else if (!has_header_) {
      fail("comes before the header 'p rknf VARIABLES CONSTRAINTS'");
    } else if (word == "r") {
      read_constraint();
    } else {
      at_ = start;
      read_literals(clause_literals_);
      clause_ends_.push_back(clause_literals_.size());
    }
  }

  void read_header() {
    const auto is_count = [](std::string_view word, std::int64_t& value) {
      return !word.empty() && word[0] >= '0' && word[0] <= '9' && to_integer(word, value);
    };
    const std::string_view format = next_word();
    const std::string_view variables = next_word();
    if (format != "rknf" || !is_count(variables, variables_) || !is_count(next_word(), declared_) ||
        !next_word().empty()) {
      fail("the header must read 'p rknf VARIABLES CONSTRAINTS'");
    }
    if (variables_ >= max_variable) fail(shown(variables) + " variables are too many; a solver holds fewer than 2^28");
    has_header_ = true;
  }

  void read_constraint() {
    const std::string_view out_word = next_word();
    const std::string_view comparison = next_word();
    const std::string_view bound_word = next_word();
    const char* const literals_start = at_;
    const bool at_most = comparison == "<=";
    if ((!at_most && comparison != ">=") || next_word().empty()) {
      fail("a constraint must read 'r D <= B l1 l2 ... 0', or the same with >=");
    }
    at_ = literals_start;
    const std::int64_t out = integer(out_word);
    std::int64_t bound = integer(bound_word);
    if (out > variables_ || out < -variables_) {
      fail("output " + shown(out_word) + " is not among the " + std::to_string(variables_) + " declared variables");
    }
    const std::size_t begin = sum_literals_.size();
    read_literals(sum_literals_);
    const std::size_t size = sum_literals_.size() - begin;
    if (size > static_cast<std::size_t>(max_total_weight)) fail("has more than 2^28 literals; split the constraint");
    Literal out_literal = out == 0 ? true_literal : Literal::from_dimacs(static_cast<std::int32_t>(out));
    if (at_most && out == 0) {
      for (std::size_t i = begin; i < begin + size; ++i) sum_literals_[i] = ~sum_literals_[i];
      bound = static_cast<std::int64_t>(size) - bound;
    } else if (at_most) {
      out_literal = ~out_literal;
      ++bound;
    }
    if (bound > max_bound || bound < -max_bound) {
      fail("the bound " + shown(bound_word) + " is too large; keep it within +-2^62");
    }
    constraints_.push_back(Constraint{out_literal, bound, sum_literals_.size()});
  }

  // The words up to the end of the line, of which the last must be 0 and the others literals.
  void read_literals(std::vector<Literal>& literals) {
    const std::size_t size = literals.size();
    if (!read_plain_literals(literals)) {
      literals.resize(size);
      read_any_literals(literals);
    }
  }

  // Nearly every line passes here: literals of a few digits between blanks, then 0. False, with the line still to be
  // read, if anything is different.
  bool read_plain_literals(std::vector<Literal>& literals) const {
    const std::size_t size = literals.size();
    literals.resize(size + static_cast<std::size_t>(line_end_ - at_) / 2 + 1);
    Literal* next = literals.data() + size;
    const char* at = at_;
    while (at != line_end_) {
      if (*at == ' ') {
        ++at;
        continue;
      }
      const bool negative = *at == '-';
      const char* const digits = at + (negative ? 1 : 0);
      Variable variable = 0;
      for (at = digits; at != line_end_; ++at) {
        const auto digit = static_cast<unsigned>(*at - '0');
        if (digit > 9) break;
        variable = 10 * variable + digit;
      }
      if (at == digits || at - digits > 9) return false;
      if (at == line_end_ && variable == 0) {
        literals.resize(static_cast<std::size_t>(next - literals.data()));
        return true;
      }
      if (at == line_end_ || *at != ' ' || variable == 0 || variable > variables_) return false;
      *next++ = Literal::of(variable, negative);
    }
    return false;
  }

  // A word that is no integer is reported before a missing 0, and that before a literal out of range.
  void read_any_literals(std::vector<Literal>& literals) {
    std::int64_t value = -1;
    std::string_view word;
    std::string_view wrong;
    while (true) {
      const std::string_view next = next_word();
      if (next.empty()) break;
      if (!word.empty()) {
        const bool known = value != 0 && value <= variables_ && value >= -variables_;
        if (!known && wrong.empty()) wrong = word;
        literals.push_back(known ? Literal::from_dimacs(static_cast<std::int32_t>(value)) : true_literal);
      }
      word = next;
      value = integer(word);
    }
    if (value != 0) fail("does not end in 0");
    if (!wrong.empty()) {
      fail("literal " + shown(wrong) + " is not among the " + std::to_string(variables_) + " declared variables");
    }
  }

  const char* at_ = nullptr;
  const char* line_end_ = nullptr;
  std::uint64_t line_ = 0;
  bool has_header_ = false;
  std::int64_t variables_ = 0;
  std::int64_t declared_ = 0;
  std::vector<Literal> clause_literals_;
  std::vector<std::size_t> clause_ends_;
  std::vector<Literal> sum_literals_;
  std::vector<Constraint> constraints_;
};

}  // namespace

void read_formula(std::string_view text, Solver& solver) { Reader(text).add_to(solver); }

}  // namespace bnnhw::solver
