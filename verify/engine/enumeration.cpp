#include "enumeration.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace bnnhw::engine {

namespace {

constexpr std::uint32_t most_live = 128;
constexpr std::uint32_t most_items = 1u << 14;
constexpr std::size_t most_mask_words = 1u << 23;
constexpr std::uint64_t subsets_per_poll = 1u << 12;
// The checker gives up at twice as many sets, and at 32 steps in one of them.
constexpr double most_checkable = 1u << 28;
constexpr std::int64_t most_checkable_steps = 31;

// One pixel moved to one level: its first steps in one direction, taken together.
struct Item {
  std::uint32_t pixel;
  std::uint32_t first_step;
  std::uint32_t last_step;
  std::int64_t cost;
};

// The flipped neurons of a first-layer pattern, exactly.
struct Pattern {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  bool operator==(const Pattern& other) const { return low == other.low && high == other.high; }
  void flip(std::uint32_t neuron) { (neuron < 64 ? low : high) ^= std::uint64_t{1} << (neuron & 63u); }
  bool flipped(std::uint32_t neuron) const { return ((neuron < 64 ? low : high) >> (neuron & 63u) & 1u) != 0; }
};

// Open addressing; the empty pattern marks a free slot and is never inserted.
class PatternSet {
 public:
  PatternSet() : slots_(1u << 12) {}

  bool insert(const Pattern& pattern) {
    if (2 * ++count_ > slots_.size()) grow();
    const bool fresh = place(pattern);
    if (!fresh) --count_;
    return fresh;
  }
  std::size_t size() const { return count_; }

 private:
  bool place(const Pattern& pattern) {
    std::uint64_t hash = (pattern.low ^ (pattern.high * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    for (std::size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot] == pattern) return false;
      if (slots_[slot] == Pattern{}) {
        slots_[slot] = pattern;
        return true;
      }
    }
  }

  void grow() {
    std::vector<Pattern> old(4 * slots_.size());
    old.swap(slots_);
    for (const Pattern& pattern : old) {
      if (!(pattern == Pattern{})) place(pattern);
    }
  }

  std::vector<Pattern> slots_;
  std::size_t count_ = 0;
};

// How many sets, with at most one of each group, cost no more than the budget. Infinitely many if something is free.
double sets_within(std::int64_t budget, const std::vector<std::vector<std::int64_t>>& groups) {
  constexpr std::int64_t finest = 1 << 16;
  if (budget < 0) return 0;
  if (budget > finest) return std::numeric_limits<double>::infinity();
  // By what they cost.
  std::vector<double> count(static_cast<std::size_t>(budget) + 1, 0.0);
  count[0] = 1;
  for (const std::vector<std::int64_t>& group : groups) {
    for (std::int64_t total = budget; total >= 0; --total) {
      for (const std::int64_t cost : group) {
        if (cost == 0) return std::numeric_limits<double>::infinity();
        if (cost <= total) count[static_cast<std::size_t>(total)] += count[static_cast<std::size_t>(total - cost)];
      }
    }
  }
  double sum = 0;
  for (const double one : count) sum += one;
  return sum;
}

class Walk {
 public:
  Walk(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
       const Steps& steps, const Goal& goal, Stop& stop)
      : evaluations_(evaluations), steps_(steps), goal_(goal), stop_(stop), limit_(region.budget->limit) {
    find_items();
    for (std::uint32_t network = 0; network < bounds.size(); ++network) {
      for (const std::uint32_t neuron : bounds[network].undecided().front()) {
        live_.push_back(Live{network, neuron});
        // An undecided neuron's threshold is within reach of its sum, so their difference is as small as sums are.
        slack_.push_back(static_cast<std::int32_t>(evaluations[network].slack(0, neuron)));
      }
    }
  }

  // Subsets whose extension by one change the walk has to look at.
  double subsets() const {
    std::vector<std::vector<std::int64_t>> costs;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (i == 0 || items_[i].pixel != items_[i - 1].pixel) costs.emplace_back();
      costs.back().push_back(items_[i].cost);
    }
    return sets_within(limit_ - least_cost_, costs);
  }

