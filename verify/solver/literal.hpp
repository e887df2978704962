// Literals, spans of them, and the reason a literal was assigned.
//
// A literal is one machine word, 2 * variable + (1 if negative), the numbering introduced by MiniSat (Een and
// Sorensson, "An Extensible SAT-solver", SAT 2003): negation flips the last bit and a literal indexes arrays
// directly. Variable 0 is the solver's own constant "true"; the caller's variables are 1, 2, ..., written as DIMACS
// literals outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bnnhw::solver {

using Variable = std::uint32_t;

inline constexpr Variable max_variable = (1u << 28) - 1;

struct Literal {
  std::uint32_t code = 0xFFFFFFFFu;

  static constexpr Literal positive(Variable variable) { return Literal{2 * variable}; }
  static constexpr Literal of(Variable variable, bool negative) {
    return Literal{2 * variable + (negative ? 1u : 0u)};
  }
  static constexpr Literal from_dimacs(std::int32_t literal) {
    return literal > 0 ? Literal{2 * static_cast<std::uint32_t>(literal)}
                       : Literal{2 * static_cast<std::uint32_t>(-literal) + 1};
  }

  constexpr Variable variable() const { return code >> 1; }
  constexpr bool negative() const { return (code & 1u) != 0; }
  constexpr Literal operator~() const { return Literal{code ^ 1u}; }
  constexpr bool operator==(Literal other) const { return code == other.code; }
  constexpr bool operator!=(Literal other) const { return code != other.code; }
  constexpr std::int32_t dimacs() const {
    const auto variable_number = static_cast<std::int32_t>(variable());
    return negative() ? -variable_number : variable_number;
  }
};

inline constexpr Literal undefined_literal{};
inline constexpr Literal true_literal{0};

template <typename T>
struct Span {
  const T* data = nullptr;
  std::size_t size = 0;

  Span() = default;
  Span(const T* first, std::size_t count) : data(first), size(count) {}
  Span(const std::vector<T>& items) : data(items.data()), size(items.size()) {}

  const T* begin() const { return data; }
  const T* end() const { return data + size; }
  const T& operator[](std::size_t index) const { return data[index]; }
};

// Why a literal is true: a decision, the other literal of a binary clause, a clause of the arena, or one side of a
// linear constraint. Two tag bits and a 30-bit index.
class Reason {
 public:
  enum class Kind : std::uint32_t { none = 0, binary = 1, clause = 2, linear = 3 };

  constexpr Reason() = default;
  static constexpr Reason binary(Literal other) { return Reason(Kind::binary, other.code); }
  static constexpr Reason clause(std::uint32_t reference) { return Reason(Kind::clause, reference); }
  static constexpr Reason linear(std::uint32_t side) { return Reason(Kind::linear, side); }

  constexpr Kind kind() const { return static_cast<Kind>(bits_ & 3u); }
  constexpr std::uint32_t index() const { return bits_ >> 2; }
  constexpr Literal other() const { return Literal{index()}; }

 private:
  constexpr Reason(Kind kind, std::uint32_t index) : bits_(index << 2 | static_cast<std::uint32_t>(kind)) {}

  std::uint32_t bits_ = 0;
};

inline constexpr std::uint32_t max_reason_index = (1u << 30) - 1;

}  // namespace bnnhw::solver
