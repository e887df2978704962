// Variables are named as docs/certificates.md says: steps, bits, comparisons, wins, goals. Each bit is its neuron's
// constraint over the bits of the layer before, but where the interval of the sum, worked out layer by layer, decides it:
// then it is a unit clause and its constraint falls away. In the first layer a budget step may decide it as well.
#include "question.hpp"

#include <algorithm>

namespace bnnhw::checker {

namespace {

struct Region {
  std::vector<std::int64_t> image, low, high, weight;
  std::string norm;  // empty without a budget
  std::int64_t limit = 0;

  Region(const Network& network, const Json& question) {
    const auto pixels = static_cast<std::size_t>(network.pixels());
    const auto read = [&](const char* name) { return question[name].integers(pixels, network.pixel_min, network.pixel_max); };
    image = read("image"), low = read("low"), high = read("high");
    for (std::size_t i = 0; i < pixels; ++i) require(low[i] <= image[i] && image[i] <= high[i], "the box misses the image");
    if (question["budget"].kind == 'n') return;
    const Json& budget = question["budget"];
    norm = budget["norm"].as('s').text;
    require(norm == "l0" || norm == "l1" || norm == "l2_squared", "an unknown norm");
    limit = budget["limit"].integer(0, (1 << 28) - 1);
    weight.assign(pixels, 1);
    if (budget["weight"].kind != 'n') weight = budget["weight"].integers(pixels, 0, 1023);
  }
  // What a change by this distance costs; any number above the limit stands for all that are.
  std::int64_t cost(std::size_t pixel, std::int64_t distance) const {
    if (distance == 0 || weight[pixel] == 0) return 0;
    if (norm == "l0") return weight[pixel];
    if (distance > limit || (norm != "l1" && distance * distance > limit)) return limit + 1;
    return std::min(limit + 1, weight[pixel] * distance * (norm == "l1" ? 1 : distance));
  }
};

// "The pixel is at least the threshold": variable 1 + its place among the steps.
struct Step {
  std::int64_t threshold;
  bool up;
  std::int64_t cost;
};

// What enters a layer: each input's interval, its value for the image (levels only), and the variables it is the sum of.
struct Activations {
  std::vector<std::int64_t> low, high, image;
  std::vector<std::vector<Term>> terms;
};

class Builder {
 public:
  Builder(const std::vector<const Network*>& networks, const Region& region,
          const std::map<std::uint32_t, BudgetStep>& budget_steps)
      : region_(region), budget_steps_(budget_steps) {
    const std::size_t pixels = region.image.size();
    Linear budget{0, 0, {}, -region.limit};
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) add_steps(networks, pixel, budget);
    if (!region.norm.empty()) formula.constraints.push_back(budget);
    formula.variables = static_cast<std::uint32_t>(steps_.size());
    for (const Network* network : networks) add_network(*network);
    classes_ = static_cast<std::uint32_t>(networks[0]->bias.size());
    comparisons_ = formula.variables + 1;
    wins_ = comparisons_ + static_cast<std::uint32_t>(networks.size()) * classes_ * classes_;
    formula.variables = wins_ + static_cast<std::uint32_t>(networks.size() + 1) * classes_;
  }

