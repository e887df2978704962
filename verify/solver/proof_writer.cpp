#include "proof_writer.hpp"

namespace bnnhw::solver {

namespace {

constexpr std::size_t piece = std::size_t{1} << 20;

// SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014), summed: the order of the literals makes no difference.
std::uint64_t hash(Span<Literal> clause) {
  std::uint64_t sum = clause.size;
  for (const Literal literal : clause) {
    std::uint64_t bits = literal.code + 0x9E3779B97F4A7C15u;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    sum += bits ^ bits >> 31;
  }
  return sum;
}

}  // namespace

void ProofWriter::learned(Span<Literal> clause) {
  step('a');
  number(clause.size);
  for (const Literal literal : clause) {
    const Variable variable = literal.variable();
    const Variable name = names_.variables.empty() ? variable : names_.variables[variable];
    number(2 * std::uint64_t{name} + (literal.negative() ? 1 : 0));
  }
  // Units and binary clauses are never deleted.
  if (clause.size > 2) living_.emplace(hash(clause), lemmas_);
  ++lemmas_;
}

void ProofWriter::deleted(Span<Literal> clause) {
  // A clause of the formula is none of the lemmas, nor is a lemma that lost literals on its way into the database.
  const auto found = living_.find(hash(clause));
  if (found == living_.end()) return;
  step('d');
  number(lemmas_ - 1 - found->second);
  living_.erase(found);
}

void ProofWriter::rewritten(std::uint32_t rewritten_constraint, Literal, const LinearSum&) {
  step('w');
  constraint(rewritten_constraint);
}

void ProofWriter::equal(Literal, Literal, std::uint32_t deciding) {
  step('e');
  constraint(deciding);
}

void ProofWriter::equal_sums(Literal, Literal, std::uint32_t one, std::uint32_t other) {
  step('s');
  constraint(one);
  constraint(other);
}

void ProofWriter::decided_by_budget(std::uint32_t name, bool value, std::int64_t numerator, std::int64_t denominator) {
  step('b');
  number(2 * std::uint64_t{name} + (value ? 0 : 1));
  number(static_cast<std::uint64_t>(numerator));
  number(static_cast<std::uint64_t>(denominator));
}

void ProofWriter::every_way(std::uint32_t name) {
  step('n');
  number(name);
}

void ProofWriter::finish() {
  step('q');
  flush();
}

void ProofWriter::step(char letter) {
  if (pending_.size() >= piece) flush();
  pending_.push_back(letter);
}

void ProofWriter::number(std::uint64_t value) {
  for (; value >= 128; value >>= 7) pending_.push_back(static_cast<char>((value & 127u) | 128u));
  pending_.push_back(static_cast<char>(value));
}

void ProofWriter::constraint(std::uint32_t number_in_solver) {
  number(names_.constraints.empty() ? number_in_solver : names_.constraints[number_in_solver]);
}

void ProofWriter::flush() {
  output_(pending_.data(), pending_.size());
  pending_.clear();
}

}  // namespace bnnhw::solver
