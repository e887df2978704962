// The Python face of the engine: networks and queries from NumPy arrays. Everything that runs for long releases the
// GIL and watches for signals.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "query.hpp"

namespace nb = nanobind;

namespace bnnhw::engine {

namespace {

template <typename T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename T>
Span<T> view(const Array<T>& array) {
  return {array.data(), array.shape(0)};
}

template <typename T>
std::vector<T> copy(const Array<T>& array) {
  return std::vector<T>(array.data(), array.data() + array.shape(0));
}

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

Matrix make_matrix(std::uint32_t rows, std::uint32_t columns, const Array<std::int64_t>& row_begin,
                   const Array<std::int32_t>& column_index, const Array<std::int8_t>& weight) {
  const Span<std::int64_t> begin = view(row_begin);
  const Span<std::int32_t> index = view(column_index);
  require(begin.size == rows + std::size_t{1} && begin[0] == 0 &&
              begin[rows] == static_cast<std::int64_t>(index.size) && weight.shape(0) == index.size,
          "row offsets, column indices and weights do not belong together");
  for (std::uint32_t row = 0; row < rows; ++row) require(begin[row] <= begin[row + 1], "row offsets must not decrease");
  for (const std::int32_t column : index) {
    require(column >= 0 && static_cast<std::uint32_t>(column) < columns, "a column index lies outside the matrix");
  }
  return Matrix(rows, columns, begin, index, view(weight));
}

// Signals are looked at ten times a second; one that raised stays raised for the caller.
class Signals {
 public:
  bool operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return false;
    next_ = now + std::chrono::milliseconds(100);
    const nb::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) raised_ = true;
    return raised_;
  }
  void rethrow() const {
    if (raised_) throw nb::python_error();
  }

 private:
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  bool raised_ = false;
};

struct Outcome {
  std::string status;
  std::string reason;
  // The counterexample, if there is one.
  std::optional<std::vector<std::int32_t>> image;
  nb::dict statistics;
  // Assumptions that cannot hold together.
  std::vector<std::int32_t> failed;
};

std::string_view name(Search outcome) {
  switch (outcome) {
    case Search::complete: return "complete";
    case Search::found: return "found";
    case Search::stopped: return "stopped";
    case Search::declined: break;
  }
  return "declined";
}

std::string_view name(solver::StopReason reason) {
  switch (reason) {
    case solver::StopReason::time: return "time";
    case solver::StopReason::conflicts: return "conflicts";
    case solver::StopReason::memory: return "memory";
    case solver::StopReason::interrupted: return "interrupted";
    case solver::StopReason::none: break;
  }
  return "";
}

// What presolve reported, as tables of integers, one step a row.
class Recorder : public PresolveSink {
 public:
  static constexpr std::size_t decision_columns = 7;
  static constexpr std::size_t score_bound_columns = 4;

  void decided(const Decision& one) override {
    const std::int64_t row[decision_columns] = {one.network,   one.layer,       one.neuron, one.bit ? 1 : 0,
                                                one.numerator, one.denominator, one.slack};
    decisions.insert(decisions.end(), std::begin(row), std::end(row));
  }
  void bounded(const ScoreBound& one) override {
    const std::int64_t row[score_bound_columns] = {one.network, one.winner, one.loser, one.most};
    score_bounds.insert(score_bounds.end(), std::begin(row), std::end(row));
  }

  std::vector<std::int64_t> decisions;
  std::vector<std::int64_t> score_bounds;
};

using Rows = nb::ndarray<nb::numpy, std::int64_t, nb::ndim<2>>;

Rows rows_of(const std::vector<std::int64_t>& values, std::size_t columns) {
  auto* const copied = new std::vector<std::int64_t>(values);
  const nb::capsule owner(copied, [](void* data) noexcept { delete static_cast<std::vector<std::int64_t>*>(data); });
  return Rows(copied->data(), {values.size() / columns, columns}, owner);
}

