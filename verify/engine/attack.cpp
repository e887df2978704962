#include "attack.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "random.hpp"

namespace bnnhw::engine {

namespace {

constexpr double slack_share = 0.5;
constexpr double slack_scale = 4.0;
constexpr std::uint32_t sweeps_per_restart = 6;
constexpr std::uint64_t evaluations_per_poll = 64;

class LocalSearch {
 public:
  LocalSearch(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
              const Steps& steps, const Goal& goal, std::uint64_t seed, std::uint64_t most_evaluations, Stop& stop)
      : evaluations_(evaluations), bounds_(bounds), steps_(steps), goal_(goal), random_(seed),
        most_evaluations_(most_evaluations), stop_(stop), clean_class_(evaluations.front().predicted()) {
    for (const Step& step : steps.steps) {
      if (movable_.empty() || movable_.back() != step.pixel) movable_.push_back(step.pixel);
    }
    first_up_.resize(steps.begin.size());
    offset_.resize(steps.begin.size());
    for (const std::uint32_t pixel : movable_) {
      first_up_[pixel] = steps.begin[pixel];
      while (first_up_[pixel] < steps.begin[pixel + 1] && !steps.steps[first_up_[pixel]].up) ++first_up_[pixel];
    }
    left_ = region.budget ? region.budget->limit : std::numeric_limits<std::int64_t>::max();
  }

  Attack run() {
    if (movable_.empty()) return result_;
    std::vector<std::uint32_t> aims = find_aims();
    for (std::uint32_t restart = 0; !aims.empty() && !over(); ++restart) {
      aim_ = aims[restart % aims.size()];
      if (restart > 0) shake();
      climb();
    }
    if (result_.outcome == Search::found) {
      result_.taken.assign(steps_.steps.size(), 0);
      for (const std::uint32_t pixel : movable_) {
        for (std::int32_t at = 0; at < offset_[pixel]; ++at) {
          result_.taken[first_up_[pixel] + static_cast<std::uint32_t>(at)] = 1;
        }
        for (std::int32_t at = offset_[pixel]; at < 0; ++at) {
          result_.taken[first_up_[pixel] - static_cast<std::uint32_t>(-at)] = 1;
        }
      }
    }
    return result_;
  }

 private:
  struct Move {
    std::uint32_t pixel;
    std::int32_t direction;
    std::int64_t paid;
  };

  bool over() {
    if (result_.outcome != Search::complete) return true;
    if (result_.evaluations >= most_evaluations_) return true;
    if (result_.evaluations % evaluations_per_poll == 0 && stop_.now()) result_.outcome = Search::stopped;
    return result_.outcome != Search::complete;
  }

  // The classes to aim at, the most promising first.
  std::vector<std::uint32_t> find_aims() const {
    if (goal_.kind == Goal::Kind::targeted) return {goal_.target};
    const Evaluation& first = evaluations_.front();
    const std::uint32_t from = goal_.kind == Goal::Kind::differ ? clean_class_ : goal_.label;
    std::vector<std::pair<std::int64_t, std::uint32_t>> room;
    for (std::uint32_t one = 0; one < first.network().classes(); ++one) {
      if (one == from) continue;
      const std::int64_t most = bounds_.front().largest_difference(one, from) -
                                first.network().needed(one, from, goal_.ties_win);
      if (most >= 0 || goal_.kind != Goal::Kind::misclassified) room.emplace_back(-most, one);
    }
    std::sort(room.begin(), room.end());
    std::vector<std::uint32_t> aims;
    for (const auto& [negated, one] : room) aims.push_back(one);
    return aims;
  }

  // How far `winner` is ahead of `loser` in one network, bits and slacks.
  double lead(std::size_t index, std::uint32_t winner, std::uint32_t loser) const {
    const Evaluation& evaluation = evaluations_[index];
    const Network& network = evaluation.network();
    double total = static_cast<double>(evaluation.difference(winner, loser) -
                                       network.needed(winner, loser, goal_.ties_win));
    if (network.hidden.empty()) return total;
    const auto last = static_cast<std::uint32_t>(network.hidden.size()) - 1;
    for (const std::uint32_t bit : bounds_[index].undecided().back()) {
      std::int32_t weight = 0;
      for (const Entry& entry : network.output.column(bit)) {
        if (entry.index == winner) weight += entry.weight;
        if (entry.index == loser) weight -= entry.weight;
      }
      if (weight == 0) continue;
      const double slack = static_cast<double>(evaluation.slack(last, bit)) + 0.5;
      total += slack_share * weight * slack / (slack_scale + std::abs(slack));
    }
    return total;
  }