  bool prepare() {
    if (items_.empty() || live_.empty()) return true;
    if (live_.size() > most_live || items_.size() > most_items) return false;
    words_ = (items_.size() + 63) / 64;
    effects_.assign(items_.size() * live_.size(), 0);
    largest_ = 0;
    for (std::uint32_t neuron = 0; neuron < live_.size(); ++neuron) {
      const Network& network = evaluations_[live_[neuron].network].network();
      std::vector<std::int32_t> weight(network.pixels);
      for (const Entry& entry : network.matrix(0).row(live_[neuron].neuron)) weight[entry.index] = entry.weight;
      for (std::size_t item = 0; item < items_.size(); ++item) {
        const std::int32_t effect = weight[items_[item].pixel] * delta(live_[neuron].network, items_[item]);
        effects_[item * live_.size() + neuron] = effect;
        largest_ = std::max(largest_, std::abs(effect));
      }
    }
    const std::size_t planes = 2 * static_cast<std::size_t>(largest_);
    if (live_.size() * planes * words_ > most_mask_words) return false;
    masks_.assign(live_.size() * planes * words_, 0);
    for (std::uint32_t neuron = 0; neuron < live_.size(); ++neuron) {
      for (std::size_t item = 0; item < items_.size(); ++item) {
        const std::int32_t effect = effects_[item * live_.size() + neuron];
        for (std::int32_t reach = 1; reach <= std::abs(effect); ++reach) {
          mask(neuron, effect > 0, reach)[item / 64] |= std::uint64_t{1} << (item % 64);
        }
      }
    }
    for (const Item& item : items_) costs_.push_back(item.cost);
    std::sort(costs_.begin(), costs_.end());
    costs_.erase(std::unique(costs_.begin(), costs_.end()), costs_.end());
    affordable_.assign(costs_.size() * words_, 0);
    for (std::size_t cost = 0; cost < costs_.size(); ++cost) {
      for (std::size_t item = 0; item < items_.size(); ++item) {
        if (items_[item].cost <= costs_[cost]) affordable_[cost * words_ + item / 64] |= std::uint64_t{1} << (item % 64);
      }
    }
    cells_.resize((live_.size() + 2) * words_);
    return true;
  }

  Enumeration run() {
    if (items_.empty() || live_.empty()) {
      result_.outcome = Search::complete;
      return result_;
    }
    visit(0, limit_);
    if (result_.outcome == Search::declined) result_.outcome = Search::complete;
    result_.patterns = seen_.size();
    return result_;
  }

 private:
  struct Live {
    std::uint32_t network;
    std::uint32_t neuron;
  };

  void find_items() {
    least_cost_ = std::numeric_limits<std::int64_t>::max();
    for (std::uint32_t pixel = 0; pixel + 1 < steps_.begin.size(); ++pixel) {
      const std::uint32_t begin = steps_.begin[pixel];
      const std::uint32_t end = steps_.begin[pixel + 1];
      std::uint32_t up = begin;
      while (up < end && !steps_.steps[up].up) ++up;
      std::int64_t cost = 0;
      for (std::uint32_t step = up; step < end; ++step) {
        cost += steps_.steps[step].cost;
        items_.push_back(Item{pixel, up, step, cost});
      }
      cost = 0;
      for (std::uint32_t step = up; step-- > begin;) {
        cost += steps_.steps[step].cost;
        items_.push_back(Item{pixel, step, up - 1, cost});
      }
    }
    for (const Item& item : items_) least_cost_ = std::min(least_cost_, item.cost);
    next_pixel_.resize(items_.size());
    for (std::size_t i = items_.size(); i-- > 0;) {
      const bool last = i + 1 == items_.size() || items_[i + 1].pixel != items_[i].pixel;
      next_pixel_[i] = last ? static_cast<std::uint32_t>(i) + 1 : next_pixel_[i + 1];
    }
  }

  std::int32_t delta(std::uint32_t network, const Item& item) const {
    std::int32_t total = 0;
    for (std::uint32_t step = item.first_step; step <= item.last_step; ++step) total += steps_.delta(network, step);
    return total;
  }

  std::uint64_t* mask(std::uint32_t neuron, bool up, std::int32_t reach) {
    const std::size_t plane = (2 * static_cast<std::size_t>(neuron) + (up ? 1 : 0)) *
                                  static_cast<std::size_t>(largest_) + static_cast<std::size_t>(reach) - 1;
    return masks_.data() + plane * words_;
  }

  // Looks at the current subset extended by one item from `first` on, then at its supersets.
  void visit(std::uint32_t first, std::int64_t left) {
    if (++result_.subsets % subsets_per_poll == 0 && stop_.now()) result_.outcome = Search::stopped;
    if (result_.outcome != Search::declined) return;
    extend(first, left);
    for (std::uint32_t item = first; item < items_.size(); ++item) {
      if (items_[item].cost + least_cost_ > left) continue;
      const std::int32_t* const effect = effects_.data() + item * live_.size();
      for (std::size_t neuron = 0; neuron < live_.size(); ++neuron) slack_[neuron] += effect[neuron];
      chosen_.push_back(item);
      visit(next_pixel_[item], left - items_[item].cost);
      chosen_.pop_back();
      for (std::size_t neuron = 0; neuron < live_.size(); ++neuron) slack_[neuron] -= effect[neuron];
      if (result_.outcome != Search::declined) return;
    }
  }

