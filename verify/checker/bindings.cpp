// The Python face of the checker: returns nothing, or raises ValueError with the reason of a refusal. Without the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <vector>

#include "question.hpp"

namespace nb = nanobind;

NB_MODULE(_checker, module) {
  using namespace bnnhw::checker;
  using Integers = std::vector<std::int64_t>;
  using Networks = std::vector<const Network*>;
  const auto view = [](const nb::bytes& bytes) { return std::string_view(bytes.c_str(), bytes.size()); };
  module.doc() = "The independent checker of certificates.";
  nb::class_<Network>(module, "Network").def("__init__", [view](Network* self, const nb::bytes& file) {
    new (self) Network(read_network(view(file)));
  }, nb::arg("file"));
  nb::class_<Question>(module, "Question")
      .def(nb::init<Integers, Integers, Integers, Integers, std::string, std::int64_t, Integers, std::string, std::int64_t, bool>(),
           nb::arg("shape"), nb::arg("image"), nb::arg("low"), nb::arg("high"), nb::arg("norm"), nb::arg("limit"),
           nb::arg("weight"), nb::arg("kind"), nb::arg("label"), nb::arg("strictly"));
  module.def("check_robust", [view](const std::vector<Network*>& networks, const Question& question, const nb::bytes& proof) {
    const ProofBytes steps{view(proof)};
    const nb::gil_scoped_release release;
    check_robust(Networks(networks.begin(), networks.end()), question, steps);
  }, nb::arg("networks"), nb::arg("question"), nb::arg("proof"));
  module.def("check_falsified", [](const std::vector<Network*>& networks, const Question& question, const Integers& image) {
    const nb::gil_scoped_release release;
    check_falsified(Networks(networks.begin(), networks.end()), question, image);
  }, nb::arg("networks"), nb::arg("question"), nb::arg("image"));
  module.def("check_unsatisfiable", [view](const nb::bytes& formula, const nb::bytes& proof) {
    const std::string_view text = view(formula);
    const ProofBytes steps{view(proof)};
    const nb::gil_scoped_release release;
    check_proof(read_knf(text), steps);
  }, nb::arg("formula"), nb::arg("proof"));
}
