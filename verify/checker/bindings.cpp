// The Python face of the checker: bytes in, nothing or the reason of a refusal out, without the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <vector>

#include "question.hpp"

namespace nb = nanobind;

namespace bnnhw::checker {

namespace {

std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

std::vector<const Network*> pointers(const std::vector<Network*>& networks) {
  return {networks.begin(), networks.end()};
}

void check_robust(const std::vector<Network*>& networks, const nb::bytes& question, const nb::bytes& proof) {
  const std::string_view text = view(question);
  ProofBytes steps{view(proof)};
  const nb::gil_scoped_release release;
  const std::map<std::uint32_t, BudgetStep> budget = read_budget_steps(steps);
  check_proof(formula_of(pointers(networks), JsonReader::read(text), budget), steps);
}

void check_falsified(const std::vector<Network*>& networks, const nb::bytes& question, const nb::bytes& image) {
  const std::string_view text = view(question), pixels = view(image);
  const nb::gil_scoped_release release;
  check_counterexample(pointers(networks), JsonReader::read(text), JsonReader::read(pixels));
}

void check_unsatisfiable(const nb::bytes& formula, const nb::bytes& proof) {
  const std::string_view text = view(formula);
  const ProofBytes steps{view(proof)};
  const nb::gil_scoped_release release;
  check_proof(read_knf(text), steps);
}

}  // namespace

}  // namespace bnnhw::checker

NB_MODULE(_checker, module) {
  using namespace bnnhw::checker;
  module.doc() = "The independent checker of certificates.";
  nb::class_<Network>(module, "Network").def("__init__", [](Network* self, const nb::bytes& file) {
    new (self) Network(read_network(view(file)));
  }, nb::arg("file"));
  module.def("check_robust", &check_robust, nb::arg("networks"), nb::arg("question"), nb::arg("proof"));
  module.def("check_falsified", &check_falsified, nb::arg("networks"), nb::arg("question"), nb::arg("image"));
  module.def("check_unsatisfiable", &check_unsatisfiable, nb::arg("formula"), nb::arg("proof"));
}
