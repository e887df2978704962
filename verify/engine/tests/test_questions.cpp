// Random questions, every stage against brute force: what bounds, enumeration, attack and the encoded formula say about
// a region is what plain inference says about each of its images.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "brute_force.hpp"
#include "check.hpp"
#include "query.hpp"
#include "random_question.hpp"

using namespace bnnhw::engine;
using namespace bnnhw::engine::tests;
using bnnhw::solver::Limits;
using bnnhw::solver::Literal;
using bnnhw::solver::Solver;
using bnnhw::solver::Status;

namespace {

// What came up, so that a test in which a stage never had anything to say fails.
struct Seen {
  std::uint64_t reported = 0, multiplied = 0;
  std::uint64_t excluded = 0, decided_bits = 0, undecided_bits = 0, tight_bits = 0;
  std::uint64_t enumeration_complete = 0, enumeration_found = 0, attack_found = 0, attack_complete = 0;
  std::uint64_t satisfiable = 0, unsatisfiable = 0, assumed_satisfiable = 0, assumed_unsatisfiable = 0, conflicts = 0;
};

// A question, its region's images and what each of them gives.
class Case {
 public:
  Case(Question question, std::size_t most) : question_(std::move(question)) {
    for (const PlainNetwork& network : question_.networks) {
      translated_.push_back(std::make_unique<Network>(translate(network)));
    }
    images_ = members(question_.region, most);
    for (const Image& image : images_) {
      traces_.push_back(tests::infer(question_.networks, image));
      reached_.push_back(reaches(question_.goal, traces_.back()));
    }
    clean_ = tests::infer(question_.networks, question_.region.image);
  }

  const Question& question() const { return question_; }
  const std::vector<Image>& images() const { return images_; }
  const std::vector<std::vector<Trace>>& traces() const { return traces_; }
  const std::vector<Trace>& clean() const { return clean_; }
  bool reached(std::size_t image) const { return reached_[image]; }
  bool any_reached() const { return std::find(reached_.begin(), reached_.end(), true) != reached_.end(); }
  bool clean_reaches() const { return reaches(question_.goal, clean_); }

  Query query() const {
    std::vector<const Network*> networks;
    for (const auto& network : translated_) networks.push_back(network.get());
    return Query(networks, question_.region, question_.goal);
  }
  void check_counterexample(const Image& image) const {
    CHECK(contains(question_.region, image));
    CHECK(reaches(question_.goal, tests::infer(question_.networks, image)));
  }

 private:
  Question question_;
  std::vector<std::unique_ptr<Network>> translated_;
  std::vector<Image> images_;
  std::vector<std::vector<Trace>> traces_;
  std::vector<bool> reached_;
  std::vector<Trace> clean_;
};

void check_bounds(const Case& one, const Query& query, Seen& seen) {
  for (std::size_t index = 0; index < one.question().networks.size(); ++index) {
    const PlainNetwork& network = one.question().networks[index];
    const Bounds& bounds = query.bounds()[index];
    for (std::size_t layer = 0; layer < network.hidden.size(); ++layer) {
      const Integers& clean = one.clean()[index].bits[layer];
      const std::vector<std::uint32_t>& undecided = bounds.undecided()[layer];
      CHECK(std::is_sorted(undecided.begin(), undecided.end()));
      std::size_t moving = 0;
      for (std::uint32_t bit = 0; bit < clean.size(); ++bit) {
        const bool moves = std::any_of(one.traces().begin(), one.traces().end(), [&](const std::vector<Trace>& at) {
          return at[index].bits[layer][bit] != clean[bit];
        });
        const bool open = std::binary_search(undecided.begin(), undecided.end(), bit);
        CHECK(!moves || open);
        moving += moves ? 1 : 0;
      }
      // Inputs that vary independently reach their interval's ends.
      if (layer == 0 && !one.question().region.budget) {
        CHECK(undecided.size() == moving);
        seen.tight_bits += moving;
      }
      seen.undecided_bits += undecided.size();
      seen.decided_bits += clean.size() - undecided.size();
    }
    for (std::uint32_t winner = 0; winner < network.output.size(); ++winner) {
      for (std::uint32_t loser = 0; loser < network.output.size(); ++loser) {
        if (winner == loser) continue;
        const std::int64_t most = bounds.largest_difference(winner, loser);
        for (const std::vector<Trace>& at : one.traces()) {
          CHECK(at[index].output[winner] - at[index].output[loser] <= most);
        }
      }
    }
  }
}

struct Heard : PresolveSink {
  void decided(const Decision& decision) override { decisions.push_back(decision); }
  void bounded(const ScoreBound& bound) override { score_bounds.push_back(bound); }

