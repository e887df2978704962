// Variables are named as docs/certificates.md says: steps, bits, comparisons, wins, goals. Each bit is its neuron's
// constraint over the bits of the layer before, but where that is constant or, in the first layer, a budget step of the
// proof decides it: then it is a unit clause, enters the next layer as a number and its constraint falls away.
#include "question.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>

namespace bnnhw::checker {

namespace {

constexpr std::int64_t most_variables = std::int64_t{1} << 30, most_cost = (std::int64_t{1} << 28) - 1;

// "The pixel is at least the threshold". It is taken where it is not as in the image: the literal, and what that costs.
struct Step {
  std::int64_t threshold;
  bool up;
  Literal taken;
  std::int64_t cost;
};

// Of each activation what it is: base + sum of weight * [literal].
struct Inputs {
  std::vector<std::int64_t> base{};
  std::vector<Term> terms{};
  std::vector<std::size_t> end{0};  // of each one's terms; those before begin there

  void close(std::int64_t constant) {
    base.push_back(constant);
    end.push_back(terms.size());
  }
};

class Builder {
 public:
  Builder(const std::vector<const Network*>& networks, const Question& question, const BudgetSteps& budget_steps)
      : networks_(networks), question_(question), budget_steps_(budget_steps) {
    require(!networks.empty(), "there is no model");
    const bool pairs = question.kind == "agree", any = question.kind == "not_unanimously_wrong";
    require(pairs || any || question.kind == "keeps" || question.kind == "avoids", "an unknown condition");
    require(any || networks.size() == (pairs ? 2u : 1u), "the condition is about another number of models");
    classes_ = static_cast<std::int64_t>(networks[0]->bias.size());
    require(pairs || (0 <= question.label && question.label < classes_), "there is no such class");
    const std::string& norm = question.norm;
    require(norm.empty() || norm == "l0" || norm == "l1" || norm == "l2_squared", "an unknown norm");
    require(0 <= question.limit && question.limit <= most_cost, "the budget is out of range");
    for (const std::vector<std::int64_t>* list : {&question.image, &question.low, &question.high, &question.weight}) {
      const bool absent = list == &question.weight && list->empty();
      require(absent || list->size() == static_cast<std::size_t>(networks[0]->pixels()), "another number of pixels");
    }
    for (const Network* network : networks) {
      require(network->bias.size() == networks[0]->bias.size() && network->shape == question.shape, "the models do not fit");
      for (std::size_t i = 0; i < pixels(); ++i) {
        require(network->pixel_min <= question.low[i] && question.low[i] <= question.image[i] &&
                    question.image[i] <= question.high[i] && question.high[i] <= network->pixel_max,
                "the box leaves the pixels or misses the image");
      }
    }
    Linear budget{0, 0, {}, -question.limit};
    for (std::size_t pixel = 0; pixel < pixels(); ++pixel) {
      require(question.weight.empty() || (0 <= question.weight[pixel] && question.weight[pixel] < 1024), "a weight is out of range");
      add_steps(pixel, budget);
    }
    if (!question.norm.empty()) formula.constraints.push_back(budget);
    for (const Network* network : networks) outputs_.push_back(add_network(*network));
    const auto count = static_cast<std::int64_t>(networks.size());
    comparisons_ = new_variables(count * classes_ * classes_);
    wins_ = new_variables(count * classes_);
    goals_ = new_variables(classes_);
    add_goal();
  }

  Formula formula{};

 private:
  std::size_t pixels() const { return question_.image.size(); }

  // The first of so many.
  std::int64_t new_variables(std::int64_t count) {
    require(count < most_variables - formula.variables, "the question has too many variables");
    formula.variables += static_cast<std::uint32_t>(count);
    return formula.variables - count + 1;
  }

  // What it costs that the pixel is on the other side of the threshold than in the image.
  std::int64_t price(std::size_t pixel, std::int64_t threshold) const {
    const std::int64_t value = question_.image[pixel], distance = std::max(threshold - value, value - threshold + 1);
    return question_.cost(pixel, distance);
  }

  // The thresholds inside the box that the budget can pay for, chained; each costs what it adds to the one before.
  void add_steps(std::size_t pixel, Linear& budget) {
    std::set<std::int64_t> inside;
    for (const Network* network : networks_) {
      for (std::size_t i = pixel; i < network->thresholds.size(); i += pixels()) {
        const std::int64_t threshold = network->thresholds[i];
        if (question_.low[pixel] >= threshold || threshold > question_.high[pixel]) continue;
        if (price(pixel, threshold) <= question_.limit) inside.insert(threshold);
      }
    }
    const std::int64_t value = question_.image[pixel];
    for (auto at = inside.begin(); at != inside.end(); ++at) {
      const Literal literal = 2 * static_cast<Literal>(new_variables(1));
      const bool up = *at > value;
      // The next step on the way back to the image, if there is one, is paid for already.
      const auto nearer = up ? (at == inside.begin() ? inside.end() : std::prev(at)) : std::next(at);
      const bool paid = nearer != inside.end() && (*nearer > value) == up;
      const std::int64_t cost = price(pixel, *at) - (paid ? price(pixel, *nearer) : 0);
      const Literal taken = up ? literal : literal ^ 1u;
      // limit >= sum of cost * [taken].
      budget.add(taken, -cost);
      if (at != inside.begin()) formula.clauses.push_back({literal ^ 1u, literal - 2});
      steps_.push_back({*at, up, taken, cost});
    }
    end_.push_back(steps_.size());
  }

