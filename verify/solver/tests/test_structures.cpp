// The solver's parts on their own: literals, the scans over them, the clause arena, the decision heap, the normal form
// of linear sums and the counters of the linear store.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "clause_arena.hpp"
#include "decision_heap.hpp"
#include "equivalent_literals.hpp"
#include "linear_normal_form.hpp"
#include "linear_store.hpp"
#include "literal.hpp"
#include "literal_scan.hpp"
#include "random.hpp"
#include "restart.hpp"
#include "solver.hpp"
#include "trail.hpp"

using namespace bnnhw::solver;

namespace {

void literals_keep_their_number_and_sign() {
  for (const std::int32_t number : {1, -1, 7, -7, 1 << 20, -(1 << 20)}) {
    const Literal literal = Literal::from_dimacs(number);
    CHECK(literal.dimacs() == number);
    CHECK((~literal).dimacs() == -number);
    CHECK(literal.negative() == (number < 0));
    CHECK(Reason::binary(literal).other() == literal);
  }
  CHECK(Reason().kind() == Reason::Kind::none);
  CHECK(Reason::linear(12345).index() == 12345);
  CHECK(Reason::clause(54321).kind() == Reason::Kind::clause);
}

void every_literal_scan_gives_the_portable_answer() {
  const LiteralScan& portable = portable_literal_scan();
  const LiteralScan& best = best_literal_scan();
  Random random(8);
  constexpr std::uint32_t variables = 50;
  for (int round = 0; round < 20'000; ++round) {
    Trail trail;
    for (std::uint32_t variable = 0; variable < variables; ++variable) trail.add_variables(1);
    const auto falsified_share = random.below(5);
    for (Variable variable = 0; variable < variables; ++variable) {
      if (random.below(4) < falsified_share) trail.push(Literal::of(variable, random.coin()), Reason());
    }
    std::vector<Literal> literals;
    const auto size = static_cast<std::uint32_t>(random.below(40));
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto variable = i % 7 == 0 ? variables - 1 : static_cast<Variable>(random.below(variables));
      literals.push_back(Literal::of(variable, random.below(8) < 3));
    }
    std::vector<std::uint32_t> codes;
    for (const Literal literal : literals) codes.push_back(literal.code);
    const auto begin = static_cast<std::uint32_t>(random.below(size + 1));
    CHECK(portable.first_not_false(codes.data(), begin, size, trail.values()) ==
          best.first_not_false(codes.data(), begin, size, trail.values()));

    const auto flip = static_cast<std::uint32_t>(random.below(2));
    const auto first = static_cast<std::uint32_t>(random.below(trail.size() + 1));
    const auto before = static_cast<std::uint32_t>(random.below(trail.size() + 2));
    std::vector<Literal> usable;
    for (const Literal literal : literals) {
      const Literal read{literal.code ^ flip};
      if (trail.falsified_at()[read.code] < before) usable.push_back(read);
    }
    const auto count = random.below(usable.size() + 1);
    usable.resize(count);
    std::vector<Literal> expected;
    for (const Literal literal : usable) {
      if (trail.falsified_at()[literal.code] >= first) expected.push_back(literal);
    }
    for (const LiteralScan* scan : {&portable, &best}) {
      std::vector<Literal> found(size + LiteralScan::room);
      Literal* const end = scan->falsified(literals.data(), size, flip, trail.falsified_at(), first, before,
                                           static_cast<std::int32_t>(count), found.data());
      found.resize(static_cast<std::size_t>(end - found.data()));
      CHECK(found == expected);
    }
  }
}

void tightness_sums_what_each_side_has_left() {
  LinearStore store;
  Trail trail;
  LinearNormalizer normalizer;
  EquivalentLiterals equal;
  for (int i = 0; i < 6; ++i) {
    store.add_variables(1);
    trail.add_variables(1);
    normalizer.add_variables(1);
    equal.add_variables(1);
  }
  // out 1 <-> at least two of 2, 3, 4: either side loses two units before its premise is impossible.
  LinearSum sum;
  for (const std::int32_t number : {2, 3, 4}) {
    sum.literals.push_back(Literal::from_dimacs(number));
    sum.weights.push_back(1);
  }
  sum.bound = 2;
  sum.total = 3;
  store.add(0, Literal::from_dimacs(1), sum);
  store.compile(trail, normalizer, equal);
  const auto tightness = [&store](std::int32_t number) { return store.tightness(Literal::from_dimacs(number)); };
  CHECK(tightness(2) > 0 && tightness(2) == tightness(-2) && tightness(2) == tightness(-3));
  CHECK(tightness(1) == 8 * tightness(2) && tightness(-1) == tightness(1) && tightness(5) == 0);
  const std::uint64_t before = tightness(-2);
  store.count(Literal::from_dimacs(-3));
  CHECK(tightness(-2) == 2 * before && tightness(2) == before);
  store.count(Literal::from_dimacs(-1));
  CHECK(tightness(-2) == 0 && tightness(2) > before);
}