class PythonNetwork {
 public:
  PythonNetwork(std::uint32_t pixels, std::uint32_t levels, const Array<std::int32_t>& thresholds,
                std::uint32_t shift, const Array<std::int64_t>& bias)
      : network_(std::make_shared<Network>()) {
    require(levels > 0 && (thresholds.shape(0) == levels ||
                           thresholds.shape(0) == static_cast<std::size_t>(pixels) * levels),
            "a quantizer needs its thresholds once, or once per pixel");
    require(shift < 32, "a shift must be below 32");
    network_->pixels = pixels;
    network_->levels = levels;
    network_->thresholds = copy(thresholds);
    network_->shift = shift;
    network_->bias = copy(bias);
  }

  void add_layer(std::uint32_t rows, const Array<std::int64_t>& row_begin, const Array<std::int32_t>& column_index,
                 const Array<std::int8_t>& weight, const Array<std::int32_t>& threshold) {
    require(network_->output.rows() == 0, "the output comes last");
    require(threshold.shape(0) == rows, "a layer needs one threshold per row");
    Layer layer{make_matrix(rows, width(), row_begin, column_index, weight), copy(threshold)};
    network_->hidden.push_back(std::move(layer));
  }

  void set_output(std::uint32_t rows, const Array<std::int64_t>& row_begin, const Array<std::int32_t>& column_index,
                  const Array<std::int8_t>& weight) {
    require(network_->bias.size() == rows && rows > 0, "an output needs one bias per class");
    network_->output = make_matrix(rows, width(), row_begin, column_index, weight);
  }

  const std::shared_ptr<Network>& shared() const {
    require(network_->output.rows() > 0, "the network has no output yet");
    return network_;
  }

 private:
  std::uint32_t width() const {
    return network_->hidden.empty() ? network_->pixels : network_->hidden.back().matrix.rows();
  }

  std::shared_ptr<Network> network_;
};

class PythonQuery {
 public:
  PythonQuery(const std::vector<PythonNetwork>& networks, const Array<std::int32_t>& image,
              const Array<std::int32_t>& low, const Array<std::int32_t>& high, const std::string& goal,
              std::uint32_t label, std::uint32_t target, bool ties_win, const std::optional<std::string>& norm,
              std::int64_t limit, const std::optional<Array<std::int64_t>>& weight) {
    std::vector<const Network*> plain;
    for (const PythonNetwork& network : networks) {
      kept_.push_back(network.shared());
      plain.push_back(kept_.back().get());
    }
    Region region{copy(image), copy(low), copy(high), std::nullopt};
    if (norm) {
      Budget budget{parse_norm(*norm), limit, {}};
      require(limit >= 0, "a budget must not be negative");
      if (weight) budget.weight = copy(*weight);
      require(budget.weight.empty() || budget.weight.size() == region.image.size(), "a budget needs a weight per pixel");
      for (const std::int64_t one : budget.weight) require(one >= 0, "a budget's weights must not be negative");
      region.budget = std::move(budget);
    }
    query_ = std::make_unique<Query>(std::move(plain), std::move(region), Goal{parse_goal(goal), label, target, ties_win});
  }

  std::vector<std::uint32_t> predicted() const { return query_->predicted(); }
  bool clean_reaches() const { return query_->clean_reaches(); }

  // Throws away what is bounded and encoded: both come again, for the proof.
  void log_proof(nb::callable write) {
    solver_.reset();
    proof_ = std::make_unique<solver::ProofWriter>([write = std::move(write)](const char* data, std::size_t size) {
      const nb::gil_scoped_acquire acquire;
      write(nb::bytes(data, size));
    });
    query_->set_proof(proof_.get());
  }
  void finish_proof() {
    require(proof_ != nullptr, "log_proof() comes before finish_proof()");
    proof_->finish();
  }

  bool bound(bool record) {
    const nb::gil_scoped_release release;
    recorder_ = Recorder();
    return query_->bound(record ? &recorder_ : nullptr);
  }

  Rows decisions() const { return rows_of(recorder_.decisions, Recorder::decision_columns); }
  Rows score_bounds() const { return rows_of(recorder_.score_bounds, Recorder::score_bound_columns); }

  std::size_t free_steps() const { return query_->steps().steps.size(); }

  std::vector<std::vector<std::size_t>> undecided() const {
    std::vector<std::vector<std::size_t>> counts;
    for (const Bounds& bounds : query_->bounds()) {
      counts.emplace_back();
      for (const auto& layer : bounds.undecided()) counts.back().push_back(layer.size());
    }
    return counts;
  }

