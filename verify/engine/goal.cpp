#include "goal.hpp"

namespace bnnhw::engine {

bool reached(const Goal& goal, const std::vector<Evaluation>& evaluations) {
  const Evaluation& first = evaluations.front();
  const std::uint32_t given = first.predicted();
  switch (goal.kind) {
    case Goal::Kind::misclassified:
      if (given != goal.label) return true;
      if (!goal.ties_win) return false;
      for (std::uint32_t one = 0; one < first.network().classes(); ++one) {
        if (one != goal.label && first.difference(one, goal.label) >= first.network().needed(one, goal.label, true)) {
          return true;
        }
      }
      return false;
    case Goal::Kind::targeted: return given == goal.target;
    case Goal::Kind::unanimous:
      if (given == goal.label) return false;
      for (const Evaluation& evaluation : evaluations) {
        if (evaluation.predicted() != given) return false;
      }
      return true;
    case Goal::Kind::differ: break;
  }
  return evaluations[1].predicted() != given;
}

bool may_beat(const Bounds& bounds, const Network& network, std::uint32_t winner, std::uint32_t loser, bool ties_win) {
  return bounds.largest_difference(winner, loser) >= network.needed(winner, loser, ties_win);
}

bool excluded(const Goal& goal, const std::vector<Evaluation>& clean, const std::vector<Bounds>& bounds,
              PresolveSink* sink) {
  const Network& network = clean.front().network();
  const auto may_rank_above = [&](std::size_t index, std::uint32_t winner, std::uint32_t loser, bool ties_win) {
    if (may_beat(bounds[index], clean[index].network(), winner, loser, ties_win)) return true;
    if (sink != nullptr) {
      const std::int64_t most = bounds[index].largest_difference(winner, loser);
      sink->bounded(ScoreBound{static_cast<std::uint32_t>(index), winner, loser, most});
    }
    return false;
  };
  const auto may_win = [&](std::size_t index, std::uint32_t winner) {
    for (std::uint32_t one = 0; one < network.classes(); ++one) {
      if (one != winner && !may_rank_above(index, winner, one, false)) return false;
    }
    return true;
  };
  const auto may_lose = [&](std::size_t index, std::uint32_t label, bool ties_win) {
    for (std::uint32_t one = 0; one < network.classes(); ++one) {
      if (one != label && may_rank_above(index, one, label, ties_win)) return true;
    }
    return false;
  };
  switch (goal.kind) {
    case Goal::Kind::misclassified: return !may_lose(0, goal.label, goal.ties_win);
    case Goal::Kind::targeted: return !may_win(0, goal.target);
    case Goal::Kind::unanimous:
      for (std::uint32_t one = 0; one < network.classes(); ++one) {
        if (one == goal.label) continue;
        bool all = true;
        for (std::size_t index = 0; all && index < clean.size(); ++index) all = may_win(index, one);
        if (all) return false;
      }
      return true;
    case Goal::Kind::differ: break;
  }
  const std::uint32_t given = clean[0].predicted();
  return clean[1].predicted() == given && !may_lose(0, given, false) && !may_lose(1, given, false);
}

}  // namespace bnnhw::engine
