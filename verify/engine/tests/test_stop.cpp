// A stage that is told to stop says so, at once or after any number of polls, claims nothing, and leaves the query as
// it was: the same stage then gives the answer it would have given.
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "plain_network.hpp"
#include "query.hpp"

using namespace bnnhw::engine;
using namespace bnnhw::engine::tests;
using bnnhw::solver::Limits;
using bnnhw::solver::Solver;
using bnnhw::solver::Status;
using bnnhw::solver::StopReason;

namespace {

// Class 1 needs more neighbouring pairs of set pixels than the budget buys: every stage has to look everywhere.
PlainNetwork pairs(std::uint32_t pixels, std::int64_t needed) {
  PlainNetwork plain;
  plain.shape = Shape{1, 1, pixels};
  plain.quantizer = {{1}};
  PlainLayer layer;
  layer.kernel[1] = 2;
  layer.weights = {1, 1};
  layer.thresholds = {2};
  layer.flipped = {0};
  plain.hidden.push_back(layer);
  plain.output = {std::vector<std::int8_t>(pixels - 1), std::vector<std::int8_t>(pixels - 1, 1)};
  plain.bias = {needed - 1, 0};
  return plain;
}

Region few_changes(std::uint32_t pixels, std::int64_t limit) {
  return Region{Image(pixels, 0), Image(pixels, 0), Image(pixels, 1), Budget{Norm::l0, limit, {}}};
}

const Goal change{Goal::Kind::misclassified, 0, 0, false};

void stages_stop_when_told() {
  const PlainNetwork plain = pairs(40, 5);
  const Network network = translate(plain);
  Query query({&network}, few_changes(40, 5), change);
  CHECK(!query.bound());
  Stop never(std::nullopt, nullptr);
  const Enumeration complete = query.enumerate(1e9, never);
  CHECK(complete.outcome == Search::complete && complete.subsets > 10000);
  for (const int polls : {0, 1, 2, 5}) {
    int asked = 0;
    const auto after = [&asked, polls]() { return asked++ >= polls; };
    Stop enumeration(std::nullopt, after);
    const Enumeration stopped = query.enumerate(1e9, enumeration);
    CHECK(stopped.outcome == Search::stopped && stopped.taken.empty() && stopped.subsets < complete.subsets);
    asked = 0;
    Stop attack(std::nullopt, after);
    const Attack tried = query.attack(3, 1u << 20, attack);
    CHECK(tried.outcome == Search::stopped && tried.taken.empty() && tried.evaluations < 1u << 10);
    // Once raised, a flag stays raised.
    CHECK(enumeration.now() && attack.now());
  }
  Stop late(0.0, nullptr);
  CHECK(query.enumerate(1e9, late).outcome == Search::stopped);
  CHECK(query.attack(3, 1u << 20, late).outcome == Search::stopped);
  const Enumeration again = query.enumerate(1e9, never);
  CHECK(again.outcome == Search::complete && again.subsets == complete.subsets && again.patterns == complete.patterns);
  CHECK(query.attack(3, 1000, never).outcome == Search::complete);
}

void searches_find_after_being_stopped() {
  const PlainNetwork plain = pairs(12, 3);
  const Network network = translate(plain);
  Query query({&network}, few_changes(12, 4), change);
  CHECK(!query.bound());
  Stop raised(std::nullopt, []() { return true; });
  CHECK(query.attack(3, 1000, raised).outcome == Search::stopped);
  Stop never(std::nullopt, nullptr);
  for (const std::vector<std::uint8_t>& taken : {query.enumerate(1e9, never).taken, query.attack(3, 20000, never).taken}) {
    CHECK(!taken.empty() && infer(plain, query.image_of(taken)).predicted == 1);
  }
}

void solver_goes_on_where_it_stopped() {
  const PlainNetwork plain = pairs(24, 7);
  const Network network = translate(plain);
  Query query({&network}, few_changes(24, 7), change);
  CHECK(!query.bound());
  Solver solver;
  query.encode(solver);
  Limits limits;
  limits.interrupted = []() { return true; };
  const bnnhw::solver::Outcome first = solver.solve({}, limits);
  CHECK(first.status == Status::unknown && first.reason == StopReason::interrupted);
  solver.interrupt();
  CHECK(solver.solve({}, Limits{}).reason == StopReason::interrupted);
  limits = Limits{};
  limits.conflicts = 5;
  const bnnhw::solver::Outcome second = solver.solve({}, limits);
  CHECK(second.status == Status::unknown && second.reason == StopReason::conflicts);
  limits = Limits{};
  limits.seconds = 0.0;
  CHECK(solver.solve({}, limits).reason == StopReason::time);
  CHECK(solver.solve({}, Limits{}).status == Status::unsatisfiable);
}

}  // namespace

int main() {
  stages_stop_when_told();
  searches_find_after_being_stopped();
  solver_goes_on_where_it_stopped();
  return 0;
}