  // The network ranks `one` above `other`.
  Literal beats(std::size_t index, const Network& network, std::uint32_t one, std::uint32_t other, bool ties_win) {
    const std::uint32_t name = comparisons_ + (static_cast<std::uint32_t>(index) * classes_ + one) * classes_ + other;
    const std::int64_t least = (!ties_win && one > other ? 1 : 0) + network.bias[other] - network.bias[one];
    std::vector<std::int64_t> weight(outputs_[index].low.size());
    network.output.visit(one, [&](std::int64_t input, std::int64_t w) { weight[static_cast<std::size_t>(input)] += w; });
    network.output.visit(other, [&](std::int64_t input, std::int64_t w) { weight[static_cast<std::size_t>(input)] -= w; });
    // (difference << shift) >= least, rounded up.
    Linear linear{name, 2 * name, {}, -((-least) >> network.shift)};
    for (std::size_t i = 0; i < weight.size(); ++i) add_input(linear, outputs_[index], i, weight[i]);
    formula.constraints.push_back(linear);
    return 2 * name;
  }
  Literal wins(std::size_t index, const Network& network, std::uint32_t one) {
    std::vector<Literal> all;
    for (std::uint32_t other = 0; other < classes_; ++other) {
      if (other != one) all.push_back(beats(index, network, one, other, false));
    }
    return all_of(wins_ + static_cast<std::uint32_t>(index) * classes_ + one, all);
  }
  Literal all_of(std::uint32_t name, const std::vector<Literal>& literals) {
    Linear linear{name, 2 * name, {}, static_cast<std::int64_t>(literals.size())};
    for (const Literal literal : literals) linear.terms.push_back({literal, 1});
    formula.constraints.push_back(linear);
    return 2 * name;
  }
  // The name of "this class makes the image a counterexample", a question about all networks.
  std::uint32_t goal(std::size_t networks, std::uint32_t one) const {
    return wins_ + static_cast<std::uint32_t>(networks) * classes_ + one;
  }
  std::uint32_t classes() const { return classes_; }

  Formula formula{};

 private:
  // The thresholds inside the box that the budget can pay for, chained; each costs what it adds to the one before.
  void add_steps(const std::vector<const Network*>& networks, std::size_t pixel, Linear& budget) {
    std::vector<std::int64_t> inside;
    for (const Network* network : networks) {
      for (std::int64_t level = 0; level < network->levels; ++level) {
        const std::int64_t threshold = network->thresholds[static_cast<std::size_t>(level * network->pixels()) + pixel];
        const std::int64_t distance = std::max(threshold - region_.image[pixel], region_.image[pixel] - threshold + 1);
        const bool affordable = region_.norm.empty() || region_.cost(pixel, distance) <= region_.limit;
        if (region_.low[pixel] < threshold && threshold <= region_.high[pixel] && affordable) inside.push_back(threshold);
      }
    }
    std::sort(inside.begin(), inside.end());
    inside.erase(std::unique(inside.begin(), inside.end()), inside.end());
    begin_.push_back(steps_.size());
    for (std::size_t i = 0; i < inside.size(); ++i) {
      const bool up = inside[i] > region_.image[pixel];
      const Literal literal = 2 * static_cast<Literal>(steps_.size() + 1);
      std::int64_t cost = 0;
      if (!region_.norm.empty()) {
        // The next step on the way back to the image, if there is one, is paid for already.
        const std::int64_t value = region_.image[pixel];
        if (up) cost = region_.cost(pixel, inside[i] - value) - (i > 0 && inside[i - 1] > value ? region_.cost(pixel, inside[i - 1] - value) : 0);
        if (!up) cost = region_.cost(pixel, value - inside[i] + 1) - (i + 1 < inside.size() && inside[i + 1] <= value ? region_.cost(pixel, value - inside[i + 1] + 1) : 0);
        budget.add(up ? literal ^ 1u : literal, cost);
        budget.bound += cost;
      }
      if (i > 0) formula.clauses.push_back({literal ^ 1u, literal - 2});
      steps_.push_back({inside[i], up, cost});
    }
  }

  static void add_input(Linear& linear, const Activations& inputs, std::size_t input, std::int64_t weight) {
    if (weight == 0) return;
    linear.bound -= weight * inputs.low[input];
    for (const Term& term : inputs.terms[input]) linear.add(term.literal, weight * term.weight);
  }

