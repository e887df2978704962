#include "linear_store.hpp"

#include <algorithm>

namespace bnnhw::solver {

namespace {

// tightness(): the share of a side that acts at the next loss, and by how many halvings arming a side is worth more than
// losing one unit of it, because arming a tight side forces many literals.
constexpr std::uint64_t tightest = 1u << 24;
constexpr std::uint32_t arming_halvings = 3;

}  // namespace

void LinearStore::add(std::uint32_t number, Literal out, const LinearSum& sum) {
  Constraint constraint;
  constraint.number = number;
  constraint.begin = static_cast<std::uint32_t>(literals_.size());
  constraint.size = static_cast<std::uint32_t>(sum.literals.size());
  constraint.bound = static_cast<std::int32_t>(sum.bound);
  constraint.total = static_cast<std::int32_t>(sum.total);
  constraint.out = out;
#ifdef BNNHW_WRONG_PROPAGATION
  // Only for a test of the checker, which must refuse what comes of it.
  if (constraint.size > 2) ++constraint.bound;
#endif
  literals_.insert(literals_.end(), sum.literals.begin(), sum.literals.end());
  if (!sum.weights.empty()) {
    constraint.weights_begin = static_cast<std::uint32_t>(weights_.size());
    constraint.max_weight = sum.weights.front();
    weights_.insert(weights_.end(), sum.weights.begin(), sum.weights.end());
  }
  constraints_.push_back(constraint);
  compiled_ = false;
}

void LinearStore::lay_out_occurrences(std::size_t literal_count) {
  // Counting sort: sizes, then starts, then entries. Size and fill positions share the Occurrences fields.
  occurrences_.assign(literal_count, Occurrences{});
  for (const Constraint& constraint : constraints_) {
    const bool weighted = constraint.weights_begin != unit_weights;
    for (std::uint32_t i = 0; i < constraint.size; ++i) {
      const std::uint32_t code = literals_[constraint.begin + i].code;
      for (const std::uint32_t at : {code, code ^ 1u}) {
        if (weighted && weights_[constraint.weights_begin + i] != 1) {
          occurrences_[at].weighted += 2;
        } else {
          ++occurrences_[at].units;
        }
      }
    }
    for (const std::uint32_t at : {constraint.out.code, constraint.out.code ^ 1u}) ++occurrences_[at].premises;
  }
  std::uint32_t end = 0;
  std::size_t longest = 0;
  for (Occurrences& occurrences : occurrences_) {
    const std::uint32_t units = occurrences.units;
    const std::uint32_t weighted = occurrences.weighted;
    const std::uint32_t premises = occurrences.premises;
    occurrences.units = end;
    occurrences.weighted = occurrences.units + units;
    occurrences.premises = occurrences.weighted + weighted;
    end = occurrences.premises + premises;
    occurrences.end = end;
    longest = std::max<std::size_t>(longest, units + weighted / 2 + premises);
  }
  entries_.resize(end);
  triggered_.resize(longest + 1);
  triggered_count_ = 0;
  for (LinearSide side = 0; side < 2 * constraints_.size(); side += 2) {
    const Constraint& constraint = constraints_[side >> 1];
    const bool weighted = constraint.weights_begin != unit_weights;
    for (std::uint32_t i = 0; i < constraint.size; ++i) {
      const std::uint32_t code = literals_[constraint.begin + i].code;
      const std::int32_t weight = weighted ? weights_[constraint.weights_begin + i] : 1;
      // A true literal is lost to side 1, a false one to side 0.
      for (const std::uint32_t flip : {0u, 1u}) {
        Occurrences& occurrences = occurrences_[code ^ flip];
        const LinearSide loser = side + 1 - flip;
        if (weight == 1) {
          entries_[occurrences.units++] = loser;
        } else {
          entries_[occurrences.weighted++] = loser;
          entries_[occurrences.weighted++] = static_cast<std::uint32_t>(weight);
        }
      }
    }
    for (const std::uint32_t flip : {0u, 1u}) {
      entries_[occurrences_[constraint.out.code ^ flip].premises++] = side + flip;
    }
  }
  // Filling moved every start to the end of its range, which is the next range's start: shift them back.
  std::uint32_t start = 0;
  for (Occurrences& occurrences : occurrences_) {
    occurrences.premises = occurrences.weighted;
    occurrences.weighted = occurrences.units;
    occurrences.units = start;
    start = occurrences.end;
  }
}

void LinearStore::start_counters() {
  counters_.resize(2 * constraints_.size());
  for (LinearSide side = 0; side < counters_.size(); ++side) {
    const Constraint& constraint = constraints_[side >> 1];
    counters_[side] = fatal_loss(side) - 1;
    if (constraint.out_state != 0) {
      const bool armed = (constraint.out_state > 0) == ((side & 1u) == 0);
      counters_[side] += armed ? -constraint.max_weight : no_limit;
    }
  }
}

void LinearStore::count(Literal literal) {
  const Occurrences& occurrences = occurrences_[literal.code];
  const std::uint32_t* const entries = entries_.data();
  std::int32_t* const counters = counters_.data();
  LinearSide* const triggered = triggered_.data();
  std::size_t count = 0;
  for (std::uint32_t i = occurrences.units; i < occurrences.weighted; ++i) {
    const LinearSide side = entries[i];
    const std::int32_t left = --counters[side];
    triggered[count] = side;
    count += left < 0 ? 1 : 0;
  }
  for (std::uint32_t i = occurrences.weighted; i < occurrences.premises; i += 2) {
    const LinearSide side = entries[i];
    const std::int32_t left = counters[side] -= static_cast<std::int32_t>(entries[i + 1]);
    triggered[count] = side;
    count += left < 0 ? 1 : 0;
  }
  for (std::uint32_t i = occurrences.premises; i < occurrences.end; ++i) {
    const LinearSide side = entries[i];
    Constraint& constraint = constraints_[side >> 1];
    constraint.out_state = (side & 1u) != 0 ? -1 : 1;
    counters[side ^ 1u] += no_limit;
    const std::int32_t left = counters[side] -= constraint.max_weight;
    triggered[count] = side;
    count += left < 0 ? 1 : 0;
  }
  triggered_count_ = count;
  visits_ += occurrences.end - occurrences.units;
}

void LinearStore::uncount(Literal literal) {
  const Occurrences& occurrences = occurrences_[literal.code];
  const std::uint32_t* const entries = entries_.data();
  std::int32_t* const counters = counters_.data();
  for (std::uint32_t i = occurrences.units; i < occurrences.weighted; ++i) ++counters[entries[i]];
  for (std::uint32_t i = occurrences.weighted; i < occurrences.premises; i += 2) {
    counters[entries[i]] += static_cast<std::int32_t>(entries[i + 1]);
  }
  for (std::uint32_t i = occurrences.premises; i < occurrences.end; ++i) {
    const LinearSide side = entries[i];
    Constraint& constraint = constraints_[side >> 1];
    constraint.out_state = 0;
    counters[side ^ 1u] -= no_limit;
    counters[side] += constraint.max_weight;
  }
}

std::uint64_t LinearStore::tightness(Literal literal) const {
  const auto share = [this](LinearSide side) {
    return tightest >> std::min(std::max(counters_[side], 0), 63);
  };
  const Occurrences& occurrences = occurrences_[literal.code];
  std::uint64_t sum = 0;
  for (std::uint32_t i = occurrences.premises; i < occurrences.end; ++i) sum += share(entries_[i]);
  sum <<= arming_halvings;
  for (std::uint32_t i = occurrences.units; i < occurrences.weighted; ++i) sum += share(entries_[i]);
  for (std::uint32_t i = occurrences.weighted; i < occurrences.premises; i += 2) {
    sum += share(entries_[i]) * entries_[i + 1];
  }
  return sum;
}

std::int32_t LinearStore::weight_of(const Constraint& constraint, LinearSide side, Literal forced) const {
  for (std::uint32_t i = 0; i < constraint.heavy; ++i) {
    if (literal(constraint, side, i) == forced) return weight(constraint, i);
  }
  return 1;
}

std::size_t LinearStore::memory_bytes() const {
  return constraints_.capacity() * sizeof(Constraint) + occurrences_.capacity() * sizeof(Occurrences) +
         (literals_.capacity() + weights_.capacity() + counters_.capacity() + entries_.capacity() +
          triggered_.capacity()) * sizeof(std::uint32_t);
}

}  // namespace bnnhw::solver