  std::vector<std::vector<std::vector<std::uint32_t>>> undecided_bits() const {
    std::vector<std::vector<std::vector<std::uint32_t>>> bits;
    for (const Bounds& bounds : query_->bounds()) bits.push_back(bounds.undecided());
    return bits;
  }

  Outcome enumerate(double most_subsets, std::optional<double> seconds) {
    Signals signals;
    Stop stop(seconds, [&signals]() { return signals(); });
    Enumeration made;
    {
      const nb::gil_scoped_release release;
      made = query_->enumerate(most_subsets, stop);
    }
    signals.rethrow();
    Outcome outcome{std::string(name(made.outcome)), "", std::nullopt, nb::dict(), {}};
    if (made.outcome == Search::found) outcome.image = query_->image_of(made.taken);
    outcome.statistics["subsets"] = made.subsets;
    outcome.statistics["patterns"] = made.patterns;
    return outcome;
  }

  Outcome attack(std::uint64_t seed, std::uint64_t most_evaluations, std::optional<double> seconds) {
    Signals signals;
    Stop stop(seconds, [&signals]() { return signals(); });
    Attack made;
    {
      const nb::gil_scoped_release release;
      made = query_->attack(seed, most_evaluations, stop);
    }
    signals.rethrow();
    Outcome outcome{std::string(name(made.outcome)), "", std::nullopt, nb::dict(), {}};
    if (made.outcome == Search::found) outcome.image = query_->image_of(made.taken);
    outcome.statistics["evaluations"] = made.evaluations;
    return outcome;
  }

  // Throws away what the last call encoded.
  void encode(std::uint64_t seed) {
    const nb::gil_scoped_release release;
    solver_ = std::make_unique<solver::Solver>(seed);
    query_->encode(*solver_);
  }

  // May be called again to go on.
  Outcome solve(std::optional<std::uint64_t> conflict_limit, std::optional<double> time_limit,
                std::optional<std::uint64_t> memory_limit, const std::vector<std::int32_t>& assumptions) {
    require(solver_ != nullptr, "encode() comes before solve()");
    std::vector<solver::Literal> assumed;
    for (const std::int32_t literal : assumptions) {
      const auto variable = static_cast<std::uint32_t>(literal < 0 ? -std::int64_t{literal} : literal);
      require(variable != 0 && variable <= solver_->variable_count(), "an assumption is not about a variable");
      assumed.push_back(solver::Literal::of(variable, literal < 0));
    }
    Signals signals;
    solver::Limits limits;
    limits.conflicts = conflict_limit;
    limits.seconds = time_limit;
    limits.memory_bytes = memory_limit;
    limits.interrupted = [&signals]() { return signals(); };
    solver::Outcome answer;
    {
      const nb::gil_scoped_release release;
      answer = solver_->solve(assumed, limits);
    }
    signals.rethrow();
    Outcome outcome;
    outcome.reason = std::string(name(answer.reason));
    outcome.status = answer.status == solver::Status::satisfiable     ? "sat"
                     : answer.status == solver::Status::unsatisfiable ? "unsat"
                                                                      : "unknown";
    if (answer.status == solver::Status::satisfiable) {
      outcome.image = query_->image_of(steps_taken(query_->steps(), solver_->model()));
    }
    if (answer.status == solver::Status::unsatisfiable) {
      for (const solver::Literal literal : solver_->failed_assumptions()) outcome.failed.push_back(literal.dimacs());
    }
    const solver::Statistics& counted = solver_->statistics();
    outcome.statistics["variables"] = solver_->variable_count();
    outcome.statistics["conflicts"] = counted.conflicts;
    outcome.statistics["decisions"] = counted.decisions;
    outcome.statistics["propagations"] = counted.propagations;
    outcome.statistics["restarts"] = counted.restarts;
    outcome.statistics["memory_bytes"] = solver_->memory_bytes();
    return outcome;
  }

  std::vector<solver::Variable> busiest(std::size_t count) const {
    return solver_ ? solver_->most_active(count) : std::vector<solver::Variable>();
  }

 private:
  static Norm parse_norm(const std::string& norm) {
    if (norm == "l0") return Norm::l0;
    if (norm == "l1") return Norm::l1;
    require(norm == "l2_squared", "a budget's norm must be l0, l1 or l2_squared");
    return Norm::l2_squared;
  }

