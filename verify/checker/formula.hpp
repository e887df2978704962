// What a proof is about: clauses and reified linear constraints, every constraint under the name that proofs call it by.
// A literal is 2 * variable, and 1 more if it is negated; variable 0 is true.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "text.hpp"

namespace bnnhw::checker {

using Literal = std::uint32_t;

struct Term {
  Literal literal;
  std::int64_t weight;

  Term(Literal of, std::int64_t times) : literal(of), weight(times) {}
  bool operator==(const Term& other) const { return literal == other.literal && weight == other.weight; }
};

// out <-> sum of weight * [literal] >= bound. All weights are positive.
struct Linear {
  std::uint32_t name = 0;
  Literal out = 0;
  std::vector<Term> terms{};
  std::int64_t bound = 0;

  // Adds weight * [literal] to the sum, any sign.
  void add(Literal literal, std::int64_t weight) {
    if (weight == 0) return;
    const bool negative = weight < 0;
    terms.emplace_back(literal ^ Literal{negative}, negative ? -weight : weight);
    bound -= negative ? weight : 0;
  }
  std::int64_t total() const {
    std::int64_t sum = 0;
    for (const Term& term : terms) sum += term.weight;
    return sum;
  }
  bool always() const { return bound <= 0; }
  bool constant() const { return always() || total() < bound; }
  // not out <-> sum of weight * [not literal] >= bound, of the same out.
  Linear opposite() const {
    Linear made{name, out, terms, total() - bound + 1};
    for (Term& term : made.terms) term.literal ^= 1u;
    return made;
  }
};

struct Formula {
  std::uint32_t variables = 0;
  std::vector<Literal> units{};
  std::vector<std::vector<Literal>> clauses{};
  std::vector<Linear> constraints{};
};

// The formula of a *.knf file. Throws std::invalid_argument.
Formula read_knf(std::string_view text);

// The bytes of a proof, read from the front.
struct ProofBytes {
  std::string_view rest;

  // '\0' at the end.
  char letter() {
    const char first = rest.empty() ? '\0' : rest.front();
    rest.remove_prefix(rest.empty() ? 0 : 1);
    return first;
  }
  std::uint64_t number(std::uint64_t most) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 56; shift += 7) {
      require(!rest.empty(), "the proof breaks off");
      const auto byte = static_cast<unsigned char>(letter());
      value |= std::uint64_t{byte & 127u} << shift;
      if (byte >= 128) continue;
      require(value <= most, "a number out of range");
      return value;
    }
    throw std::invalid_argument("a number too long");
  }
};

// Does propagation alone find a contradiction?
bool refuted_at_once(Formula formula);
// Reads the proof, and returns if it leads the formula to a contradiction. Throws std::invalid_argument with the step.
void check_proof(Formula formula, ProofBytes proof);

}  // namespace bnnhw::checker