  std::vector<Decision> decisions;
  std::vector<ScoreBound> score_bounds;
};

// What presolve reports is true of every image, and comes in the order in which it follows.
void check_reports(const Case& one, const Query& query, const Heard& heard, Seen& seen) {
  const Decision* last = nullptr;
  for (const Decision& decision : heard.decisions) {
    const std::vector<std::uint32_t>& undecided = query.bounds()[decision.network].undecided()[decision.layer];
    CHECK(!std::binary_search(undecided.begin(), undecided.end(), decision.neuron));
    CHECK(decision.bit == (one.clean()[decision.network].bits[decision.layer][decision.neuron] != 0));
    CHECK(decision.slack >= 0 && decision.numerator >= 0 && decision.denominator > 0);
    CHECK(last == nullptr || last->network < decision.network ||
          (last->network == decision.network && last->layer <= decision.layer));
    last = &decision;
    seen.multiplied += decision.numerator > 0 ? 1 : 0;
  }
  for (const ScoreBound& bound : heard.score_bounds) {
    for (const std::vector<Trace>& at : one.traces()) {
      CHECK(at[bound.network].output[bound.winner] - at[bound.network].output[bound.loser] <= bound.most);
      CHECK(at[bound.network].predicted != bound.winner);
    }
  }
  seen.reported += heard.decisions.size();
}

void check_searches(const Case& one, Query& query, std::uint64_t seed, bool excluded, Seen& seen) {
  Stop never(std::nullopt, nullptr);
  const Enumeration listed = query.enumerate(1e6, never);
  CHECK(listed.outcome != Search::stopped);
  if (!one.question().region.budget) CHECK(listed.outcome == Search::declined);
  if (listed.outcome == Search::complete) CHECK(!one.any_reached());
  if (listed.outcome == Search::found) one.check_counterexample(query.image_of(listed.taken));
  const Attack hit = query.attack(seed, 300, never);
  CHECK(hit.outcome == Search::found || hit.outcome == Search::complete);
  if (hit.outcome == Search::found) one.check_counterexample(query.image_of(hit.taken));
  if (excluded) return;
  seen.enumeration_complete += listed.outcome == Search::complete ? 1 : 0;
  seen.enumeration_found += listed.outcome == Search::found ? 1 : 0;
  seen.attack_found += hit.outcome == Search::found ? 1 : 0;
  seen.attack_complete += hit.outcome == Search::complete ? 1 : 0;
}

// Solves under assumptions on steps, with and without a limit on conflicts; right where some image that takes exactly
// the assumed steps, and none of those in `excluded`, reaches the goal.
Status check_answer(const Case& one, const Query& query, Solver& solver, const std::vector<Literal>& assumptions,
                    const std::vector<Image>& excluded, bool limited) {
  const std::vector<Step>& steps = query.steps().steps;
  const auto meets = [&steps](const Image& image, Literal literal) {
    const Step& step = steps[literal.variable() - 1];
    return (image[step.pixel] >= step.threshold) != literal.negative();
  };
  const auto alike = [&steps](const Image& a, const Image& b) {
    return std::all_of(steps.begin(), steps.end(), [&](const Step& step) {
      return (a[step.pixel] >= step.threshold) == (b[step.pixel] >= step.threshold);
    });
  };
  bool expected = false;
  for (std::size_t i = 0; i < one.images().size() && !expected; ++i) {
    const Image& image = one.images()[i];
    expected = one.reached(i) &&
               std::all_of(assumptions.begin(), assumptions.end(), [&](Literal at) { return meets(image, at); }) &&
               std::none_of(excluded.begin(), excluded.end(), [&](const Image& other) { return alike(image, other); });
  }
  Limits limits;
  if (limited) limits.conflicts = 1;
  bnnhw::solver::Outcome outcome = solver.solve(assumptions, limits);
  for (int round = 0; round < 100000 && outcome.status == Status::unknown; ++round) {
    CHECK(limited && outcome.reason == bnnhw::solver::StopReason::conflicts);
    outcome = solver.solve(assumptions, limits);
  }
  CHECK(outcome.status == (expected ? Status::satisfiable : Status::unsatisfiable));
  if (!expected) return outcome.status;
  const Image image = query.image_of(steps_taken(query.steps(), solver.model()));
  one.check_counterexample(image);
  for (const Literal literal : assumptions) CHECK(meets(image, literal));
  for (const Image& other : excluded) CHECK(!alike(image, other));
  return outcome.status;
}

void check_encoding(const Case& one, Query& query, Random& random, bool excluded, Seen& seen) {
  Solver solver(random.next(), random.coin());
  query.encode(solver);
  const auto steps = static_cast<std::uint32_t>(query.steps().steps.size());
  const Status plain = check_answer(one, query, solver, {}, {}, random.below(4) == 0);
  if (!excluded) {
    seen.satisfiable += plain == Status::satisfiable ? 1 : 0;
    seen.unsatisfiable += plain == Status::unsatisfiable ? 1 : 0;
  }
  for (int round = 0; round < 3 && steps > 0; ++round) {
    std::vector<Literal> assumptions;
    const std::uint64_t count = 1 + random.below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      assumptions.push_back(Literal::of(static_cast<std::uint32_t>(1 + random.below(steps)), random.coin()));
    }
    const Status status = check_answer(one, query, solver, assumptions, {}, random.below(4) == 0);
    seen.assumed_satisfiable += status == Status::satisfiable ? 1 : 0;
    seen.assumed_unsatisfiable += plain == Status::satisfiable && status == Status::unsatisfiable ? 1 : 0;
  }
  // Counterexamples excluded one after another, in the same solver.
  std::vector<Image> known;
  while (known.size() < 4 && steps > 0 &&
         check_answer(one, query, solver, {}, known, false) == Status::satisfiable) {
    std::vector<Literal> clause;
    for (std::uint32_t i = 0; i < steps; ++i) clause.push_back(Literal::of(i + 1, solver.model()[i + 1] != 0));
    known.push_back(query.image_of(steps_taken(query.steps(), solver.model())));
    solver.add_clause(clause);
  }
  seen.conflicts += solver.statistics().conflicts;
}

