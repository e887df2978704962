// A proof as bytes (docs/certificates.md): one letter a step, then numbers of seven bits a byte, lowest first. Variables
// and constraints are written under the names that the question gives them, which a reader can work out again; those
// that the solver happens to use stay here. The bytes leave in pieces, so a proof never has to fit in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "proof_sink.hpp"

namespace bnnhw::solver {

// By the solver's number, what a variable and a constraint are called in the proof; empty where the numbers are names.
struct ProofNames {
  std::vector<std::uint32_t> variables;
  std::vector<std::uint32_t> constraints;
};

class ProofWriter final : public ProofSink {
 public:
  // Takes each piece; what it throws ends the search.
  using Output = std::function<void(const char*, std::size_t)>;

  explicit ProofWriter(Output output) : output_(std::move(output)) {}

  // Before the first lemma.
  void set_names(ProofNames names) { names_ = std::move(names); }
  // The variable has the value because its constraint and numerator / denominator times the budget's add up to it.
  void decided_by_budget(std::uint32_t name, bool value, std::int64_t numerator, std::int64_t denominator);
  // No way to meet the constraint of this name leads to a solution.
  void every_way(std::uint32_t name);
  // The contradiction has been reported: nothing follows.
  void finish();

  void learned(Span<Literal> clause) override;
  void deleted(Span<Literal> clause) override;
  void rewritten(std::uint32_t constraint, Literal out, const LinearSum& sum) override;
  void equal(Literal first, Literal second, std::uint32_t constraint) override;
  void equal_sums(Literal first, Literal second, std::uint32_t constraint, std::uint32_t other) override;

 private:
  void step(char letter);
  void number(std::uint64_t value);
  void constraint(std::uint32_t number_in_solver);
  void flush();

  Output output_;
  std::string pending_;
  ProofNames names_;
  // Lemmas are called by their number; the solver knows them by their literals, hashed here without regard to order.
  std::uint64_t lemmas_ = 0;
  std::unordered_multimap<std::uint64_t, std::uint64_t> living_;
};

}  // namespace bnnhw::solver
