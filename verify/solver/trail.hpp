// The partial assignment: the value of every literal and the trail, the assigned literals in order, cut into decision
// levels (MiniSat, Een and Sorensson 2003). Positions on the trail are kept because the explanations of linear
// constraints are built late and may only use what was assigned before the literal they explain; they are kept per
// literal, so that "false, and early enough" is a single load and comparison in the loop that reads explanations off.
#pragma once

#include <cstdint>
#include <vector>

#include "literal.hpp"

namespace bnnhw::solver {

class Trail {
 public:
  void add_variables(std::size_t count) {
    values_.resize(values_.size() + 2 * count);
    falsified_at_.resize(falsified_at_.size() + 2 * count, never);
    variables_.resize(variables_.size() + count);
  }

  std::size_t variable_count() const { return variables_.size(); }

  // +1 true, -1 false, 0 unassigned.
  int value(Literal literal) const { return values_[literal.code]; }
  // By literal code; three more bytes may be read behind the last one.
  const std::int8_t* values() const { return values_.data(); }
  bool assigned(Literal literal) const { return values_[literal.code] != 0; }
  std::uint32_t level_of(Variable variable) const { return variables_[variable].level; }
  std::uint32_t position_of(Variable variable) const { return variables_[variable].position; }
  Reason reason_of(Variable variable) const { return variables_[variable].reason; }
  void set_reason(Variable variable, Reason reason) { variables_[variable].reason = reason; }
  bool fixed(Literal literal) const { return assigned(literal) && level_of(literal.variable()) == 0; }

  static constexpr std::uint32_t never = 0xFFFFFFFFu;
  // By literal code: the trail position at which the literal became false; `never` if it is not.
  const std::uint32_t* falsified_at() const { return falsified_at_.data(); }

  std::uint32_t size() const { return static_cast<std::uint32_t>(literals_.size()); }
  Literal operator[](std::uint32_t position) const { return literals_[position]; }

  std::uint32_t level() const { return static_cast<std::uint32_t>(level_starts_.size()); }
  // Number of literals assigned at levels 0..level.
  std::uint32_t size_up_to(std::uint32_t at_level) const {
    return at_level < level() ? level_starts_[at_level] : size();
  }
  Literal decision(std::uint32_t at_level) const { return literals_[level_starts_[at_level - 1]]; }

  void open_level() { level_starts_.push_back(size()); }
  void close_levels_above(std::uint32_t at_level) { level_starts_.resize(at_level); }

  void push(Literal literal, Reason reason) {
    values_[literal.code] = 1;
    values_[(~literal).code] = -1;
    falsified_at_[(~literal).code] = size();
    variables_[literal.variable()] = VariableState{level(), size(), reason};
    literals_.push_back(literal);
  }

  Literal pop() {
    const Literal literal = literals_.back();
    literals_.pop_back();
    values_[literal.code] = 0;
    values_[(~literal).code] = 0;
    falsified_at_[(~literal).code] = never;
    return literal;
  }

  std::size_t memory_bytes() const {
    return values_.capacity() + variables_.capacity() * sizeof(VariableState) +
           (falsified_at_.capacity() + literals_.capacity() + level_starts_.capacity()) * sizeof(std::uint32_t);
  }

 private:
  struct VariableState {
    std::uint32_t level = 0;
    std::uint32_t position = 0;
    Reason reason;
  };

  // With the bytes that a wide read of the last values takes along.
  std::vector<std::int8_t> values_ = std::vector<std::int8_t>(3);
  std::vector<std::uint32_t> falsified_at_;
  std::vector<VariableState> variables_;
  std::vector<Literal> literals_;
  std::vector<std::uint32_t> level_starts_;
};

}  // namespace bnnhw::solver
