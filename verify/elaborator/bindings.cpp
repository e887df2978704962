// The Python face of the elaborator: bytes in; the trimmed proof, or what the facts are, out.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "elaboration.hpp"
#include "question.hpp"

namespace nb = nanobind;

namespace bnnhw::elaborator {

namespace {

std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

struct Asked {
  Formula formula;
  checker::BudgetSteps budget_steps;
  std::string_view proof;
};

using Networks = std::vector<checker::Network*>;

// Each variable at most once in a sum, and units as clauses, as other checkers want it.
Formula merged(Formula formula) {
  for (const Literal literal : formula.units) formula.clauses.push_back({literal});
  formula.units.clear();
  for (Linear& linear : formula.constraints) {
    std::map<std::uint32_t, std::int64_t> coefficients;
    Linear made{linear.name, linear.out, {}, linear.bound};
    for (const auto& [literal, weight] : linear.terms) {
      coefficients[literal / 2] += literal % 2 == 0 ? weight : -weight;
      made.bound -= literal % 2 == 0 ? 0 : weight;
    }
    for (const auto& [variable, coefficient] : coefficients) made.add(2 * variable, coefficient);
    linear = std::move(made);
  }
  return formula;
}

// budget_steps_apart: the question as it is, and what the budget steps decide as clauses at its end.
Asked asked(const Networks& given, const checker::Question& question, const nb::bytes& proof, bool budget_steps_apart) {
  const std::vector<const checker::Network*> networks(given.begin(), given.end());
  ProofBytes steps{view(proof)};
  const checker::BudgetSteps budget = checker::read_budget_steps(steps);
  Formula formula = merged(checker::formula_of(networks, question, budget));
  if (!budget_steps_apart) return {std::move(formula), {}, steps.rest};
  formula = merged(checker::formula_of(networks, question, {}));
  for (const auto& [name, step] : budget) formula.clauses.push_back({2 * name + (step.value ? 0 : 1)});
  return {std::move(formula), budget, steps.rest};
}

nb::bytes trim(const Asked& about, const nb::bytes& proof) {
  const std::string_view whole = view(proof);
  std::string made(whole.substr(0, whole.size() - about.proof.size()));
  {
    const nb::gil_scoped_release release;
    made += trimmed(elaborate(about.formula, {about.proof}, false), about.proof);
  }
  return nb::bytes(made.data(), made.size());
}

nb::bytes trim_robust(const Networks& networks, const checker::Question& question, const nb::bytes& proof) {
  return trim(asked(networks, question, proof, false), proof);
}

nb::bytes trim_unsatisfiable(const nb::bytes& formula, const nb::bytes& proof) {
  return trim({merged(checker::read_knf(view(formula))), {}, view(proof)}, proof);
}

nb::list numbers(const std::uint32_t* begin, const std::uint32_t* end) {
  nb::list made;
  for (; begin != end; ++begin) made.append(*begin);
  return made;
}

nb::tuple python(const Formula& formula) {
  nb::list clauses, constraints;
  for (const std::vector<Literal>& clause : formula.clauses) {
    clauses.append(numbers(clause.data(), clause.data() + clause.size()));
  }
  for (const Linear& linear : formula.constraints) {
    nb::list terms;
    for (const Term& term : linear.terms) terms.append(nb::make_tuple(term.literal, term.weight));
    constraints.append(nb::make_tuple(linear.name, linear.out, terms, linear.bound));
  }
  return nb::make_tuple(formula.variables, clauses, constraints);
}

// The formula, the budget steps, the needed facts and the contradiction's antecedents; none of it where the proof tries
// every way to meet a constraint.
nb::object elaborated(const Asked& about, bool with_clauses) {
  Elaboration made;
  std::vector<bool> marked;
  {
    const nb::gil_scoped_release release;
    made = elaborate(about.formula, {about.proof}, with_clauses);
    if (!made.every_way) marked = needed(made);
  }
  if (made.every_way) return nb::none();
  nb::list budget, facts;
  for (const auto& [name, step] : about.budget_steps) {
    budget.append(nb::make_tuple(2 * name + (step.value ? 0 : 1), step.numerator, step.denominator));
  }
  constexpr const char* kinds[] = {"input", "version", "unit", "lemma", "equality", "implied"};
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (!marked[i]) continue;
    const Fact& fact = made.facts[i];
    const Literal* const literals = made.literals.data();
    const std::uint32_t* const antecedents = made.antecedents.data();
    facts.append(nb::make_tuple(i, kinds[static_cast<std::size_t>(fact.kind)], fact.about, fact.other,
                                numbers(literals + fact.literals, literals + fact.literals_end),
                                numbers(antecedents + fact.antecedents, antecedents + fact.antecedents_end)));
  }
  const std::vector<std::uint32_t>& last = made.contradiction;
  return nb::make_tuple(python(about.formula), budget, facts, numbers(last.data(), last.data() + last.size()));
}

nb::object elaborate_robust(const Networks& networks, const checker::Question& question, const nb::bytes& proof,
                           bool with_clauses) {
  return elaborated(asked(networks, question, proof, true), with_clauses);
}

nb::object elaborate_unsatisfiable(const nb::bytes& formula, const nb::bytes& proof, bool with_clauses) {
  return elaborated({merged(checker::read_knf(view(formula))), {}, view(proof)}, with_clauses);
}

}  // namespace

}  // namespace bnnhw::elaborator

NB_MODULE(_elaborator, module) {
  using namespace bnnhw::elaborator;
  module.doc() = "Proofs with what each step rests on.";
  // Networks and questions are its types.
  nb::module_::import_("bnnhw.verify._checker");
  module.def("trim_robust", &trim_robust, nb::arg("networks"), nb::arg("question"), nb::arg("proof"));
  module.def("trim_unsatisfiable", &trim_unsatisfiable, nb::arg("formula"), nb::arg("proof"));
  module.def("elaborate_robust", &elaborate_robust, nb::arg("networks"), nb::arg("question"), nb::arg("proof"),
             nb::arg("with_clauses"));
  module.def("elaborate_unsatisfiable", &elaborate_unsatisfiable, nb::arg("formula"), nb::arg("proof"),
             nb::arg("with_clauses"));
}