// Neurons that are one input or its negation vanish from the next layer's sums, and so does what they cancel.
void equal_literals_become_one_and_cancel() {
  Solver solver;
  solver.new_variables(9);
  const auto literal = [](std::int32_t number) { return Literal::from_dimacs(number); };
  const auto add = [&](std::int32_t out, std::vector<std::int32_t> numbers, std::int64_t bound) {
    std::vector<Literal> literals;
    for (const std::int32_t number : numbers) literals.push_back(literal(number));
    solver.add_at_least(literal(out), literals, {}, bound);
  };
  add(3, {1}, 1);
  add(4, {-1}, 1);
  add(5, {1, 2}, 2);
  add(6, {-1, -2}, 1);
  // 3 + 4 is always 1, and 5 + 6 as well, so 7 is 2 and 8 is true.
  add(7, {3, 4, 2}, 2);
  add(8, {5, 6, 9}, 1);
  const std::vector<Literal> contradictory{literal(7), literal(-2)};
  CHECK(solver.solve(contradictory, Limits{}).status == Status::unsatisfiable);
  CHECK(solver.failed_assumptions().size() == 2);
  const std::vector<Literal> eight{literal(-8)};
  CHECK(solver.solve(eight, Limits{}).status == Status::unsatisfiable);
  CHECK(solver.statistics().conflicts == 0);
  CHECK(solver.solve({}, Limits{}).status == Status::satisfiable);
  const auto value = [&solver](std::int32_t number) { return solver.model()[static_cast<std::size_t>(number)]; };
  CHECK(value(3) == value(1) && value(4) != value(1) && value(6) != value(5) && value(7) == value(2));
  CHECK(value(8) == 1);
}

// Small conjunctions and disjunctions turn into clauses, and still say all they said.
void gates_become_clauses() {
  for (const bool conjunction : {false, true}) {
    Solver solver;
    solver.new_variables(4);
    const std::vector<Literal> inputs{Literal::from_dimacs(1), Literal::from_dimacs(-2), Literal::from_dimacs(3)};
    const std::vector<std::int32_t> weights{3, 2, 2};
    solver.add_at_least(Literal::from_dimacs(4), inputs, weights, conjunction ? 6 : 1);
    for (std::uint32_t pattern = 0; pattern < 16; ++pattern) {
      std::vector<Literal> assumptions;
      std::uint32_t met = 0;
      for (std::uint32_t i = 0; i < 3; ++i) {
        const bool holds = (pattern >> i & 1u) != 0;
        met += holds ? 1 : 0;
        assumptions.push_back(holds ? inputs[i] : ~inputs[i]);
      }
      const bool out = (pattern >> 3) != 0;
      assumptions.push_back(Literal::from_dimacs(out ? 4 : -4));
      const bool expected = conjunction ? met == 3 : met > 0;
      const Status status = solver.solve(assumptions, Limits{}).status;
      CHECK(status == (out == expected ? Status::satisfiable : Status::unsatisfiable));
    }
    CHECK(solver.counter_visits() == 0);
  }
}

void equivalence_classes_carry_signs() {
  EquivalentLiterals equal;
  for (int i = 0; i < 6; ++i) equal.add_variables(1);
  const auto literal = [](std::int32_t number) { return Literal::from_dimacs(number); };
  equal.merge(literal(5), literal(-4));
  equal.merge(literal(3), literal(-2));
  equal.merge(literal(-5), literal(3));
  CHECK(equal.representative(literal(5)) == literal(2) && equal.representative(literal(4)) == literal(-2));
  CHECK(equal.representative(literal(-3)) == literal(2) && equal.representative(literal(1)) == literal(1));
  equal.merge(literal(2), literal(5));
  equal.merge(literal(2), literal(-5));
  CHECK(equal.representative(literal(2)) == literal(2) && equal.representative(literal(5)) == literal(2));
}

