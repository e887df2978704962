// The Python face of the solver: checks everything a caller hands in before the solver sees any of it, so that a
// refused call changes nothing, and turns DIMACS literals into the solver's own. Searching releases the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "formula_reader.hpp"
#include "proof_writer.hpp"
#include "solver.hpp"

namespace nb = nanobind;

namespace bnnhw::solver {

namespace {

using AnyArray = nb::ndarray<nb::ro, nb::device::cpu>;

struct Result {
  std::string status;
  std::string reason;
};

std::string_view name(Status status) {
  switch (status) {
    case Status::satisfiable: return "sat";
    case Status::unsatisfiable: return "unsat";
    case Status::unknown: break;
  }
  return "unknown";
}

std::string_view name(StopReason reason) {
  switch (reason) {
    case StopReason::time: return "time";
    case StopReason::conflicts: return "conflicts";
    case StopReason::memory: return "memory";
    case StopReason::interrupted: return "interrupted";
    case StopReason::none: break;
  }
  return "";
}

template <typename T>
Span<T> view(const AnyArray& array, const char* what) {
  const bool right = array.ndim() == 1 && array.dtype() == nb::dtype<T>() &&
                     (array.shape(0) < 2 || array.stride(0) == 1);
  if (!right) {
    throw std::invalid_argument(std::string(what) + " must be a contiguous one-dimensional int" +
                                std::to_string(8 * sizeof(T)) + " array; convert it with np.ascontiguousarray");
  }
  return Span<T>(static_cast<const T*>(array.data()), array.shape(0));
}

std::int64_t to_int64(const nb::handle& number, const char* what) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0) throw std::invalid_argument(std::string(what) + " does not fit 64 bits");
  if (value == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return value;
}

class PythonSolver {
 public:
  PythonSolver(std::uint64_t seed, bool probing) : solver_(seed, probing) {}

  void log_proof(nb::callable write) {
    require_idle();
    if (solver_.variable_count() != 0) throw std::invalid_argument("log_proof comes before the first variable");
    proof_ = std::make_unique<ProofWriter>([write = std::move(write)](const char* data, std::size_t size) {
      const nb::gil_scoped_acquire acquire;
      write(nb::bytes(data, size));
    });
    solver_.set_proof_sink(proof_.get());
  }

  void finish_proof() {
    require_idle();
    if (!proof_) throw std::invalid_argument("log_proof comes before finish_proof");
    proof_->finish();
  }

  std::uint32_t new_variables(std::int64_t count) {
    require_idle();
    if (count < 0 || count > max_variable) {
      throw std::invalid_argument("cannot make " + std::to_string(count) + " variables; ask for 0 to 2^28");
    }
    return solver_.new_variables(static_cast<std::uint32_t>(count));
  }

  void add_clause(const nb::iterable& literals) {
    require_idle();
    read(literals, "the clause");
    solver_.add_clause(literals_);
  }

  void add_clauses(const AnyArray& flat) {
    require_idle();
    const Span<std::int32_t> numbers = view<std::int32_t>(flat, "the clauses");
    if (numbers.size != 0 && numbers[numbers.size - 1] != 0) {
      throw std::invalid_argument("the last clause does not end in 0; append a 0");
    }
    for (std::size_t i = 0; i < numbers.size; ++i) {
      if (numbers[i] != 0) check(numbers[i], "the clauses", i);
    }
    literals_.clear();
    for (const std::int32_t number : numbers) {
      if (number != 0) {
        literals_.push_back(Literal::from_dimacs(number));
      } else {
        solver_.add_clause(literals_);
        literals_.clear();
      }
    }
  }

  void add_at_least(const nb::object& out, const nb::iterable& literals, const nb::object& bound,
                    const std::optional<nb::iterable>& weights) {
    require_idle();
    const Literal out_literal = read_out(to_int64(out, "the output literal"), "add_at_least");
    const std::int64_t checked_bound = to_int64(bound, "the bound");
    read(literals, "the linear constraint");
    weights_.clear();
    if (weights.has_value()) {
      for (const nb::handle weight : *weights) {
        const std::int64_t value = to_int64(weight, "a weight");
        if (value > std::numeric_limits<std::int32_t>::max() || value < std::numeric_limits<std::int32_t>::min()) {
          throw std::invalid_argument("the weight " + std::to_string(value) + " does not fit 32 bits");
        }
        weights_.push_back(static_cast<std::int32_t>(value));
      }
      if (weights_.size() != literals_.size()) {
        throw std::invalid_argument("a linear constraint has " + std::to_string(literals_.size()) + " literals but " +
                                    std::to_string(weights_.size()) + " weights; give one weight per literal");
      }
    }
    solver_.add_at_least(out_literal, literals_, weights_, checked_bound);
  }

