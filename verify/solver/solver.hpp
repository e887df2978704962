// A conflict-driven clause learning solver (Marques-Silva and Sakallah, "GRASP", IEEE Trans. Computers 1999) over
// clauses and reified linear constraints, in the incremental style of MiniSat with assumptions. Encoding a neuron as
// clauses costs 50 to 1000 times more per conflict than counting, so neurons stay constraints; lemmas are clauses.
//
// One file per technique: clause_propagation.cpp, linear_propagation.cpp (with explanations), conflict_analysis.cpp,
// linear_rewriting.cpp, branching.cpp, clause_reduction.cpp, probing.cpp, and search.cpp with the loop that calls them;
// solver.cpp takes the formula in.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "clause_database.hpp"
#include "decision_heap.hpp"
#include "equivalent_literals.hpp"
#include "limits.hpp"
#include "linear_normal_form.hpp"
#include "linear_store.hpp"
#include "literal.hpp"
#include "literal_scan.hpp"
#include "literal_stack.hpp"
#include "proof_sink.hpp"
#include "random.hpp"
#include "restart.hpp"
#include "trail.hpp"

namespace bnnhw::solver {

struct Statistics {
  std::uint64_t conflicts = 0;
  std::uint64_t decisions = 0;
  std::uint64_t propagations = 0;
  std::uint64_t restarts = 0;
  std::uint64_t learned = 0;
  std::uint64_t learned_literals = 0;
  std::uint64_t minimized_literals = 0;
  std::uint64_t deleted = 0;
  std::uint64_t reductions = 0;
  std::uint64_t explanations = 0;
  std::uint64_t probes = 0;
  std::uint64_t failed_probes = 0;
  std::uint64_t lookaheads = 0;
  double solve_seconds = 0.0;
};

class Solver {
 public:
  explicit Solver(std::uint64_t seed = 0, bool probing = true);

  // The number of the first of `count` new variables. Throws std::length_error beyond 2^28 variables.
  Variable new_variables(std::uint32_t count);
  Variable variable_count() const { return static_cast<Variable>(trail_.variable_count() - 1); }

  // All literals are over existing variables; the binding checks what callers hand in.
  void add_clause(Span<Literal> literals);
  // out <-> sum of weights[i] * [literals[i]] >= bound; no weights stands for all ones, true_literal for "always".
  void add_at_least(Literal out, Span<Literal> literals, Span<std::int32_t> weights, std::int64_t bound);
  void set_bump_weight(Variable variable, double weight) { heap_.set_weight(variable, weight); }

  // Null switches reporting off. To be set before the first clause; the sink must outlive the solver.
  void set_proof_sink(ProofSink* sink) { proof_ = sink; }

  Outcome solve(Span<Literal> assumptions, const Limits& limits);
  // From any thread: stops the solve that is running or, if none is, the next one.
  void interrupt() { interrupt_requested_.store(true, std::memory_order_relaxed); }

  // After a satisfiable answer: the value of every variable, index 0 unused.
  const std::vector<std::int8_t>& model() const { return model_; }
  // After an unsatisfiable answer: the assumptions that cannot hold together; none if the formula has no model at all.
  const std::vector<Literal>& failed_assumptions() const { return failed_; }

  // At most `count` of the open variables that took part in conflicts, the most active first.
  std::vector<Variable> most_active(std::size_t count) const;

  const Statistics& statistics() const { return statistics_; }
  std::uint64_t counter_visits() const { return linear_.visits(); }
  std::uint32_t fixed_variables() const { return trail_.size_up_to(0) - 1; }
  std::size_t memory_bytes() const;

 private:
  struct Conflict {
    bool found = false;
    // For binary clauses, the literal that the reason's other literal was to imply.
    Reason reason;
    Literal binary_literal;
  };

  // clause_propagation.cpp
  Conflict propagate();
  Conflict propagate_clauses(Literal literal);
  void enqueue(Literal literal, Reason reason) { trail_.push(literal, reason); }

  // linear_propagation.cpp
  Conflict propagate_linear(Literal literal);
  Conflict act(LinearSide side);
  void explain(LinearSide side, Literal forced, LiteralStack& explanation);