void arena_keeps_clauses_and_marks_when_copied() {
  ClauseArena arena;
  std::vector<Literal> clause{Literal{2}, Literal{5}, Literal{8}, Literal{11}};
  const ClauseReference first = arena.add(clause, true, 7);
  clause.pop_back();
  const ClauseReference second = arena.add(clause, false, 0);
  CHECK(arena.next(first) == second && arena.next(second) == arena.words());
  arena.set_used(first, 2);
  arena.set_lbd(first, 3);
  CHECK(arena.used(first) == 2 && arena.lbd(first) == 3 && arena.learned(first) && !arena.learned(second));
  ClauseArena compact;
  const ClauseReference moved = arena.copy_to(compact, first);
  CHECK(compact.size(moved) == 4 && compact.used(moved) == 2 && compact.lbd(moved) == 3 && compact.learned(moved));
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(compact.literal(moved, i) == arena.literal(first, i));
}

void heap_pops_by_activity_and_breaks_ties_by_number() {
  Random random(3);
  for (int round = 0; round < 20; ++round) {
    DecisionHeap heap;
    const Variable count = 60;
    for (Variable variable = 0; variable < count; ++variable) {
      heap.add_variables(1);
      heap.insert(variable);
    }
    heap.set_weight(5, 3.0);
    for (int bump = 0; bump < 6000; ++bump) {
      heap.bump(static_cast<Variable>(random.next() % count));
      if (bump % 3 == 0) heap.decay();
      if (bump % 7 == 0) heap.insert(heap.pop());
    }
    Variable last = heap.pop();
    for (Variable popped = 1; popped < count; ++popped) {
      const Variable next = heap.pop();
      CHECK(heap.activity(last) > heap.activity(next) || (heap.activity(last) == heap.activity(next) && last < next));
      last = next;
    }
    CHECK(heap.empty());
  }
}

void moving_average_starts_unbiased() {
  MovingAverage average(0.01);
  average.update(5.0);
  CHECK(average.value() > 4.999 && average.value() < 5.001);
}

void luby_sequence_starts_as_published() {
  const std::vector<std::uint64_t> published{1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8};
  for (std::size_t i = 0; i < published.size(); ++i) CHECK(RestartPolicy::luby(i + 1) == published[i]);
}

std::int64_t evaluate(const std::vector<Literal>& literals, const std::vector<std::int32_t>& weights,
                      std::uint32_t assignment) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < literals.size(); ++i) {
    const bool value = ((assignment >> literals[i].variable() & 1u) != 0) != literals[i].negative();
    if (value) sum += weights.empty() ? 1 : weights[i];
  }
  return sum;
}

void normal_form_means_the_same() {
  Random random(11);
  const Variable count = 6;
  for (int round = 0; round < 4000; ++round) {
    Trail trail;
    LinearNormalizer normalizer;
    for (Variable variable = 0; variable < count; ++variable) {
      trail.add_variables(1);
      normalizer.add_variables(1);
    }
    std::uint32_t fixed_mask = 0;
    std::uint32_t fixed_values = 0;
    for (Variable variable = 0; variable < count; ++variable) {
      if (random.next() % 4 != 0) continue;
      const bool negative = random.coin();
      trail.push(Literal::of(variable, negative), Reason());
      fixed_mask |= 1u << variable;
      if (!negative) fixed_values |= 1u << variable;
    }
    std::vector<Literal> literals;
    std::vector<std::int32_t> weights;
    const bool weighted = random.coin();
    const auto size = static_cast<std::size_t>(random.next() % 9);
    for (std::size_t i = 0; i < size; ++i) {
      literals.push_back(Literal::of(static_cast<Variable>(random.next() % count), random.coin()));
      if (weighted) weights.push_back(static_cast<std::int32_t>(random.next() % 13) - 6);
    }
    const std::int64_t bound = static_cast<std::int64_t>(random.next() % 25) - 12;
    const LinearSum& sum = normalizer.normalize(literals, weights, bound, trail);
    const bool open = !sum.always() && !sum.never();
    for (std::size_t i = 1; open && i < sum.weights.size(); ++i) CHECK(sum.weights[i - 1] >= sum.weights[i]);
    for (const Literal literal : sum.literals) CHECK(!trail.assigned(literal));
    for (std::uint32_t assignment = 0; assignment < 1u << count; ++assignment) {
      if ((assignment & fixed_mask) != fixed_values) continue;
      const bool wanted = evaluate(literals, weights, assignment) >= bound;
      const bool got = sum.always() || (!sum.never() && evaluate(sum.literals, sum.weights, assignment) >= sum.bound);
      CHECK(wanted == got);
    }
  }
}