  void add_at_least_many(const AnyArray& outs, const AnyArray& starts, const AnyArray& literals,
                         const std::optional<AnyArray>& weights, const AnyArray& bounds) {
    require_idle();
    const Span<std::int32_t> out_numbers = view<std::int32_t>(outs, "outs");
    const Span<std::int64_t> offsets = view<std::int64_t>(starts, "starts");
    const Span<std::int32_t> numbers = view<std::int32_t>(literals, "literals");
    const Span<std::int64_t> bound_numbers = view<std::int64_t>(bounds, "bounds");
    Span<std::int32_t> weight_numbers;
    if (weights.has_value()) weight_numbers = view<std::int32_t>(*weights, "weights");
    const std::size_t count = out_numbers.size;
    if (offsets.size != count + 1 || bound_numbers.size != count) {
      throw std::invalid_argument(std::to_string(count) +
                                  " outs need as many bounds and one more start, but there are " + std::to_string(bound_numbers.size) + " bounds and " + std::to_string(offsets.size) +
                                  " starts");
    }
    if (weights.has_value() && weight_numbers.size != numbers.size) {
      throw std::invalid_argument("there are " + std::to_string(numbers.size) + " literals but " +
                                  std::to_string(weight_numbers.size) + " weights; give one weight per literal");
    }
    if (offsets[0] != 0 || offsets[count] != static_cast<std::int64_t>(numbers.size)) {
      throw std::invalid_argument("starts must begin with 0 and end with the number of literals, " +
                                  std::to_string(numbers.size));
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (offsets[i] > offsets[i + 1]) {
        throw std::invalid_argument("starts must not decrease, but starts[" + std::to_string(i + 1) + "] does");
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      read_out(out_numbers[i], "outs");
      check_sum(bound_numbers[i], weight_numbers, offsets[i], offsets[i + 1], i);
    }
    for (std::size_t i = 0; i < numbers.size; ++i) check(numbers[i], "literals", i);
    literals_.clear();
    for (const std::int32_t number : numbers) literals_.push_back(Literal::from_dimacs(number));
    for (std::size_t i = 0; i < count; ++i) {
      const auto begin = static_cast<std::size_t>(offsets[i]);
      const std::size_t size = static_cast<std::size_t>(offsets[i + 1]) - begin;
      const Span<std::int32_t> own_weights =
          weights.has_value() ? Span<std::int32_t>(weight_numbers.data + begin, size) : Span<std::int32_t>();
      const Literal out = read_out(out_numbers[i], "outs");
      solver_.add_at_least(out, Span<Literal>(literals_.data() + begin, size), own_weights, bound_numbers[i]);
    }
  }

  void read_knf(const nb::bytes& text) {
    require_idle();
    if (solver_.variable_count() != 0) {
      throw std::invalid_argument("read_knf needs a fresh solver, but this one has " +
                                  std::to_string(solver_.variable_count()) + " variables");
    }
    read_formula(std::string_view(text.c_str(), text.size()), solver_);
  }

  void set_bump_weight(const nb::iterable& variables, double weight) {
    require_idle();
    if (!(weight > 0.0 && weight <= 1e6)) {
      throw std::invalid_argument("a bump weight must be positive and at most 1e6");
    }
    read(variables, "the variables");
    for (const Literal literal : literals_) {
      if (literal.negative()) throw std::invalid_argument("bump weights belong to variables: give positive numbers");
    }
    for (const Literal literal : literals_) solver_.set_bump_weight(literal.variable(), weight);
  }

  Result solve(const nb::iterable& assumptions, std::optional<std::int64_t> conflict_limit,
               std::optional<double> time_limit, std::optional<std::int64_t> memory_limit) {
    require_idle();
    if (conflict_limit && *conflict_limit < 0) throw std::invalid_argument("conflict_limit must not be negative");
    if (time_limit && !(*time_limit >= 0.0)) throw std::invalid_argument("time_limit must not be negative");
    if (memory_limit && *memory_limit < 0) throw std::invalid_argument("memory_limit must not be negative");
    read(assumptions, "the assumptions");
    const std::vector<Literal> assumed = literals_;
    Limits limits;
    if (conflict_limit) limits.conflicts = static_cast<std::uint64_t>(*conflict_limit);
    limits.seconds = time_limit;
    if (memory_limit) limits.memory_bytes = static_cast<std::uint64_t>(*memory_limit);
    bool signalled = false;
    limits.interrupted = [&signalled]() {
      const nb::gil_scoped_acquire acquire;
      if (PyErr_CheckSignals() == 0) return false;
      signalled = true;
      return true;
    };
    last_status_ = Status::unknown;
    Outcome outcome;
    solving_.store(true);
    try {
      const nb::gil_scoped_release release;
      outcome = solver_.solve(assumed, limits);
    } catch (...) {
      solving_.store(false);
      throw;
    }
    solving_.store(false);
    if (signalled) throw nb::python_error();
    last_status_ = outcome.status;
    return Result{std::string(name(outcome.status)), std::string(name(outcome.reason))};
  }

  void interrupt() { solver_.interrupt(); }

  nb::ndarray<nb::numpy, std::int8_t, nb::ndim<1>> model() const {
    require_idle();
    if (last_status_ != Status::satisfiable) {
      throw std::invalid_argument("there is no model: the last solve did not answer sat");
    }
    const std::vector<std::int8_t>& values = solver_.model();
    auto* const copy = new std::int8_t[values.size()];
    std::memcpy(copy, values.data(), values.size());
    const nb::capsule owner(copy, [](void* data) noexcept { delete[] static_cast<std::int8_t*>(data); });
    return nb::ndarray<nb::numpy, std::int8_t, nb::ndim<1>>(copy, {values.size()}, owner);
  }

  std::vector<std::int32_t> failed_assumptions() const {
    require_idle();
    if (last_status_ != Status::unsatisfiable) {
      throw std::invalid_argument("there are no failed assumptions: the last solve did not answer unsat");
    }
    std::vector<std::int32_t> failed;
    for (const Literal literal : solver_.failed_assumptions()) {
      const std::int32_t number = literal.dimacs();
      bool known = false;
      for (const std::int32_t earlier : failed) known = known || earlier == number;
      if (!known) failed.push_back(number);
    }
    return failed;
  }

  std::uint32_t variables() const { return solver_.variable_count(); }

  nb::dict statistics() const {
    require_idle();
    const Statistics& counted = solver_.statistics();
    nb::dict named;
    named["conflicts"] = counted.conflicts;
    named["decisions"] = counted.decisions;
    named["propagations"] = counted.propagations;
    named["restarts"] = counted.restarts;
    named["learned"] = counted.learned;
    named["learned_literals"] = counted.learned_literals;
    named["minimized_literals"] = counted.minimized_literals;
    named["deleted"] = counted.deleted;
    named["reductions"] = counted.reductions;
    named["explanations"] = counted.explanations;
    named["probes"] = counted.probes;
    named["failed_probes"] = counted.failed_probes;
    named["lookaheads"] = counted.lookaheads;
    named["counter_visits"] = solver_.counter_visits();
    named["fixed_variables"] = solver_.fixed_variables();
    named["memory_bytes"] = solver_.memory_bytes();
    named["solve_seconds"] = counted.solve_seconds;
    return named;
  }

 private:
  void require_idle() const {
    if (solving_.load()) {
      throw std::invalid_argument("the solver is solving in another thread; only interrupt() may be called meanwhile");
    }
  }

  void check(std::int64_t number, const char* where, std::size_t index) const {
    const std::int64_t variable = number < 0 ? -number : number;
    if (number == 0) {
      throw std::invalid_argument("literal 0 at index " + std::to_string(index) + " of " + where +
                                  "; literals are non-zero DIMACS numbers");
    }
    if (variable > solver_.variable_count()) {
      throw std::invalid_argument("literal " + std::to_string(number) + " at index " + std::to_string(index) + " of " +
                                  where + " is out of range: there are " + std::to_string(solver_.variable_count()) +
                                  " variables; call new_variables first");
    }
  }

  Literal read_out(std::int64_t number, const char* where) const {
    if (number == 0) return true_literal;
    const std::int64_t variable = number < 0 ? -number : number;
    if (variable < 0 || variable > solver_.variable_count()) {
      throw std::invalid_argument("output literal " + std::to_string(number) + " in " + where +
                                  " is out of range: there are " + std::to_string(solver_.variable_count()) +
                                  " variables; call new_variables first");
    }
    return Literal::from_dimacs(static_cast<std::int32_t>(number));
  }

  void read(const nb::iterable& numbers, const char* where) {
    literals_.clear();
    for (const nb::handle number : numbers) {
      const std::int64_t value = to_int64(number, "a literal");
      if (value == std::numeric_limits<std::int64_t>::min()) throw std::invalid_argument("a literal is out of range");
      check(value, where, literals_.size());
      literals_.push_back(Literal::from_dimacs(static_cast<std::int32_t>(value)));
    }
  }

  // Refused here rather than half-way through a batch: what the solver itself would refuse.
  static void check_sum(std::int64_t bound, Span<std::int32_t> weights, std::int64_t begin, std::int64_t end,
                        std::size_t index) {
    std::int64_t total = end - begin;
    if (weights.size != 0) {
      total = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t weight = weights[static_cast<std::size_t>(i)];
        total += weight < 0 ? -weight : weight;
      }
    }
    if (total > max_total_weight || bound > max_bound || bound < -max_bound) {
      throw std::invalid_argument("constraint " + std::to_string(index) +
                                  " is too large: its weights may add up to 2^28 and its bound must lie "
                                  "within +-2^62");
    }
  }

