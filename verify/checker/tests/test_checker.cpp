// The checker on proofs of random formulas: it accepts what the solver proves, and neither a proof that was damaged nor
// one of a solver that propagates wrongly (the same test, built against such a solver) refutes a formula with a model.
// Run under the sanitizers, so damaged proofs and model files must not read or compute out of bounds either.
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "elaboration.hpp"
#include "evaluation.hpp"
#include "formula.hpp"
#include "formula_reader.hpp"
#include "network.hpp"
#include "proof_writer.hpp"
#include "random.hpp"
#include "solver.hpp"

namespace {

using bnnhw::solver::Random;

std::size_t below(Random& random, std::size_t bound) { return static_cast<std::size_t>(random.next() % bound); }

// One layer of neurons and a demand on how many agree with a pattern; planted: there is an input that meets it.
std::string random_formula(Random& random, bool planted) {
  const std::size_t inputs = 6 + below(random, 5), neurons = 8 + below(random, 12);
  std::string lines;
  std::vector<int> input(inputs + 1), bit(neurons + 1);
  for (int& one : input) one = static_cast<int>(below(random, 2));
  for (std::size_t n = 1; n <= neurons; ++n) {
    std::string sum;
    std::size_t size = 0, true_ones = 0;
    for (std::size_t i = 1; i <= inputs; ++i) {
      if (below(random, 3) == 0) continue;
      const bool negative = below(random, 2) == 0;
      sum += (negative ? " -" : " ") + std::to_string(i);
      true_ones += (input[i] != 0) != negative ? 1 : 0;
      ++size;
    }
    const std::size_t bound = (size + below(random, 2)) / 2;
    const bool at_most = below(random, 2) == 0;
    bit[n] = (at_most ? true_ones <= bound : true_ones >= bound) ? 1 : 0;
    lines += "r " + std::to_string(inputs + n) + (at_most ? " <= " : " >= ") + std::to_string(bound) + sum + " 0\n";
  }
  std::string demand;
  for (std::size_t n = 1; n <= neurons; ++n) {
    const bool wanted = planted ? bit[n] != 0 : below(random, 2) == 0;
    demand += (wanted ? " " : " -") + std::to_string(inputs + n);
  }
  lines += "r 0 >= " + std::to_string(planted ? neurons : neurons * 9 / 10) + demand + " 0\n";
  return "p rknf " + std::to_string(inputs + neurons) + " " + std::to_string(neurons + 1) + "\n" + lines;
}

// Empty if the solver finds a model.
std::string prove(const std::string& text, std::uint64_t seed) {
  std::string proof;
  bnnhw::solver::ProofWriter writer([&proof](const char* data, std::size_t size) { proof.append(data, size); });
  bnnhw::solver::Solver solver(seed);
  solver.set_proof_sink(&writer);
  bnnhw::solver::read_formula(text, solver);
  if (solver.solve({}, {}).status != bnnhw::solver::Status::unsatisfiable) return "";
  writer.finish();
  return proof;
}

bool accepts(const std::string& text, const std::string& proof) {
  try {
    bnnhw::checker::check_proof(bnnhw::checker::read_knf(text), bnnhw::checker::ProofBytes{proof});
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

// Empty if the elaborator refuses the proof.
std::string trimmed(const std::string& text, const std::string& proof) {
  try {
    const bnnhw::checker::Formula formula = bnnhw::checker::read_knf(text);
    return bnnhw::elaborator::trimmed(bnnhw::elaborator::elaborate(formula, {proof}, false), proof);
  } catch (const std::invalid_argument&) {
    return "";
  }
}

#ifdef BNNHW_WRONG_PROPAGATION

void no_proof_of_a_wrong_solver_refutes_a_formula_with_a_model() {
  Random random(1);
  std::size_t wrong = 0;
  for (std::size_t round = 0; round < 200; ++round) {
    const std::string text = random_formula(random, true);
    const std::string proof = prove(text, round);
    if (proof.empty()) continue;
    ++wrong;
    CHECK(!accepts(text, proof));
    CHECK(trimmed(text, proof).empty());
  }
  std::printf("%zu of 200 wrong answers, every proof refused\n", wrong);
  CHECK(wrong > 50);
}

#else

void proofs_are_accepted_and_damage_never_refutes_a_formula_with_a_model() {
  Random random(2);
  std::size_t proofs = 0, damaged = 0, still = 0;
  for (std::size_t round = 0; round < 120; ++round) {
    const std::string text = random_formula(random, false), satisfiable = random_formula(random, true);
    const std::string proof = prove(text, round);
    if (proof.empty()) continue;
    ++proofs;
    CHECK(accepts(text, proof));
    CHECK(accepts(text, trimmed(text, proof)));
    CHECK(!accepts(satisfiable, proof));
    for (std::size_t i = 0; i < 40; ++i) {
      std::string bad = proof;
      const std::size_t at = below(random, bad.size());
      if (below(random, 3) == 0) bad.resize(at);
      if (at < bad.size()) bad[at] = static_cast<char>(random.next());
      ++damaged;
      still += accepts(text, bad) ? 1 : 0;
      CHECK(!accepts(satisfiable, bad));
      CHECK(trimmed(satisfiable, bad).empty());
      const std::string shorter = trimmed(text, bad);
      CHECK(shorter.empty() || (accepts(text, bad) && accepts(text, shorter)));
    }
  }
  std::printf("%zu proofs accepted; of %zu damaged ones %zu are proofs still\n", proofs, damaged, still);
  CHECK(proofs > 40 && still < damaged);
}

std::string model_file() {
  const std::string description =
      R"({\"format\":\"bnnhw-integer-model\",\"input\":{\"pixel_max\":9,\"pixel_min\":0,\"shape\":[1,2,2]},\"layers\":[)"
      R"({\"kind\":\"dense\",\"weights\":[2,4]},{\"kind\":\"output\",\"shift\":1,\"weights\":[2,2]}],\"version\":1})";
  std::string header = R"({"__metadata__":{"bnnhw":")" + description + R"("},)";
  std::size_t at = 0;
  const auto tensor = [&](const std::string& name, const std::string& type, const std::string& shape, std::size_t size) {
    header += "\"" + name + "\":{\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + size) +
              "],\"dtype\":\"" + type + "\",\"shape\":[" + shape + "]},";
    at += size;
  };
  tensor("input.threshold", "I32", "1,1,1,1", 4);
  for (const char* name : {"layer000.less_equal", "layer000.mask", "layer000.sign"}) tensor(name, "U8", "1", 1);
  tensor("layer000.threshold", "I32", "2", 8);
  tensor("layer001.bias", "I32", "2", 8);
  for (const char* name : {"layer001.mask", "layer001.sign"}) tensor(name, "U8", "1", 1);
  header.back() = '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size() & 255u);
  file[1] = static_cast<char>(header.size() >> 8);
  return file + header + std::string(at, '\1');
}

void damaged_model_files_are_read_within_bounds() {
  const std::string file = model_file();
  CHECK(bnnhw::checker::read_network(file).hidden.size() == 1);
  Random random(3);
  std::size_t refused = 0;
  for (std::size_t round = 0; round < 20000; ++round) {
    std::string bad = file;
    for (std::size_t i = 0; i <= below(random, 3); ++i) bad[below(random, bad.size())] = static_cast<char>(random.next());
    if (below(random, 8) == 0) bad.resize(below(random, bad.size()));
    try {
      bnnhw::checker::read_network(bad);
    } catch (const std::invalid_argument&) {
      ++refused;
    }
  }
  std::printf("%zu of 20000 damaged model files refused\n", refused);
  CHECK(refused > 10000);
}

// Lane by lane, what a loop over one pattern finds: constraints in order, where all their variables have values.
void evaluation_leaves_the_patterns_without_a_conflict() {
  using namespace bnnhw::checker;
  constexpr std::size_t bits = 8, variables = 24;
  Random random(4);
  std::size_t left = 0;
  for (std::size_t round = 0; round < 400; ++round) {
    const auto literal = [&random](std::size_t end) { return static_cast<Literal>(2 + below(random, 2 * end - 2)); };
    std::vector<Literal> outputs, fixed{0, static_cast<Literal>(2 * bits + 2 + below(random, 2))};
    for (std::size_t i = 1; i <= bits; ++i) outputs.push_back(static_cast<Literal>(2 * i + below(random, 2)));
    std::vector<Linear> constraints;
    for (std::size_t v = bits + 2; v < variables; ++v) {
      Linear linear{static_cast<std::uint32_t>(v), static_cast<Literal>(2 * v + below(random, 2))};
      if (below(random, 8) == 0) linear.out = literal(v);
      if (below(random, 8) == 0) constraints.push_back(linear);  // decided: it has no terms
      const std::size_t last = below(random, 8) == 0 ? variables : v;
      for (std::size_t i = 1; i < last; ++i) {
        if (below(random, 2) == 0) linear.add(static_cast<Literal>(2 * i), static_cast<std::int64_t>(below(random, 9)) - 4);
      }
      linear.bound = 1 + static_cast<std::int64_t>(below(random, 1 + static_cast<std::size_t>(linear.total())));
      if (below(random, 8) == 0) linear.terms.push_back({literal(v), std::int64_t{1} << 20});
      constraints.push_back(linear);
    }
    std::vector<std::vector<Literal>> clauses{{}, {literal(variables), literal(variables), literal(variables)}};
    std::vector<Pattern> patterns, expected;
    for (std::uint64_t i = 0; i < (1u << bits) - below(random, 70); ++i) patterns.push_back({i << (64 - bits), 0});
    for (const Pattern& pattern : patterns) {
      std::vector<int> value(2 * variables);  // 1 true, -1 false, 0 unknown
      bool conflict = false;
      const auto give = [&](Literal one, bool truth) {
        conflict = conflict || value[one] == (truth ? -1 : 1);
        if (value[one] == 0) value[one] = truth ? 1 : -1;
        value[one ^ 1u] = -value[one];
      };
      for (const Literal one : fixed) give(one, true);
      for (std::size_t i = 0; i < bits; ++i) give(outputs[i], bit_of(pattern, i));
      for (const Linear& linear : constraints) {
        std::int64_t sum = 0;
        bool known = !linear.terms.empty() && linear.total() < 1 << 15;
        for (const Term& term : linear.terms) {
          known = known && value[term.literal] != 0;
          sum += value[term.literal] > 0 ? term.weight : 0;
        }
        if (known) give(linear.out, sum >= linear.bound);
      }
      for (const std::vector<Literal>& clause : clauses) {
        bool violated = !clause.empty();
        for (const Literal one : clause) violated = violated && value[one] < 0;
        conflict = conflict || violated;
      }
      if (!conflict) expected.push_back(pattern);
    }
    CHECK(without_conflict(patterns, variables, outputs, fixed, constraints, clauses) == expected);
    left += expected.size() != patterns.size() ? expected.size() : 0;
  }
  std::printf("evaluation left %zu patterns\n", left);
  CHECK(left > 10000);
}

#endif

}  // namespace

int main() {
#ifdef BNNHW_WRONG_PROPAGATION
  no_proof_of_a_wrong_solver_refutes_a_formula_with_a_model();
#else
  proofs_are_accepted_and_damage_never_refutes_a_formula_with_a_model();
  damaged_model_files_are_read_within_bounds();
  evaluation_leaves_the_patterns_without_a_conflict();
#endif
  return 0;
}