void normal_form_refuses_what_would_overflow() {
  Trail trail;
  LinearNormalizer normalizer;
  for (int i = 0; i < 3; ++i) {
    trail.add_variables(1);
    normalizer.add_variables(1);
  }
  const std::vector<Literal> literals{Literal::positive(1), Literal::positive(2)};
  const std::vector<std::int32_t> heavy{1 << 28, 1 << 28};
  int refused = 0;
  try {
    normalizer.normalize(literals, heavy, 5, trail);
  } catch (const std::invalid_argument&) {
    ++refused;
  }
  try {
    normalizer.normalize(literals, {}, (std::int64_t{1} << 62) + 1, trail);
  } catch (const std::invalid_argument&) {
    ++refused;
  }
  CHECK(refused == 2);
  const LinearSum& sum = normalizer.normalize(literals, {}, 2, trail);
  CHECK(sum.literals.size() == 2 && sum.bound == 2 && sum.total == 2);
}

// Counting and uncounting in stack order returns every slack exactly; slacks equal their definition in between.
void counters_equal_their_definition() {
  Random random(5);
  const Variable count = 12;
  for (int round = 0; round < 300; ++round) {
    Trail trail;
    LinearNormalizer normalizer;
    EquivalentLiterals equal;
    LinearStore store;
    for (Variable variable = 0; variable < count; ++variable) {
      equal.add_variables(1);
      trail.add_variables(1);
      normalizer.add_variables(1);
      store.add_variables(1);
    }
    for (std::uint32_t constraint = 0; constraint < 8; ++constraint) {
      std::vector<Literal> literals;
      std::vector<std::int32_t> weights;
      for (int i = 0; i < 7; ++i) {
        literals.push_back(Literal::of(static_cast<Variable>(random.next() % count), random.coin()));
        weights.push_back(static_cast<std::int32_t>(random.next() % 4));
      }
      const auto bound = static_cast<std::int64_t>(random.next() % 9);
      const LinearSum& sum = normalizer.normalize(literals, weights, bound, trail);
      const Literal out = Literal::of(static_cast<Variable>(random.next() % count), random.coin());
      if (!sum.always() && !sum.never()) store.add(constraint, out, sum);
    }
    store.compile(trail, normalizer, equal);
    const auto check_slacks = [&store, &trail]() {
      for (LinearSide side = 0; side < store.side_count(); ++side) {
        const LinearStore::Constraint& constraint = store.constraint(side);
        std::int32_t slack = store.fatal_loss(side) - 1;
        for (std::uint32_t i = 0; i < constraint.size; ++i) {
          if (trail.value(store.literal(constraint, side, i)) < 0) slack -= store.weight(constraint, i);
        }
        if (trail.value(store.premise(side)) < 0) slack = LinearStore::no_limit;
        CHECK(store.slack(side) == slack);
      }
    };
    check_slacks();
    for (int step = 0; step < 60; ++step) {
      const Literal literal = Literal::of(static_cast<Variable>(random.next() % count), random.coin());
      if (!trail.assigned(literal) && random.next() % 3 != 0) {
        trail.push(literal, Reason());
        store.count(literal);
      } else if (trail.size() > 0) {
        store.uncount(trail.pop());
      }
      check_slacks();
    }
  }
}

}  // namespace

int main() {
  literals_keep_their_number_and_sign();
  every_literal_scan_gives_the_portable_answer();
  tightness_sums_what_each_side_has_left();
  equal_literals_become_one_and_cancel();
  gates_become_clauses();
  equivalence_classes_carry_signs();
  arena_keeps_clauses_and_marks_when_copied();
  heap_pops_by_activity_and_breaks_ties_by_number();
  moving_average_starts_unbiased();
  luby_sequence_starts_as_published();
  normal_form_means_the_same();
  normal_form_refuses_what_would_overflow();
  counters_equal_their_definition();
  return 0;
}