  static Goal::Kind parse_goal(const std::string& goal) {
    if (goal == "misclassified") return Goal::Kind::misclassified;
    if (goal == "targeted") return Goal::Kind::targeted;
    if (goal == "unanimous") return Goal::Kind::unanimous;
    require(goal == "differ", "a goal must be misclassified, targeted, unanimous or differ");
    return Goal::Kind::differ;
  }

  std::vector<std::shared_ptr<Network>> kept_;
  std::unique_ptr<Query> query_;
  Recorder recorder_;
  std::unique_ptr<solver::ProofWriter> proof_;
  std::unique_ptr<solver::Solver> solver_;
};

}  // namespace

}  // namespace bnnhw::engine

NB_MODULE(_engine, module) {
  using namespace bnnhw::engine;

  module.doc() = "Exact questions about integer networks: bounds, attack, enumeration, encoding and solving in C++.";

  nb::class_<Outcome>(module, "Outcome")
      .def_ro("status", &Outcome::status)
      .def_ro("reason", &Outcome::reason)
      .def_ro("image", &Outcome::image)
      .def_ro("statistics", &Outcome::statistics)
      .def_ro("failed", &Outcome::failed);

  nb::class_<PythonNetwork>(module, "Network")
      .def(nb::init<std::uint32_t, std::uint32_t, const Array<std::int32_t>&, std::uint32_t,
                    const Array<std::int64_t>&>(),
           nb::arg("pixels"), nb::arg("levels"), nb::arg("thresholds"), nb::arg("shift"), nb::arg("bias"))
      .def("add_layer", &PythonNetwork::add_layer, nb::arg("rows"), nb::arg("row_begin"), nb::arg("column_index"),
           nb::arg("weight"), nb::arg("threshold"))
      .def("set_output", &PythonNetwork::set_output, nb::arg("rows"), nb::arg("row_begin"), nb::arg("column_index"),
           nb::arg("weight"));

  nb::class_<PythonQuery>(module, "Query")
      .def(nb::init<const std::vector<PythonNetwork>&, const Array<std::int32_t>&, const Array<std::int32_t>&,
                    const Array<std::int32_t>&, const std::string&, std::uint32_t, std::uint32_t, bool,
                    const std::optional<std::string>&, std::int64_t, const std::optional<Array<std::int64_t>>&>(),
           nb::arg("networks"), nb::arg("image"), nb::arg("low"), nb::arg("high"), nb::arg("goal"), nb::arg("label"),
           nb::arg("target") = 0, nb::arg("ties_win") = false, nb::arg("norm").none() = nb::none(),
           nb::arg("limit") = 0, nb::arg("weight").none() = nb::none())
      .def_prop_ro("predicted", &PythonQuery::predicted)
      .def_prop_ro("clean_reaches", &PythonQuery::clean_reaches)
      .def_prop_ro("free_steps", &PythonQuery::free_steps)
      .def_prop_ro("undecided", &PythonQuery::undecided)
      .def_prop_ro("undecided_bits", &PythonQuery::undecided_bits)
      .def("log_proof", &PythonQuery::log_proof, nb::arg("write"))
      .def("finish_proof", &PythonQuery::finish_proof)
      .def("bound", &PythonQuery::bound, nb::arg("record") = false)
      .def_prop_ro("decisions", &PythonQuery::decisions, nb::rv_policy::automatic)
      .def_prop_ro("score_bounds", &PythonQuery::score_bounds, nb::rv_policy::automatic)
      .def("enumerate", &PythonQuery::enumerate, nb::arg("most_subsets"), nb::arg("seconds").none() = nb::none())
      .def("attack", &PythonQuery::attack, nb::arg("seed"), nb::arg("most_evaluations"),
           nb::arg("seconds").none() = nb::none())
      .def("encode", &PythonQuery::encode, nb::arg("seed") = 0)
      .def("solve", &PythonQuery::solve, nb::arg("conflict_limit").none() = nb::none(),
           nb::arg("time_limit").none() = nb::none(), nb::arg("memory_limit").none() = nb::none(),
           nb::arg("assumptions") = std::vector<std::int32_t>())
      .def("busiest", &PythonQuery::busiest, nb::arg("count"));
}
