#include "bounds.hpp"

#include <algorithm>

namespace bnnhw::engine {

Bounds::Bounds(const Network& network) : network_(&network), undecided_(network.hidden.size()) {
  std::size_t widest = 0;
  for (const Layer& layer : network.hidden) widest = std::max<std::size_t>(widest, layer.matrix.rows());
  reach_.resize(widest);
  is_touched_.resize(widest);
}

void Bounds::propagate(const Evaluation& clean, const Region& region, const Steps& steps, std::size_t index,
                       PresolveSink* sink) {
  clean_ = &clean;
  last_.clear();
  for (auto& layer : undecided_) layer.clear();
  if (network_->hidden.empty()) {
    for (std::size_t i = 0; i < steps.steps.size(); ++i) {
      last_.push_back(Change{steps.steps[i].pixel, steps.delta(index, i)});
    }
    return;
  }
  const bool budgeted = region.budget.has_value();
  if (budgeted) {
    spread_budgeted(region, steps, index);
  } else {
    for (std::size_t i = 0; i < steps.steps.size(); ++i) spread(0, steps.steps[i].pixel, steps.delta(index, i));
  }
  settle(0, clean, index, budgeted, sink);
  for (std::uint32_t stage = 1; stage <= network_->hidden.size(); ++stage) {
    const std::vector<std::uint8_t>& bits = clean.bits(stage - 1);
    if (stage == network_->hidden.size()) {
      for (const std::uint32_t bit : undecided_.back()) last_.push_back(Change{bit, bits[bit] != 0 ? -1 : 1});
      break;
    }
    for (const std::uint32_t bit : undecided_[stage - 1]) spread(stage, bit, bits[bit] != 0 ? -1 : 1);
    settle(stage, clean, index, false, sink);
  }
}

void Bounds::spread(std::uint32_t stage, std::uint32_t activation, std::int32_t delta) {
  if (delta == 0) return;
  for (const Entry& entry : network_->matrix(stage).column(activation)) {
    if (is_touched_[entry.index] == 0) {
      is_touched_[entry.index] = 1;
      touched_.push_back(entry.index);
      reach_[entry.index] = Reach{};
    }
    const std::int64_t change = static_cast<std::int64_t>(entry.weight) * delta;
    if (change > 0) {
      reach_[entry.index].up += change;
    } else {
      reach_[entry.index].down -= change;
    }
  }
}

void Bounds::spread_budgeted(const Region& region, const Steps& steps, std::size_t index) {
  // All of a first-layer row's weights are -1 or +1, so one order of steps, by gain per cost, serves every neuron.
  // Steps that this network does not see stay out: without gain and perhaps without cost they have no place in it.
  std::vector<std::uint32_t> order;
  for (std::uint32_t step = 0; step < steps.steps.size(); ++step) {
    if (steps.delta(index, step) != 0) order.push_back(step);
  }
  const auto gain = [&](std::uint32_t step) { return static_cast<std::int64_t>(std::abs(steps.delta(index, step))); };
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return gain(a) * steps.steps[b].cost > gain(b) * steps.steps[a].cost;
  });
  const std::int64_t limit = region.budget->limit;
  const auto take = [](std::int64_t one_gain, std::int64_t cost, std::int64_t& total, std::int64_t& left,
                       std::int64_t& last_gain, std::int64_t& last_cost) {
    if (cost == 0) {
      total += one_gain;
      return;
    }
    if (left == 0) return;
    if (cost >= left) {
      last_gain = one_gain;
      last_cost = cost;
    }
    total += cost <= left ? one_gain : one_gain * left / cost;
    left -= std::min(cost, left);
  };
  for (const std::uint32_t step : order) {
    const std::int32_t delta = steps.delta(index, step);
    for (const Entry& entry : network_->matrix(0).column(steps.steps[step].pixel)) {
      Reach& reach = reach_[entry.index];
      if (is_touched_[entry.index] == 0) {
        is_touched_[entry.index] = 1;
        touched_.push_back(entry.index);
        reach = Reach{};
        reach.up_budget = reach.down_budget = limit;
      }
      const std::int64_t change = static_cast<std::int64_t>(entry.weight) * delta;
      if (change > 0) {
        take(change, steps.steps[step].cost, reach.up, reach.up_budget, reach.up_gain, reach.up_cost);
      } else {
        take(-change, steps.steps[step].cost, reach.down, reach.down_budget, reach.down_gain, reach.down_cost);
      }
    }
  }
}

void Bounds::settle(std::uint32_t stage, const Evaluation& clean, std::size_t index, bool budgeted,
                    PresolveSink* sink) {
  for (const std::uint32_t neuron : touched_) {
    is_touched_[neuron] = 0;
    const std::int64_t slack = clean.slack(stage, neuron);
    const Reach& reach = reach_[neuron];
    const std::int64_t left = slack >= 0 ? slack - reach.down : -1 - slack - reach.up;
    if (left < 0) {
      undecided_[stage].push_back(neuron);
    } else if (sink != nullptr) {
      Decision decision{static_cast<std::uint32_t>(index), stage, neuron, slack >= 0, 0, 1, left};
      if (budgeted) {
        decision.numerator = slack >= 0 ? reach.down_gain : reach.up_gain;
        decision.denominator = slack >= 0 ? reach.down_cost : reach.up_cost;
      }
      sink->decided(decision);
    }
  }
  touched_.clear();
  std::sort(undecided_[stage].begin(), undecided_[stage].end());
}

std::int64_t Bounds::largest_difference(std::uint32_t winner, std::uint32_t loser) const {
  std::int64_t most = clean_->difference(winner, loser);
  for (const Change& change : last_) {
    std::int64_t weight = 0;
    for (const Entry& entry : network_->output.column(change.index)) {
      if (entry.index == winner) weight += entry.weight;
      if (entry.index == loser) weight -= entry.weight;
    }
    most += std::max<std::int64_t>(0, weight * change.delta);
  }
  return most;
}

}  // namespace bnnhw::engine