  Inputs add_network(const Network& network) {
    Inputs inputs;
    for (std::size_t pixel = 0; pixel < pixels(); ++pixel) {
      std::int64_t base = 0;
      std::map<std::int64_t, std::int64_t> gain;
      for (std::size_t i = pixel; i < network.thresholds.size(); i += pixels()) {
        base += question_.image[pixel] >= network.thresholds[i] ? 1 : 0;
        ++gain[network.thresholds[i]];
      }
      for (std::size_t i = pixel > 0 ? end_[pixel - 1] : 0; i < end_[pixel]; ++i) {
        const Step& step = steps_[i];
        const auto found = gain.find(step.threshold);
        if (found == gain.end()) continue;
        // A step down is in the base, and in the sum as long as it is not taken.
        base -= step.up ? 0 : found->second;
        inputs.terms.push_back({step.taken ^ (step.up ? 0u : 1u), found->second});
      }
      inputs.close(base);
    }
    for (const Layer& layer : network.hidden) inputs = add_layer(layer, inputs);
    return inputs;
  }

  Inputs add_layer(const Layer& layer, const Inputs& inputs) {
    Inputs made;
    // One for all outputs: most of the first layer's are long, and decided.
    Linear linear;
    for (std::int64_t output = 0; output < layer.size(); ++output) {
      linear.name = static_cast<std::uint32_t>(new_variables(1));
      linear.out = 2 * linear.name;
      linear.bound = layer.threshold(output);
      linear.terms.clear();
      add_sum(linear, layer, output, 1, inputs);
      bool constant = linear.constant(), value = linear.always();
      if (const auto step = budget_steps_.find(linear.name); step != budget_steps_.end() && !constant) {
        constant = true, value = step->second.value;
        require(decided(linear, step->second), "budget step: a bit may change");
      }
      if (constant) {
        formula.units.push_back(linear.out + (value ? 0 : 1));
      } else {
        made.terms.push_back({linear.out, 1});
        formula.constraints.push_back(linear);
      }
      made.close(constant && value ? 1 : 0);
    }
    return made;
  }

  static void add_sum(Linear& linear, const Layer& layer, std::int64_t output, std::int64_t sign, const Inputs& inputs) {
    std::int64_t base = 0;
    const std::int64_t* const bases = inputs.base.data();
    const std::size_t* const ends = inputs.end.data();
    const Term* const terms = inputs.terms.data();
    const auto add_base = [&base, bases](std::int64_t at, std::int64_t weight) { base += weight * bases[at]; };
    const auto add_all = [&linear, sign, ends, terms, add_base](std::int64_t at, std::int64_t weight) {
      add_base(at, weight);
      for (std::size_t k = ends[at]; k < ends[at + 1]; ++k) linear.add(terms[k].literal, sign * weight * terms[k].weight);
    };
    // Where every input is a number, this takes half the time.
    inputs.terms.empty() ? layer.visit(output, add_base) : layer.visit(output, add_all);
    linear.bound -= sign * base;
  }

  // Is the bit what the step says within the budget? A bit that is true has a sum of at least its bound. If not, then
  //   denominator * (bound - 1 - sum) + numerator * (limit - cost of what is taken) >= 0,
  // and the left side is largest where each step is at its worst on its own: taken where the weight that it takes off the
  // sum is worth its cost. No step is in the sum twice, as no pixel is. One that is false is true of the opposite.
  bool decided(const Linear& linear, const BudgetStep& step) const {
    const std::int64_t bound = step.value ? linear.bound : linear.total() - linear.bound + 1;
    const Literal flip = step.value ? 0 : 1;
    std::int64_t most = step.denominator * (bound - 1) + step.numerator * question_.limit;
    for (const Term& term : linear.terms) {
      const std::uint32_t variable = term.literal / 2;
      require(variable <= steps_.size(), "budget step: not in the first layer");
      const Step& of = steps_[variable - 1];
      if ((term.literal ^ flip) != of.taken) most -= std::min(step.denominator * term.weight, step.numerator * of.cost);
    }
    return !question_.norm.empty() && most < 0;
  }