void check_stages(const Case& one, Random& random, Seen& seen) {
  Query query = one.query();
  for (std::size_t i = 0; i < one.clean().size(); ++i) CHECK(query.predicted()[i] == one.clean()[i].predicted);
  CHECK(query.clean_reaches() == one.clean_reaches());
  const bool excluded_unheard = query.bound();
  Heard heard;
  const bool excluded = query.bound(&heard);
  CHECK(excluded == excluded_unheard);
  CHECK(!excluded || !one.any_reached());
  seen.excluded += excluded ? 1 : 0;
  check_bounds(one, query, seen);
  check_reports(one, query, heard, seen);
  if (!one.clean_reaches()) check_searches(one, query, random.next(), excluded, seen);
  check_encoding(one, query, random, excluded, seen);
}

void stages_agree_with_brute_force() {
  Random random(20261123);
  Seen seen;
  for (int round = 0; round < 2500; ++round) {
    const std::size_t most = round % 4 == 0 ? 1500 : 300;
    check_stages(Case(random_question(random, most), most), random, seen);
  }
  const auto number = [](std::uint64_t count) { return static_cast<unsigned long long>(count); };
  std::printf("bounds: %llu excluded, bits %llu decided, %llu undecided, %llu exactly\n", number(seen.excluded),
              number(seen.decided_bits), number(seen.undecided_bits), number(seen.tight_bits));
  std::printf("enumeration: %llu complete, %llu found; attack: %llu found, %llu not\n",
              number(seen.enumeration_complete), number(seen.enumeration_found), number(seen.attack_found),
              number(seen.attack_complete));
  std::printf("solver: %llu sat, %llu unsat, %llu conflicts; assumed %llu sat, %llu unsat for that reason\n",
              number(seen.satisfiable), number(seen.unsatisfiable), number(seen.conflicts),
              number(seen.assumed_satisfiable), number(seen.assumed_unsatisfiable));
  CHECK(seen.excluded > 300 && seen.decided_bits > 1000 && seen.undecided_bits > 1000 && seen.tight_bits > 1000);
  CHECK(seen.reported > 1000 && seen.multiplied > 200);
  CHECK(seen.enumeration_complete > 50 && seen.enumeration_found > 50);
  CHECK(seen.attack_found > 50 && seen.attack_complete > 50);
  CHECK(seen.satisfiable > 100 && seen.unsatisfiable > 100 && seen.conflicts > 1000);
  CHECK(seen.assumed_satisfiable > 500 && seen.assumed_unsatisfiable > 500);
}

// Thresholds no sum is near, layers that always say the same, and regions that leave nothing, or nearly, to change.
void degenerate_questions_agree_with_brute_force() {
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t largest = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t extremes[] = {least, least + 1, least + 2, -largest / 2, largest / 2, largest - 1, largest};
  Random random(12);
  Seen seen;
  for (int round = 0; round < 700; ++round) {
    Question question = random_question(random, 200);
    for (PlainNetwork& network : question.networks) {
      for (PlainLayer& layer : network.hidden) {
        for (std::int32_t& threshold : layer.thresholds) {
          if (random.below(3) == 0) threshold = extremes[random.below(7)];
        }
        if (random.below(6) == 0) std::fill(layer.weights.begin(), layer.weights.end(), std::int8_t{0});
      }
      if (random.below(8) == 0) std::fill(network.output[0].begin(), network.output[0].end(), std::int8_t{0});
      if (random.below(8) == 0) network.bias[0] = random.coin() ? largest : -largest;
    }
    Region& region = question.region;
    switch (random.below(6)) {
      case 0:
        region.low = region.high = region.image;
        break;
      case 1:
        if (region.budget) region.budget->limit = 0;
        break;
      case 2:
        if (region.budget) region.budget->weight.assign(region.image.size(), 0);
        break;
      case 3:
        for (auto& thresholds : question.networks.front().quantizer) {
          thresholds.assign(thresholds.size(), extremes[random.below(7)]);
        }
        break;
      default: break;
    }
    if (members(region, 5000).empty()) continue;
    check_stages(Case(question, 5000), random, seen);
  }
  CHECK(seen.excluded > 100 && seen.decided_bits > 1000 && seen.satisfiable > 50);
}

}  // namespace

int main() {
  stages_agree_with_brute_force();
  degenerate_questions_agree_with_brute_force();
  return 0;
}
