// Sizes at, and just beyond, what the engine takes: sums near their integers' ends, costs beyond 64 bits, the most
// neurons that an enumeration follows.
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "plain_network.hpp"
#include "query.hpp"

using namespace bnnhw::engine;
using namespace bnnhw::engine::tests;
using bnnhw::solver::Limits;
using bnnhw::solver::Solver;
using bnnhw::solver::Status;

namespace {

PlainLayer dense(const Shape& shape, std::vector<std::int8_t> weights, std::vector<std::int32_t> thresholds) {
  PlainLayer layer;
  layer.channels = static_cast<std::uint32_t>(thresholds.size());
  layer.kernel[0] = shape.height;
  layer.kernel[1] = shape.width;
  layer.weights = std::move(weights);
  layer.flipped.resize(layer.channels);
  layer.thresholds = std::move(thresholds);
  return layer;
}

// Gives class 1 exactly where bit 0 of the first layer is set.
PlainNetwork first_bit(const Shape& shape, std::vector<std::int32_t> quantizer, std::vector<std::int8_t> weights,
                       std::vector<std::int32_t> thresholds) {
  PlainNetwork network;
  network.shape = shape;
  network.quantizer = {std::move(quantizer)};
  network.hidden.push_back(dense(shape, std::move(weights), std::move(thresholds)));
  const std::size_t bits = network.hidden.back().channels;
  network.output.assign(2, std::vector<std::int8_t>(bits));
  network.output[1][0] = 1;
  network.bias = {0, 0};
  return network;
}

Status solve(Query& query) {
  Solver solver;
  query.encode(solver);
  return solver.solve({}, Limits{}).status;
}

// 2^8 pixels of 2^20 levels: the largest first layer a model may have. Its sums reach 2^28, in gains that have no
// common divisor, and the answer turns on the last level of the last pixel.
void largest_sums_are_exact() {
  constexpr std::uint32_t pixels = 1u << 8;
  constexpr std::int32_t levels = 1 << 20;
  constexpr std::int32_t most = 1 << 28;
  std::vector<std::int32_t> quantizer(levels - 1, 1);
  quantizer.push_back(2);
  const Shape shape{1, 16, 16};
  for (const bool negative : {false, true}) {
    // Negated, the bit is set at first and the question is whether it can be cleared: -sum < -most.
    const std::int32_t threshold = negative ? -most : most;
    const Network network = translate(
        first_bit(shape, quantizer, std::vector<std::int8_t>(pixels, negative ? -1 : 1), {threshold}));
    const Region region{Image(pixels, 0), Image(pixels, 0), Image(pixels, 2), std::nullopt};
    Query query({&network}, region, Goal{Goal::Kind::misclassified, negative ? 1u : 0u, 0, false});
    CHECK(!query.clean_reaches());
    CHECK(query.bound() == negative);
    CHECK(solve(query) == (negative ? Status::unsatisfiable : Status::satisfiable));
    Stop never(std::nullopt, nullptr);
    const Attack hit = query.attack(1, 3 * pixels, never);
    CHECK(hit.outcome == Search::complete || (hit.outcome == Search::found && !negative));
  }
}

// Pixels may span nearly all 32-bit integers; squares of such distances do not fit 64 bits, and are over any budget.
void costs_beyond_64_bits_are_over_budget() {
  constexpr std::int32_t least = -std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t largest = std::numeric_limits<std::int32_t>::max();
  const Shape shape{1, 1, 2};
  for (const std::int64_t weight : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1023}}) {
    for (const bool up : {false, true}) {
      const std::int32_t threshold = up ? largest : least + 1;
      const std::int8_t sign = up ? 1 : -1;
      const Network network = translate(first_bit(shape, {threshold}, {sign, 0}, {up ? 1 : 0}));
      const std::int32_t start = up ? least : largest;
      const Region region{Image(2, start), Image(2, least), Image(2, largest),
                          Budget{Norm::l2_squared, (std::int64_t{1} << 28) - 1, {weight, weight}}};
      Query query({&network}, region, Goal{Goal::Kind::misclassified, 0, 0, false});
      CHECK(!query.clean_reaches());
      CHECK(query.bound() == (weight > 0));
      CHECK(solve(query) == (weight > 0 ? Status::unsatisfiable : Status::satisfiable));
    }
  }
}

// Costs that the solver cannot add up are refused, not wrapped around.
void budgets_too_heavy_for_the_solver_are_refused() {
  constexpr std::uint32_t pixels = 8;
  for (const std::int64_t weight : {std::int64_t{1} << 25, (std::int64_t{1} << 25) + 1}) {
    const Shape shape{1, 2, 4};
    const Network network =
        translate(first_bit(shape, {1}, std::vector<std::int8_t>(pixels, 1), {static_cast<std::int32_t>(pixels)}));
    const Region region{Image(pixels, 0), Image(pixels, 0), Image(pixels, 1),
                        Budget{Norm::l0, std::int64_t{8} << 25, std::vector<std::int64_t>(pixels, weight)}};
    Query query({&network}, region, Goal{Goal::Kind::misclassified, 0, 0, false});
    bool refused = false;
    try {
      CHECK(!query.bound() || weight > std::int64_t{1} << 25);
      CHECK(solve(query) == Status::satisfiable);
    } catch (const std::length_error&) {
      refused = true;
    }
    CHECK(refused == (weight > std::int64_t{1} << 25));
  }
}