  // --- the condition's violation
  // Network m ranks `one` above `other`.
  Literal beats(std::size_t m, std::int64_t one, std::int64_t other, bool ties_win) {
    const Network& network = *networks_[m];
    const auto name = static_cast<std::uint32_t>(comparisons_ + (static_cast<std::int64_t>(m) * classes_ + one) * classes_ + other);
    const std::int64_t least = (!ties_win && one > other ? 1 : 0) + network.bias[static_cast<std::size_t>(other)] -
                               network.bias[static_cast<std::size_t>(one)];
    // (difference << shift) >= least, rounded up.
    Linear linear{name, 2 * name, {}, -((-least) >> network.shift)};
    add_sum(linear, network.output, one, 1, outputs_[m]);
    add_sum(linear, network.output, other, -1, outputs_[m]);
    formula.constraints.push_back(std::move(linear));
    return 2 * name;
  }
  Literal all_of(std::int64_t name, const std::vector<Literal>& literals) {
    const auto variable = static_cast<std::uint32_t>(name);
    Linear linear{variable, 2 * variable, {}, static_cast<std::int64_t>(literals.size())};
    for (const Literal literal : literals) linear.add(literal, 1);
    formula.constraints.push_back(std::move(linear));
    return 2 * variable;
  }
  Literal wins(std::size_t m, std::int64_t one) {
    std::vector<Literal> all;
    for (std::int64_t other = 0; other < classes_; ++other) {
      if (other != one) all.push_back(beats(m, one, other, false));
    }
    return all_of(wins_ + static_cast<std::int64_t>(m) * classes_ + one, all);
  }
  void add_goal() {
    std::vector<Literal> any;
    for (std::int64_t one = 0; one < classes_; ++one) {
      std::vector<Literal> all;
      if (question_.kind == "agree") {
        all = {wins(0, one), wins(1, one)};
        all[1] ^= 1u;
      } else if (one == question_.label) {
        continue;
      } else if (question_.kind == "keeps") {
        any.push_back(beats(0, one, question_.label, question_.strictly));
        continue;
      } else if (question_.kind == "avoids") {
        formula.units.push_back(beats(0, question_.label, one, false));
        continue;
      } else {
        for (std::size_t m = 0; m < networks_.size(); ++m) all.push_back(wins(m, one));
      }
      any.push_back(all_of(goals_ + one, all));
    }
    if (question_.kind != "avoids") formula.clauses.push_back(any);
  }

  const std::vector<const Network*>& networks_;
  const Question& question_;
  const BudgetSteps& budget_steps_;
  std::vector<Step> steps_;       // of variables 1, 2, ...
  std::vector<std::size_t> end_;  // of each pixel's
  std::vector<Inputs> outputs_;
  std::int64_t classes_ = 0, comparisons_ = 0, wins_ = 0, goals_ = 0;
};

}  // namespace

std::int64_t Question::cost(std::size_t pixel, std::int64_t distance) const {
  const std::int64_t of_one = weight.empty() ? 1 : weight[pixel];
  if (norm.empty() || distance == 0 || of_one == 0) return 0;
  if (norm == "l0") return of_one;
  if (distance > limit || (norm != "l1" && distance * distance > limit)) return limit + 1;
  return std::min(limit + 1, of_one * distance * (norm == "l1" ? 1 : distance));
}

BudgetSteps read_budget_steps(ProofBytes& proof) {
  BudgetSteps steps;
  while (!proof.rest.empty() && proof.rest.front() == 'b') {
    proof.letter();
    const std::uint64_t literal = proof.number(2 * most_variables);
    const auto numerator = static_cast<std::int64_t>(proof.number(most_cost));
    const auto denominator = static_cast<std::int64_t>(proof.number(most_cost));
    steps[static_cast<std::uint32_t>(literal / 2)] = {literal % 2 == 0, numerator, denominator};
  }
  return steps;
}

Formula formula_of(const std::vector<const Network*>& networks, const Question& question, const BudgetSteps& budget_steps) {
  return Builder(networks, question, budget_steps).formula;
}

void check_robust(const std::vector<const Network*>& networks, const Question& question, ProofBytes proof) {
  const BudgetSteps steps = read_budget_steps(proof);
  check_proof(formula_of(networks, question, steps), proof);
}

// Where every pixel is fixed all bits are, and propagation alone evaluates the networks and their goal.
void check_falsified(const std::vector<const Network*>& networks, const Question& question, const std::vector<std::int64_t>& image) {
  Question fixed = question;
  require(image.size() == question.image.size(), "the image is of another size");
  fixed.image = fixed.low = fixed.high = image;
  fixed.norm.clear();
  std::int64_t cost = 0;
  for (std::size_t i = 0; i < image.size(); ++i) {
    require(question.low[i] <= image[i] && image[i] <= question.high[i], "the image lies outside the box");
    cost += question.cost(i, std::abs(image[i] - question.image[i]));
  }
  require(cost <= question.limit, "the image costs more than the budget");
  require(!refuted_at_once(formula_of(networks, fixed, {})), "the image meets the condition");
}

}  // namespace bnnhw::checker
