// The reader of formulas and the reader of proofs: an input is a formula's text and a proof. A proof that is accepted
// is held against every assignment of a formula with few variables.
#include <algorithm>
#include <stdexcept>

#include "formula.hpp"
#include "sections.hpp"

using namespace bnnhw::checker;

namespace {

constexpr std::uint32_t most_variables = 14, most_checked = 1u << 12;

bool holds(const Formula& formula, std::uint32_t assignment) {
  // Bit v of the assignment is variable v; variable 0 is true.
  const auto value = [assignment](Literal literal) { return ((assignment >> (literal / 2) & 1u) != 0) == (literal % 2 == 0); };
  for (const std::vector<Literal>& clause : formula.clauses) {
    if (std::none_of(clause.begin(), clause.end(), value)) return false;
  }
  for (const Linear& linear : formula.constraints) {
    std::int64_t sum = 0;
    for (const Term& term : linear.terms) sum += value(term.literal) ? term.weight : 0;
    if (value(linear.out) != (sum >= linear.bound)) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string> parts = fuzz::split(data, size);
  if (parts.size() < 2) return 0;
  try {
    const Formula formula = read_knf(parts[0]);
    if (formula.variables > most_checked) return 0;
    check_proof(formula, ProofBytes{parts[1]});
    if (formula.variables > most_variables) return 0;
    for (std::uint32_t assignment = 0; assignment < 1u << formula.variables; ++assignment) {
      if (holds(formula, 2 * assignment + 1)) fuzz::wrong("a refutation of a formula that has a model");
    }
  } catch (const std::invalid_argument&) {
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit, unsigned seed) {
  std::vector<std::string> parts = fuzz::split(data, size);
  parts.resize(2);
  fuzz::mutate(parts[seed % 4 == 0 ? 0 : 1]);
  return fuzz::hand_back(fuzz::joined(parts), data, limit);
}