void stages_refuse_to_run_without_bounds() {
  const Network network = translate(first_bit(Shape{}, {1}, {1}, {1}));
  Query query({&network}, Region{{0}, {0}, {1}, std::nullopt}, Goal{Goal::Kind::misclassified, 0, 0, false});
  Stop never(std::nullopt, nullptr);
  int refused = 0;
  try {
    query.enumerate(1e6, never);
  } catch (const std::logic_error&) {
    ++refused;
  }
  try {
    query.attack(1, 100, never);
  } catch (const std::logic_error&) {
    ++refused;
  }
  try {
    solve(query);
  } catch (const std::logic_error&) {
    ++refused;
  }
  CHECK(refused == 3);
}

// One pixel of two sets all of the first layer's bits but one, the other the last: 128 bits are followed, 129 not.
void enumeration_follows_128_neurons() {
  for (const std::uint32_t neurons : {63u, 64u, 65u, 127u, 128u, 129u}) {
    const Shape shape{1, 1, 2};
    std::vector<std::int8_t> weights;
    for (std::uint32_t i = 0; i < neurons; ++i) {
      weights.push_back(i + 1 < neurons ? 1 : 0);
      weights.push_back(i + 1 < neurons ? 0 : 1);
    }
    PlainNetwork plain = first_bit(shape, {1}, weights, std::vector<std::int32_t>(neurons, 1));
    for (const std::uint32_t deciding : {0u, neurons - 1}) {
      plain.output.assign(2, std::vector<std::int8_t>(neurons));
      plain.output[1][deciding] = 1;
      const Network network = translate(plain);
      for (const std::int64_t limit : {1, 2}) {
        const Region region{{0, 0}, {0, 0}, {1, 1}, Budget{Norm::l0, limit, {}}};
        Query query({&network}, region, Goal{Goal::Kind::misclassified, 0, 0, false});
        CHECK(!query.bound());
        CHECK(query.bounds()[0].undecided()[0].size() == neurons);
        Stop never(std::nullopt, nullptr);
        const Enumeration made = query.enumerate(1e6, never);
        CHECK(made.outcome == (neurons <= 128 ? Search::found : Search::declined));
        if (made.outcome != Search::found) continue;
        const Image image = query.image_of(made.taken);
        CHECK(infer(plain, image).predicted == 1);
        CHECK(image[0] + image[1] <= limit);
      }
      // Nothing to find: one bit is not enough any more.
      PlainNetwork stubborn = plain;
      stubborn.bias[0] = 1;
      const Network robust = translate(stubborn);
      Query query({&robust}, Region{{0, 0}, {0, 0}, {1, 1}, Budget{Norm::l0, 2, {}}},
                  Goal{Goal::Kind::misclassified, 0, 0, false});
      CHECK(query.bound());
      Stop never(std::nullopt, nullptr);
      CHECK(query.enumerate(1e6, never).outcome == (neurons <= 128 ? Search::complete : Search::declined));
      CHECK(query.enumerate(0.5, never).outcome == Search::declined);
    }
  }
}

// More changes than one machine word of items has bits, so that sets of items span words.
void enumeration_finds_pairs_across_words() {
  constexpr std::uint32_t pixels = 150;
  const Shape shape{1, 10, 15};
  for (const std::uint32_t second : {1u, 62u, 63u, 64u, 65u, 127u, 128u, 149u}) {
    // Bits for pixels 0 and `second`; class 1 needs both.
    std::vector<std::int8_t> weights(2 * pixels);
    weights[0] = weights[pixels + second] = 1;
    PlainNetwork plain = first_bit(shape, {1}, weights, {1, 1});
    plain.output[1] = {1, 1};
    plain.bias[0] = 1;
    const Network network = translate(plain);
    for (const std::int64_t limit : {1, 2}) {
      const Region region{Image(pixels, 0), Image(pixels, 0), Image(pixels, 1), Budget{Norm::l0, limit, {}}};
      Query query({&network}, region, Goal{Goal::Kind::misclassified, 0, 0, false});
      query.bound();
      Stop never(std::nullopt, nullptr);
      const Enumeration made = query.enumerate(1e6, never);
      CHECK(made.outcome == (limit == 2 ? Search::found : Search::complete));
      if (limit == 2) CHECK(infer(plain, query.image_of(made.taken)).predicted == 1);
      CHECK(solve(query) == (limit == 2 ? Status::satisfiable : Status::unsatisfiable));
    }
  }
}

}  // namespace

int main() {
  largest_sums_are_exact();
  costs_beyond_64_bits_are_over_budget();
  budgets_too_heavy_for_the_solver_are_refused();
  stages_refuse_to_run_without_bounds();
  enumeration_follows_128_neurons();
  enumeration_finds_pairs_across_words();
  return 0;
}
