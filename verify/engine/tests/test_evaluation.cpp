// The incremental evaluation, after any changes, undos and commits, is the evaluation from scratch of plain inference;
// the searches that move it hand it back as they found it.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "brute_force.hpp"
#include "check.hpp"
#include "enumeration.hpp"
#include "evaluation.hpp"
#include "random_question.hpp"

using namespace bnnhw::engine;
using namespace bnnhw::engine::tests;

namespace {

void check_equal(const Evaluation& evaluation, const PlainNetwork& plain, const Trace& trace) {
  for (std::uint32_t layer = 0; layer < plain.hidden.size(); ++layer) {
    for (std::uint32_t bit = 0; bit < trace.bits[layer].size(); ++bit) {
      CHECK(evaluation.bits(layer)[bit] == trace.bits[layer][bit]);
      CHECK((evaluation.slack(layer, bit) >= 0) == (trace.bits[layer][bit] != 0));
    }
  }
  const auto last = static_cast<std::uint32_t>(plain.hidden.size());
  for (std::size_t one = 0; one < trace.output.size(); ++one) {
    CHECK(evaluation.accumulators(last)[one] == trace.output[one]);
  }
  CHECK(evaluation.predicted() == trace.predicted);
}

void check_same(const Evaluation& a, const Evaluation& b) {
  for (std::uint32_t stage = 0; stage < a.network().stages(); ++stage) {
    CHECK(a.accumulators(stage) == b.accumulators(stage));
    CHECK(a.bits(stage) == b.bits(stage));
  }
}

std::vector<std::int32_t> levels_of(const PlainNetwork& plain, const Image& image) {
  std::vector<std::int32_t> levels;
  for (const std::int64_t level : quantize(plain, image)) levels.push_back(static_cast<std::int32_t>(level));
  return levels;
}

// Some matrices must be dense and some sparse, as both have code of their own.
void moves_undos_and_commits_stay_exact() {
  Random random(6);
  std::size_t dense = 0;
  std::size_t sparse = 0;
  std::size_t undone = 0;
  for (int round = 0; round < 600; ++round) {
    static const Shape shapes[] = {{1, 1, 1}, {1, 4, 4}, {2, 3, 5}, {1, 9, 9}};
    const Shape shape = shapes[random.below(4)];
    const PlainNetwork plain =
        random_network(random, shape, 8, 3, static_cast<std::uint32_t>(random.below(5)));
    const Network network = translate(plain);
    for (std::uint32_t stage = 0; stage < network.stages(); ++stage) ++(network.matrix(stage).dense() ? dense : sparse);
    Evaluation evaluation(network);
    Image committed = random_image(random, shape.size(), 8);
    evaluation.start(levels_of(plain, committed));
    check_equal(evaluation, plain, infer(plain, committed));
    Image image = committed;
    for (int move = 0; move < 30; ++move) {
      const std::uint64_t action = random.below(6);
      if (action == 0) {
        evaluation.commit();
        committed = image;
      } else if (action == 1) {
        undone += image != committed ? 1 : 0;
        evaluation.undo();
        image = committed;
      } else {
        std::vector<Change> changes;
        for (std::uint64_t count = random.below(4); count > 0; --count) {
          const auto pixel = static_cast<std::uint32_t>(random.below(shape.size()));
          const std::int32_t before = network.level(pixel, image[pixel]);
          image[pixel] = between(random, 0, 8);
          changes.push_back(Change{pixel, network.level(pixel, image[pixel]) - before});
        }
        evaluation.apply(0, changes);
      }
      check_equal(evaluation, plain, infer(plain, image));
    }
    evaluation.undo();
    Evaluation fresh(network);
    fresh.start(levels_of(plain, committed));
    check_same(evaluation, fresh);
  }
  std::printf("%zu dense and %zu sparse stages, %zu undos\n", dense, sparse, undone);
  CHECK(dense > 300 && sparse > 300 && undone > 300);
}

// Bits flipped above the first layer reach the scores that plain inference gives them, and undo takes them back.
void flips_of_hidden_bits_stay_exact() {
  Random random(8);
  for (int round = 0; round < 400; ++round) {
    const Shape shape{1, 4, 4};
    const PlainNetwork plain = random_network(random, shape, 8, 3, static_cast<std::uint32_t>(between(random, 1, 3)));
    const Network network = translate(plain);
    const Image image = random_image(random, shape.size(), 8);
    Evaluation evaluation(network);
    evaluation.start(levels_of(plain, image));
    const Evaluation before = evaluation;
    const auto layer = static_cast<std::uint32_t>(random.below(plain.hidden.size()));
    Integers bits = infer(plain, image).bits[layer];
    std::vector<Change> changes;
    for (std::uint32_t bit = 0; bit < bits.size(); ++bit) {
      if (random.below(3) != 0) continue;
      changes.push_back(Change{bit, bits[bit] != 0 ? -1 : 1});
      bits[bit] = 1 - bits[bit];
    }
    evaluation.apply(layer + 1, changes);
    Shape current = shape;
    for (std::uint32_t i = 0; i <= layer; ++i) current = output_shape(plain.hidden[i], current);
    for (std::uint32_t i = layer + 1; i < plain.hidden.size(); ++i) {
      bits = compare(plain.hidden[i], current, accumulate(plain.hidden[i], current, bits));
      current = output_shape(plain.hidden[i], current);
      for (std::uint32_t bit = 0; bit < bits.size(); ++bit) CHECK(evaluation.bits(i)[bit] == bits[bit]);
    }
    const Integers output = multiply(plain.output, bits);
    for (std::uint32_t one = 0; one < output.size(); ++one) {
      CHECK(evaluation.accumulators(network.stages() - 1)[one] == output[one]);
    }
    evaluation.undo();
    check_same(evaluation, before);
  }
}

void enumeration_hands_evaluations_back() {
  Random random(9);
  std::size_t walked = 0;
  for (int round = 0; round < 1500; ++round) {
    const Question question = random_question(random, 300);
    std::vector<Network> networks;
    std::vector<const Network*> pointers;
    std::vector<Evaluation> evaluations;
    std::vector<Bounds> bounds;
    for (const PlainNetwork& plain : question.networks) networks.push_back(translate(plain));
    for (const Network& network : networks) pointers.push_back(&network);
    const Steps steps = find_steps(pointers, question.region);
    for (std::size_t i = 0; i < networks.size(); ++i) {
      evaluations.emplace_back(networks[i]);
      evaluations.back().start(levels_of(question.networks[i], question.region.image));
    }
    for (std::size_t i = 0; i < networks.size(); ++i) {
      bounds.emplace_back(networks[i]);
      bounds.back().propagate(evaluations[i], question.region, steps, i, nullptr);
    }
    const std::vector<Evaluation> before = evaluations;
    Stop never(std::nullopt, nullptr);
    const Enumeration made = enumerate(evaluations, bounds, question.region, steps, question.goal, 1e6, never);
    walked += made.patterns > 0 ? 1 : 0;
    for (std::size_t i = 0; i < networks.size(); ++i) check_same(evaluations[i], before[i]);
  }
  CHECK(walked > 100);
}

}  // namespace

int main() {
  moves_undos_and_commits_stay_exact();
  flips_of_hidden_bits_stay_exact();
  enumeration_hands_evaluations_back();
  return 0;
}