  double score() const {
    switch (goal_.kind) {
      case Goal::Kind::misclassified: return lead(0, aim_, goal_.label);
      case Goal::Kind::differ: return lead(aim_ % 2, aim_, clean_class_);
      case Goal::Kind::targeted:
      case Goal::Kind::unanimous: break;
    }
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t index = 0; index < evaluations_.size(); ++index) {
      for (std::uint32_t one = 0; one < evaluations_[index].network().classes(); ++one) {
        if (one != aim_) least = std::min(least, lead(index, aim_, one));
      }
    }
    return least;
  }

  // Moves a pixel one step up or down its chain; false where the chain ends or the budget does.
  bool move(std::uint32_t pixel, bool up) {
    const std::int32_t offset = offset_[pixel];
    const bool takes = up ? offset >= 0 : offset <= 0;
    const std::int64_t step = static_cast<std::int64_t>(first_up_[pixel]) + offset - (up ? 0 : 1);
    if (step < steps_.begin[pixel] || step >= steps_.begin[pixel + 1]) return false;
    const auto at = static_cast<std::size_t>(step);
    const std::int64_t cost = steps_.steps[at].cost;
    if (takes && cost > left_) return false;
    trial_.push_back(Move{pixel, up ? 1 : -1, takes ? cost : -cost});
    left_ -= trial_.back().paid;
    offset_[pixel] += trial_.back().direction;
    for (std::size_t index = 0; index < evaluations_.size(); ++index) {
      const std::int32_t gain = steps_.gains[index * steps_.steps.size() + at];
      const Change change{pixel, up ? gain : -gain};
      if (gain != 0) evaluations_[index].apply(0, Span<Change>(&change, 1));
    }
    return true;
  }

  void climb() {
    double best = score();
    double heat = 1.0;
    std::vector<std::uint32_t> order = movable_;
    for (std::uint32_t sweep = 0; sweep < sweeps_per_restart && !over(); ++sweep, heat *= 0.5) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
      bool moved = false;
      for (const std::uint32_t pixel : order) {
        if (over()) return;
        ++result_.evaluations;
        const bool up = offset_[pixel] != 0 && random_.coin() ? offset_[pixel] < 0 : random_.coin();
        std::uint32_t partner = pixel;
        bool partner_up = false;
        if (!move(pixel, up)) {
          // The chain ends, or the budget does: then some changed pixel has to give back a step first.
          partner = movable_[random_.below(movable_.size())];
          if (partner == pixel || offset_[partner] == 0) {
            if (!move(pixel, !up)) continue;
            partner = pixel;
          } else {
            partner_up = offset_[partner] < 0;
            move(partner, partner_up);
            if (!move(pixel, up)) {
              move(partner, !partner_up);
              continue;
            }
          }
        }
        if (reached(goal_, evaluations_)) {
          result_.outcome = Search::found;
          return;
        }
        const double now = score();
        const bool accept = now >= best || random_.unit() < std::exp((now - best) / heat) * 0.5;
        if (accept) {
          moved = moved || now > best;
          best = now;
          keep();
        } else {
          give_up();
        }
      }
      if (!moved && sweep > 1) return;
    }
  }

  // Moves some changed pixels at random, away from the last summit.
  void shake() {
    for (std::size_t i = 0; i < 1 + movable_.size() / 4; ++i) {
      move(movable_[random_.below(movable_.size())], random_.coin());
    }
    keep();
  }

  void keep() {
    for (Evaluation& evaluation : evaluations_) evaluation.commit();
    trial_.clear();
  }

  void give_up() {
    for (Evaluation& evaluation : evaluations_) evaluation.undo();
    for (std::size_t i = trial_.size(); i-- > 0;) {
      offset_[trial_[i].pixel] -= trial_[i].direction;
      left_ += trial_[i].paid;
    }
    trial_.clear();
  }

  std::vector<Evaluation>& evaluations_;
  const std::vector<Bounds>& bounds_;
  const Steps& steps_;
  const Goal& goal_;
  solver::Random random_;
  std::uint64_t most_evaluations_;
  Stop& stop_;
  std::uint32_t clean_class_;
  std::uint32_t aim_ = 0;
  std::vector<std::uint32_t> movable_;
  // By pixel: its first step up, and how many steps it stands above (or, negative, below) its image value.
  std::vector<std::uint32_t> first_up_;
  std::vector<std::int32_t> offset_;
  std::int64_t left_ = 0;
  // Made since the evaluations were last committed.
  std::vector<Move> trial_;
  Attack result_;
};

}  // namespace

Attack attack(std::vector<Evaluation>& evaluations, const std::vector<Bounds>& bounds, const Region& region,
              const Steps& steps, const Goal& goal, std::uint64_t seed, std::uint64_t most_evaluations, Stop& stop) {
  return LocalSearch(evaluations, bounds, region, steps, goal, seed, most_evaluations, stop).run();
}

}  // namespace bnnhw::engine