  void add_network(const Network& network) {
    const std::size_t pixels = region_.image.size();
    const auto level = [&](std::size_t pixel, std::int64_t value) {
      std::int64_t reached = 0;
      for (std::size_t i = pixel; i < network.thresholds.size(); i += pixels) reached += value >= network.thresholds[i];
      return reached;
    };
    Activations inputs;
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      const std::size_t end = pixel + 1 < pixels ? begin_[pixel + 1] : steps_.size();
      inputs.image.push_back(level(pixel, region_.image[pixel]));
      inputs.terms.emplace_back();
      std::int64_t lowest = inputs.image.back(), passed = 0;
      for (std::size_t i = begin_[pixel]; i < end; ++i) {
        const std::int64_t gain = level(pixel, steps_[i].threshold) - level(pixel, steps_[i].threshold - 1);
        if (gain > 0) inputs.terms.back().push_back({2 * static_cast<Literal>(i + 1), gain});
        lowest -= steps_[i].up ? 0 : gain;
        passed += gain;
      }
      inputs.low.push_back(lowest), inputs.high.push_back(lowest + passed);
    }
    for (std::size_t index = 0; index < network.hidden.size(); ++index) {
      inputs = add_layer(network.hidden[index], inputs, index == 0);
    }
    outputs_.push_back(std::move(inputs));
  }

  Activations add_layer(const Layer& layer, const Activations& inputs, bool first) {
    Activations made;
    for (std::int64_t output = 0; output < layer.size(); ++output) {
      const std::uint32_t name = ++formula.variables;
      const std::int64_t threshold = layer.threshold[static_cast<std::size_t>(output)];
      std::int64_t least = 0, most = 0;
      layer.visit(output, [&](std::int64_t input, std::int64_t weight) {
        const auto at = static_cast<std::size_t>(input);
        least += weight > 0 ? inputs.low[at] : -inputs.high[at];
        most += weight > 0 ? inputs.high[at] : -inputs.low[at];
      });
      bool always = least >= threshold, never = most < threshold;
      const auto step = first ? budget_steps_.find(name) : budget_steps_.end();
      if (step != budget_steps_.end() && !always && !never) {
        require(adds_up(layer, output, inputs, step->second), "budget step: bit " + std::to_string(name) + " may change");
        always = step->second.value, never = !always;
      }
      made.low.push_back(always), made.high.push_back(!never);
      made.terms.emplace_back();
      if (always || never) {
        formula.clauses.push_back({2 * name + (never ? 1 : 0)});
        continue;
      }
      made.terms.back().push_back({2 * name, 1});
      Linear linear{name, 2 * name, {}, threshold};
      layer.visit(output, [&](std::int64_t input, std::int64_t weight) {
        add_input(linear, inputs, static_cast<std::size_t>(input), weight);
      });
      formula.constraints.push_back(std::move(linear));
    }
    return made;
  }

  // The neuron's constraint plus numerator / denominator times the budget's: what is left is positive for every choice of
  // steps, each at its worst on its own.
  bool adds_up(const Layer& layer, std::int64_t output, const Activations& inputs, const BudgetStep& step) const {
    if (region_.norm.empty()) return false;
    const std::int64_t threshold = layer.threshold[static_cast<std::size_t>(output)], side = step.value ? 1 : -1;
    std::int64_t sum = 0, worst = step.numerator * region_.limit;
    layer.visit(output, [&](std::int64_t input, std::int64_t weight) {
      const auto at = static_cast<std::size_t>(input);
      sum += weight * inputs.image[at];
      for (const Term& term : inputs.terms[at]) {
        const Step& taken = steps_[term.literal / 2 - 1];
        const std::int64_t loss = side * (taken.up ? -1 : 1) * weight * term.weight;
        worst += std::max<std::int64_t>(0, loss * step.denominator - step.numerator * taken.cost);
      }
    });
    const std::int64_t margin = step.value ? sum - threshold : threshold - 1 - sum;
    // Sums are integers, so more than -1 is enough.
    return step.denominator * margin - worst > -step.denominator;
  }