  // linear_rewriting.cpp
  bool compile_linear();
  bool take(const RewritingStep& step);
  bool add_gate(const RewritingStep& step);

  // conflict_analysis.cpp
  void analyze(const Conflict& conflict);
  void meet(Literal literal);
  void visit_conflict(const Conflict& conflict);
  void visit_reason(Literal literal);
  void use_clause(ClauseReference clause);
  void minimize_lemma();
  bool redundant(Literal literal, std::uint32_t depth);
  bool all_redundant(const std::uint32_t* codes, std::uint32_t count, Literal implied, std::uint32_t depth);
  std::uint32_t count_levels(const std::uint32_t* codes, std::uint32_t count);
  void refute_assumption(Literal assumption);

  // clause_reduction.cpp
  void reduce_clauses();
  void collect_garbage(const std::vector<ClauseReference>& dropped);
  bool simplify_at_root();

  // probing.cpp
  bool probe(const Limits& limits, const Stopwatch& stopwatch);
  std::optional<std::uint32_t> try_out(Literal literal);

  // branching.cpp
  void decide(std::uint32_t assumption_levels);
  void find_candidates(std::size_t count);
  Literal tightest(std::size_t horizon);
  Literal look_ahead();

  // search.cpp
  Outcome search(Span<Literal> assumptions, const Limits& limits, const Stopwatch& stopwatch);
  StopReason poll(const Limits& limits, const Stopwatch& stopwatch);
  std::uint64_t work() const { return statistics_.propagations + linear_.visits() / visits_per_work; }
  bool propagate_root();
  bool contradiction();
  void backtrack(std::uint32_t level);
  void learn();
  void report_lemma(Span<Literal> clause) {
    if (proof_ != nullptr) proof_->learned(clause);
  }
  void report_root_units();
  void store_model();

  static constexpr std::uint64_t visits_per_work = 32;
  static constexpr std::uint64_t work_per_poll = 1u << 14;
  static constexpr std::uint64_t first_reduction = 500;
  static constexpr std::uint64_t reduction_step = 10;
  static constexpr std::uint64_t conflicts_between_simplifications = 2000;

  // A copy: two pointers that need no second load.
  const LiteralScan scan_ = best_literal_scan();
  Trail trail_;
  ClauseDatabase clauses_;
  LinearNormalizer normalizer_;
  LinearStore linear_;
  std::uint32_t linear_count_ = 0;
  EquivalentLiterals equal_;
  DecisionHeap heap_;
  RestartPolicy restarts_;
  Random random_;
  std::vector<Variable> candidates_;
  std::uint64_t lookahead_work_ = 0;
  Statistics statistics_;
  ProofSink* proof_ = nullptr;

  // Trail positions up to which clauses have been propagated, and linear constraints counted.
  std::uint32_t clause_head_ = 0;
  std::uint32_t linear_head_ = 0;
  bool consistent_ = true;
  bool probing_pending_;

  std::vector<ClauseReference> learned_;
  std::vector<std::int8_t> model_;
  std::vector<Literal> failed_;

  // Conflict analysis. The first literal of the lemma is the asserting one.
  enum class Mark : std::uint8_t { none, in_lemma, redundant, needed };
  std::vector<Literal> lemma_;
  std::uint32_t lemma_lbd_ = 0;
  std::vector<Mark> marks_;
  std::vector<Variable> marked_;
  std::vector<std::uint32_t> level_stamps_;
  std::uint32_t level_stamp_ = 0;
  std::uint32_t open_paths_ = 0;
  LiteralStack explanation_;
  LiteralStack explanation_stack_;
  std::vector<Literal> clause_scratch_;
  std::vector<std::uint32_t> literal_stamps_;
  std::uint32_t literal_stamp_ = 0;

  std::uint32_t reported_root_units_ = 0;
  std::uint32_t simplified_root_size_ = 0;
  std::uint32_t compiled_root_size_ = 0;
  std::uint64_t next_reduction_ = first_reduction;
  std::uint64_t next_simplification_ = 0;
  std::uint64_t next_poll_ = 0;
  double next_external_poll_ = 0.0;
  std::uint64_t conflicts_at_start_ = 0;
  std::atomic<bool> interrupt_requested_{false};
};

}  // namespace bnnhw::solver