  std::unique_ptr<ProofWriter> proof_;
  Solver solver_;
  std::vector<Literal> literals_;
  std::vector<std::int32_t> weights_;
  Status last_status_ = Status::unknown;
  std::atomic<bool> solving_{false};
};

}  // namespace

}  // namespace bnnhw::solver

NB_MODULE(_solver, module) {
  using bnnhw::solver::PythonSolver;
  using bnnhw::solver::Result;

  module.doc() = "A CDCL solver with native reified linear constraints; literals are DIMACS numbers everywhere.";

  nb::class_<Result>(module, "Result", "What solve() answers.")
      .def_ro("status", &Result::status, "'sat', 'unsat' or 'unknown'.")
      .def_ro("reason", &Result::reason, "Why unknown: 'time', 'conflicts', 'memory' or 'interrupted'; else empty.")
      .def("__repr__", [](const Result& result) {
        return "Result(status='" + result.status + "', reason='" + result.reason + "')";
      });

  nb::class_<PythonSolver>(module, "Solver")
      .def(nb::init<std::uint64_t, bool>(), nb::arg("seed") = 0, nb::arg("probing") = true)
      .def_prop_ro("variables", &PythonSolver::variables)
      .def("new_variables", &PythonSolver::new_variables, nb::arg("count"))
      .def("add_clause", &PythonSolver::add_clause, nb::arg("literals"))
      .def("add_clauses", &PythonSolver::add_clauses, nb::arg("flat").noconvert())
      .def("add_at_least", &PythonSolver::add_at_least, nb::arg("out"), nb::arg("literals"), nb::arg("bound"),
           nb::arg("weights").none() = nb::none())
      .def("add_at_least_many", &PythonSolver::add_at_least_many, nb::arg("outs").noconvert(),
           nb::arg("starts").noconvert(), nb::arg("literals").noconvert(), nb::arg("weights").noconvert().none(),
           nb::arg("bounds").noconvert())
      .def("read_knf", &PythonSolver::read_knf, nb::arg("text"))
      .def("log_proof", &PythonSolver::log_proof, nb::arg("write"))
      .def("finish_proof", &PythonSolver::finish_proof)
      .def("set_bump_weight", &PythonSolver::set_bump_weight, nb::arg("variables"), nb::arg("weight"))
      .def("solve", &PythonSolver::solve, nb::arg("assumptions") = nb::make_tuple(),
           nb::arg("conflict_limit").none() = nb::none(), nb::arg("time_limit").none() = nb::none(),
           nb::arg("memory_limit").none() = nb::none())
      .def("interrupt", &PythonSolver::interrupt)
      .def("model", &PythonSolver::model)
      .def("failed_assumptions", &PythonSolver::failed_assumptions)
      .def("statistics", &PythonSolver::statistics);
}