  const Region& region_;
  const std::map<std::uint32_t, BudgetStep>& budget_steps_;
  std::vector<Step> steps_;
  std::vector<std::size_t> begin_;
  std::vector<Activations> outputs_;
  std::uint32_t classes_ = 0, comparisons_ = 0, wins_ = 0;
};

Formula build(const std::vector<const Network*>& networks, const Region& region, const Json& condition,
              const std::map<std::uint32_t, BudgetStep>& budget_steps) {
  const std::string& kind = condition["kind"].as('s').text;
  const std::size_t count = networks.size();
  const bool alone = kind == "keeps" || kind == "avoids";
  require(alone ? count == 1 : kind == "agree" ? count == 2 : count >= 1, "the condition is about another number of models");
  for (const Network* network : networks) {
    require(network->bias.size() == networks[0]->bias.size() && network->channels == networks[0]->channels &&
                network->height == networks[0]->height && network->width == networks[0]->width,
            "the models do not fit together");
    for (std::size_t i = 0; i < region.image.size(); ++i) {
      require(network->pixel_min <= region.low[i] && region.high[i] <= network->pixel_max, "the box leaves the pixels");
    }
  }
  Builder builder(networks, region, budget_steps);
  const auto named = [&](const char* name) {
    return static_cast<std::uint32_t>(condition[name].integer(0, builder.classes() - 1));
  };
  std::vector<Literal> any;
  if (kind == "avoids") {
    for (std::uint32_t one = 0; one < builder.classes(); ++one) {
      if (one != named("target")) builder.formula.clauses.push_back({builder.beats(0, *networks[0], named("target"), one, false)});
    }
    return builder.formula;
  }
  for (std::uint32_t one = 0; one < builder.classes(); ++one) {
    if (kind == "keeps") {
      const bool strictly = condition["strictly"].kind == 't';
      if (one != named("label")) any.push_back(builder.beats(0, *networks[0], one, named("label"), strictly));
    } else if (kind == "not_unanimously_wrong") {
      if (one == named("label")) continue;
      std::vector<Literal> all;
      for (std::size_t i = 0; i < count; ++i) all.push_back(builder.wins(i, *networks[i], one));
      any.push_back(builder.all_of(builder.goal(count, one), all));
    } else {
      require(kind == "agree", "an unknown condition");
      const Literal first = builder.wins(0, *networks[0], one), second = builder.wins(1, *networks[1], one);
      any.push_back(builder.all_of(builder.goal(count, one), {first, second ^ 1u}));
    }
  }
  builder.formula.clauses.push_back(any);
  return builder.formula;
}

}  // namespace

Formula formula_of(const std::vector<const Network*>& networks, const Json& question,
                   const std::map<std::uint32_t, BudgetStep>& budget_steps) {
  require(!networks.empty(), "there is no model");
  return build(networks, Region(*networks[0], question), question["condition"], budget_steps);
}

// Where every pixel is fixed all bits are, and propagation alone evaluates the networks and their goal.
void check_counterexample(const std::vector<const Network*>& networks, const Json& question, const Json& image) {
  require(!networks.empty(), "there is no model");
  Region region(*networks[0], question);
  const std::vector<std::int64_t> changed = image.integers(region.image.size(), networks[0]->pixel_min, networks[0]->pixel_max);
  std::int64_t cost = 0;
  for (std::size_t i = 0; i < changed.size(); ++i) {
    require(region.low[i] <= changed[i] && changed[i] <= region.high[i], "the image lies outside the box");
    if (!region.norm.empty()) cost += region.cost(i, std::max(changed[i] - region.image[i], region.image[i] - changed[i]));
  }
  require(region.norm.empty() || cost <= region.limit, "the image costs more than the budget");
  region.norm.clear();
  region.image = region.low = region.high = changed;
  require(!refuted_at_once(build(networks, region, question["condition"], {})), "the image meets the condition");
}

}  // namespace bnnhw::checker
