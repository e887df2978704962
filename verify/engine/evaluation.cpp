#include "evaluation.hpp"

#include <algorithm>

namespace bnnhw::engine {

Evaluation::Evaluation(const Network& network) : network_(&network), stages_(network.stages()) {
  for (std::uint32_t stage = 0; stage < network.stages(); ++stage) {
    const std::uint32_t rows = network.matrix(stage).rows();
    Stage& made = stages_[stage];
    made.now.resize(rows);
    made.committed.resize(rows);
    made.bits.resize(stage < network.hidden.size() ? rows : 0);
    made.is_dirty.resize(rows);
    made.is_touched.resize(rows);
  }
}

void Evaluation::start(Span<std::int32_t> levels) {
  std::vector<Change> active;
  for (std::uint32_t pixel = 0; pixel < levels.size; ++pixel) {
    if (levels[pixel] != 0) active.push_back(Change{pixel, levels[pixel]});
  }
  for (std::uint32_t stage = 0; stage < stages_.size(); ++stage) {
    Stage& made = stages_[stage];
    std::fill(made.now.begin(), made.now.end(), 0);
    add(stage, active);
    made.touched.clear();
    std::fill(made.is_touched.begin(), made.is_touched.end(), std::uint8_t{0});
    made.committed = made.now;
    made.dirty.clear();
    std::fill(made.is_dirty.begin(), made.is_dirty.end(), std::uint8_t{0});
    made.everything = false;
    if (stage + 1 == stages_.size()) break;
    active.clear();
    const std::vector<std::int32_t>& threshold = network_->hidden[stage].threshold;
    for (std::uint32_t row = 0; row < made.now.size(); ++row) {
      made.bits[row] = made.now[row] >= threshold[row] ? 1 : 0;
      if (made.bits[row] != 0) active.push_back(Change{row, 1});
    }
  }
}

void Evaluation::apply(std::uint32_t stage, Span<Change> changes) {
  add(stage, changes);
  for (; stage + 1 < stages_.size(); ++stage) {
    collect_flips(stage);
    if (stages_[stage].flips.empty()) return;
    add(stage + 1, stages_[stage].flips);
  }
  Stage& last = stages_.back();
  for (const std::uint32_t row : last.touched) last.is_touched[row] = 0;
  last.touched.clear();
}

void Evaluation::add(std::uint32_t stage, Span<Change> changes) {
  const Matrix& matrix = network_->matrix(stage);
  Stage& made = stages_[stage];
  std::int32_t* const now = made.now.data();
  if (matrix.dense()) {
    made.everything = true;
    const std::uint32_t rows = matrix.rows();
    for (const Change& change : changes) {
      const std::int8_t* const column = matrix.dense_column(change.index);
      const std::int32_t delta = change.delta;
      for (std::uint32_t row = 0; row < rows; ++row) now[row] += delta * column[row];
    }
    return;
  }
  for (const Change& change : changes) {
    for (const Entry& entry : matrix.column(change.index)) {
      now[entry.index] += change.delta * entry.weight;
      if (made.is_touched[entry.index] != 0) continue;
      made.is_touched[entry.index] = 1;
      made.touched.push_back(entry.index);
      if (made.is_dirty[entry.index] != 0) continue;
      made.is_dirty[entry.index] = 1;
      made.dirty.push_back(entry.index);
    }
  }
}

// Brings the stage's bits up to date with its accumulators; the ones that changed are left in flips.
void Evaluation::collect_flips(std::uint32_t stage) {
  Stage& made = stages_[stage];
  const std::vector<std::int32_t>& threshold = network_->hidden[stage].threshold;
  made.flips.clear();
  const auto refresh = [&made, &threshold](std::uint32_t row) {
    const std::uint8_t bit = made.now[row] >= threshold[row] ? 1 : 0;
    if (bit == made.bits[row]) return;
    made.flips.push_back(Change{row, bit != 0 ? 1 : -1});
    made.bits[row] = bit;
  };
  if (made.everything) {
    for (std::uint32_t row = 0; row < made.now.size(); ++row) refresh(row);
    return;
  }
  for (const std::uint32_t row : made.touched) {
    made.is_touched[row] = 0;
    refresh(row);
  }
  made.touched.clear();
}

void Evaluation::undo() {
  for (std::uint32_t stage = 0; stage < stages_.size(); ++stage) {
    Stage& made = stages_[stage];
    const bool hidden = stage + 1 < stages_.size();
    const auto restore = [this, &made, hidden, stage](std::uint32_t row) {
      made.now[row] = made.committed[row];
      if (hidden) made.bits[row] = made.now[row] >= network_->hidden[stage].threshold[row] ? 1 : 0;
    };
    if (made.everything) {
      for (std::uint32_t row = 0; row < made.now.size(); ++row) restore(row);
    } else {
      for (const std::uint32_t row : made.dirty) restore(row);
    }
    for (const std::uint32_t row : made.dirty) made.is_dirty[row] = 0;
    made.dirty.clear();
    made.everything = false;
  }
}

void Evaluation::commit() {
  for (Stage& made : stages_) {
    if (made.everything) {
      made.committed = made.now;
    } else {
      for (const std::uint32_t row : made.dirty) made.committed[row] = made.now[row];
    }
    for (const std::uint32_t row : made.dirty) made.is_dirty[row] = 0;
    made.dirty.clear();
    made.everything = false;
  }
}

std::uint32_t Evaluation::predicted() const {
  const std::vector<std::int32_t>& scores = stages_.back().now;
  std::uint32_t best = 0;
  const auto score = [this, &scores](std::uint32_t one) {
    return static_cast<std::int64_t>(scores[one]) * (std::int64_t{1} << network_->shift) + network_->bias[one];
  };
  for (std::uint32_t one = 1; one < scores.size(); ++one) {
    if (score(one) > score(best)) best = one;
  }
  return best;
}

}  // namespace bnnhw::engine
