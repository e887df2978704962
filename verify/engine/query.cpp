#include "query.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

namespace bnnhw::engine {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

// Hears of presolve what a proof has to state. Intervals it has not: whoever checks works them out.
class BudgetDecisions : public PresolveSink {
 public:
  BudgetDecisions(PresolveSink* other, CanonicalNames names, solver::ProofWriter& proof)
      : other_(other), names_(std::move(names)), proof_(proof) {}

  void decided(const Decision& one) override {
    if (other_ != nullptr) other_->decided(one);
    if (one.numerator == 0) return;
    proof_.decided_by_budget(names_.bit(one.network, one.layer, one.neuron), one.bit, one.numerator, one.denominator);
  }
  void bounded(const ScoreBound& one) override {
    if (other_ != nullptr) other_->bounded(one);
  }

 private:
  PresolveSink* other_;
  CanonicalNames names_;
  solver::ProofWriter& proof_;
};

}  // namespace

Query::Query(std::vector<const Network*> networks, Region region, const Goal& goal)
    : networks_(std::move(networks)), region_(std::move(region)), goal_(goal) {
  require(!networks_.empty(), "a query needs at least one network");
  const bool one = goal_.kind == Goal::Kind::misclassified || goal_.kind == Goal::Kind::targeted;
  require(!one || networks_.size() == 1, "misclassification and targets are asked of one network");
  require(goal_.kind != Goal::Kind::differ || networks_.size() == 2, "equivalence is asked of two networks");
  for (const Network* network : networks_) {
    require(network->pixels == region_.image.size(), "the image does not have the network's number of pixels");
    require(network->classes() == networks_.front()->classes(), "the networks do not have the same classes");
  }
  require(region_.low.size() == region_.image.size() && region_.high.size() == region_.image.size(),
          "the box does not have the image's number of pixels");
  for (std::size_t i = 0; i < region_.image.size(); ++i) {
    require(region_.low[i] <= region_.image[i] && region_.image[i] <= region_.high[i], "the box misses the image");
  }
  require(goal_.label < networks_.front()->classes() && goal_.target < networks_.front()->classes(),
          "the label or target is not a class of the network");
  std::vector<std::int32_t> levels(region_.image.size());
  clean_.reserve(networks_.size());
  for (const Network* network : networks_) {
    for (std::uint32_t pixel = 0; pixel < levels.size(); ++pixel) {
      levels[pixel] = network->level(pixel, region_.image[pixel]);
    }
    clean_.emplace_back(*network);
    clean_.back().start(levels);
  }
}

std::vector<std::uint32_t> Query::predicted() const {
  std::vector<std::uint32_t> classes;
  for (const Evaluation& evaluation : clean_) classes.push_back(evaluation.predicted());
  return classes;
}

bool Query::bound(PresolveSink* sink) {
  steps_ = find_steps(networks_, region_);
  std::optional<BudgetDecisions> reported;
  if (proof_ != nullptr) sink = &reported.emplace(sink, CanonicalNames(clean_, steps_), *proof_);
  bounds_.clear();
  for (std::size_t index = 0; index < networks_.size(); ++index) {
    bounds_.emplace_back(*networks_[index]);
    bounds_.back().propagate(clean_[index], region_, steps_, index, sink);
  }
  return excluded(goal_, clean_, bounds_, sink);
}

void Query::require_bounds() const {
  if (bounds_.empty()) throw std::logic_error("bound() comes before the other stages");
}

Enumeration Query::enumerate(double most_subsets, Stop& stop) {
  require_bounds();
  if (proof_ != nullptr && !checkable(region_, steps_)) return Enumeration{};
  Enumeration made = engine::enumerate(clean_, bounds_, region_, steps_, goal_, most_subsets, stop);
  if (proof_ != nullptr && made.outcome == Search::complete) proof_->every_way(CanonicalNames::budget);
  return made;
}

Attack Query::attack(std::uint64_t seed, std::uint64_t most_evaluations, Stop& stop) {
  require_bounds();
  std::vector<Evaluation> moving = clean_;
  return engine::attack(moving, bounds_, region_, steps_, goal_, seed, most_evaluations, stop);
}

void Query::encode(solver::Solver& solver) const {
  require_bounds();
  if (proof_ != nullptr) solver.set_proof_sink(proof_);
  solver::ProofNames names = engine::encode(clean_, bounds_, region_, steps_, goal_, solver);
  if (proof_ != nullptr) proof_->set_names(std::move(names));
}

}  // namespace bnnhw::engine