  // Splits the items that may be added by the neurons one of them can flip; each part is one pattern.
  void extend(std::uint32_t first, std::int64_t left) {
    const auto cost = std::upper_bound(costs_.begin(), costs_.end(), left) - costs_.begin();
    if (cost == 0 || first >= items_.size()) return;
    first_word_ = first / 64;
    const std::uint64_t* const affordable = affordable_.data() + static_cast<std::size_t>(cost - 1) * words_;
    std::copy(affordable + first_word_, affordable + words_, cells_.begin() + static_cast<std::ptrdiff_t>(first_word_));
    cells_[first_word_] &= ~std::uint64_t{0} << (first % 64);
    Pattern pattern;
    near_.clear();
    const std::int32_t reach = largest_;
    for (std::uint32_t neuron = 0; neuron < live_.size(); ++neuron) {
      const std::int32_t slack = slack_[neuron];
      const bool bit = slack >= 0;
      if (bit != (evaluations_[live_[neuron].network].bits(0)[live_[neuron].neuron] != 0)) pattern.flip(neuron);
      if (slack < reach && slack >= -reach) {
        near_.push_back(Near{neuron, mask(neuron, !bit, bit ? slack + 1 : -slack)});
      }
    }
    split(0, pattern, false);
  }

  void split(std::uint32_t depth, const Pattern& pattern, bool moved) {
    if (result_.outcome != Search::declined) return;
    const std::uint64_t* const cell = cells_.data() + depth * words_;
    if (depth == near_.size()) {
      // Unmoved, the pattern is the one of the subset itself, which its parent has looked at.
      if (moved && !(pattern == Pattern{}) && seen_.insert(pattern)) evaluate(pattern, cell);
      return;
    }
    std::uint64_t* const part = cells_.data() + (depth + 1) * words_;
    for (const bool flips : {true, false}) {
      std::uint64_t any = 0;
      const std::uint64_t turn = flips ? 0 : ~std::uint64_t{0};
      for (std::size_t word = first_word_; word < words_; ++word) {
        part[word] = cell[word] & (near_[depth].flippers[word] ^ turn);
        any |= part[word];
      }
      if (any == 0) continue;
      Pattern next = pattern;
      if (flips) next.flip(near_[depth].neuron);
      split(depth + 1, next, moved || flips);
    }
  }

  void evaluate(const Pattern& pattern, const std::uint64_t* cell) {
    for (std::uint32_t network = 0; network < evaluations_.size(); ++network) {
      changes_.clear();
      for (std::uint32_t neuron = 0; neuron < live_.size(); ++neuron) {
        if (live_[neuron].network != network || !pattern.flipped(neuron)) continue;
        const bool bit = evaluations_[network].bits(0)[live_[neuron].neuron] != 0;
        changes_.push_back(Change{live_[neuron].neuron, bit ? -1 : 1});
      }
      evaluations_[network].apply(1, changes_);
    }
    const bool hit = reached(goal_, evaluations_);
    for (Evaluation& evaluation : evaluations_) evaluation.undo();
    if (!hit) return;
    result_.outcome = Search::found;
    std::size_t word = first_word_;
    while (cell[word] == 0) ++word;
    std::uint32_t bit = 0;
    while ((cell[word] >> bit & 1u) == 0) ++bit;
    chosen_.push_back(static_cast<std::uint32_t>(64 * word) + bit);
    result_.taken.assign(steps_.steps.size(), 0);
    for (const std::uint32_t item : chosen_) {
      for (std::uint32_t step = items_[item].first_step; step <= items_[item].last_step; ++step) {
        result_.taken[step] = 1;
      }
    }
    chosen_.pop_back();
  }

  struct Near {
    std::uint32_t neuron;
    // The items that flip the neuron from where it stands.
    const std::uint64_t* flippers;
  };

  std::vector<Evaluation>& evaluations_;
  const Steps& steps_;
  const Goal& goal_;
  Stop& stop_;
  std::int64_t limit_;
  std::int64_t least_cost_ = 0;
  std::vector<Item> items_;
  // By item: the first item of the next pixel.
  std::vector<std::uint32_t> next_pixel_;
  std::vector<Live> live_;
  std::vector<std::int32_t> slack_;
  std::vector<std::int32_t> effects_;
  std::int32_t largest_ = 0;
  std::size_t words_ = 0;
  std::size_t first_word_ = 0;
  std::vector<std::uint64_t> masks_;
  std::vector<std::int64_t> costs_;
  std::vector<std::uint64_t> affordable_;
  std::vector<std::uint64_t> cells_;
  std::vector<Near> near_;
  std::vector<std::uint32_t> chosen_;
  std::vector<Change> changes_;
  PatternSet seen_;
  Enumeration result_;
};

}  // namespace

bool checkable(const Region& region, const Steps& steps) {
  if (!region.budget) return false;
  std::vector<std::vector<std::int64_t>> costs;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Step& step : steps.steps) {
    costs.push_back({step.cost});
    least = std::min(least, step.cost);
  }
  return sets_within(region.budget->limit, costs) <= most_checkable && region.budget->limit / least <= most_checkable_steps;
}

Enumeration enumerate(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
                      const Steps& steps, const Goal& goal, double most_subsets, Stop& stop) {
  if (!region.budget) return Enumeration{};
  for (const Evaluation& evaluation : evaluations) {
    if (evaluation.network().hidden.empty()) return Enumeration{};
  }
  Walk walk(evaluations, bounds, region, steps, goal, stop);
  if (walk.subsets() > most_subsets || !walk.prepare()) return Enumeration{};
  return walk.run();
}

}  // namespace bnnhw::engine
