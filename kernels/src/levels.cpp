// Layers on integer levels: the first layer of a model whose input has more than two levels. Patches are gathered as
// 16-bit values, two to a multiply-add instruction, or as 32-bit values for the rare model with more levels than that.
#include <type_traits>

#include "layers.hpp"
#include "parallel.hpp"
#include "tile.hpp"

namespace bnnhw::kernels {

namespace {

template <class Level, class Value>
void gather_patch(const Level* image, const Window& w, std::size_t row, std::size_t column, Value* patch) {
  const std::size_t left = column * w.stride_w;  // In padded coordinates, as top below.
  const std::size_t first = std::max(left, w.pad_w);
  const std::size_t last = std::min(left + w.kernel_w, w.pad_w + w.width);
  if (first >= last) return;
  for (std::size_t ky = 0; ky < w.kernel_h; ++ky) {
    const std::size_t top = row * w.stride_h + ky;
    if (top < w.pad_h || top >= w.pad_h + w.height) continue;
    const Level* from = image + ((top - w.pad_h) * w.width + first - w.pad_w) * w.channels;
    std::copy_n(from, (last - first) * w.channels, patch + (ky * w.kernel_w + first - left) * w.channels);
  }
}

void accumulate(const InstructionSet& lanes, const std::int16_t* rows, std::size_t count, std::size_t pairs,
                const std::int16_t* block, std::int32_t* sums) {
  lanes.levels(rows, count, pairs, block, sums);
}

void accumulate(const InstructionSet&, const std::int32_t* rows, std::size_t count, std::size_t pairs,
                const std::int16_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    std::int64_t total[kLanes] = {};
    for (std::size_t k = 0; k < 2 * pairs; ++k) {
      const std::int64_t value = rows[row * 2 * pairs + k];
      const std::int16_t* weights = block + k / 2 * 2 * kLanes + k % 2;
      for (std::size_t lane = 0; lane < kLanes; ++lane) total[lane] += value * weights[2 * lane];
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[row * kLanes + lane] = static_cast<std::int32_t>(total[lane]);
    }
  }
}

}  // namespace

template <class Level>
void level_conv(const Level* levels, std::size_t images, const Window& window, const LevelWeights& weights,
                const Result& result, std::size_t threads) {
  using Value = std::conditional_t<sizeof(Level) <= 2, std::int16_t, std::int32_t>;
  const InstructionSet& lanes = selected_instruction_set();
  const std::size_t outputs = weights.outputs;
  const std::size_t row_values = 2 * weights.pairs;
  const std::size_t positions = window.positions();
  const std::size_t columns = window.columns();
  const std::size_t result_words = words_for(positions * outputs);
  // A dense layer has one position an image, so its tiles span images.
  const bool dense = positions == 1;
  const std::uint64_t cost = std::uint64_t{positions} * row_values * (1 + outputs / 4);
  parallel_rows(images, threads, cost, [&](std::size_t begin, std::size_t end) {
    TileScratch scratch(outputs);
    const std::size_t step = tile_rows(row_values * sizeof(Value));
    std::vector<Value> patches(step * row_values);
    const std::size_t rows_end = end * positions;
    for (std::size_t first = begin * positions; first < rows_end;) {
      const std::size_t n = first / positions;
      const std::size_t limit = dense ? rows_end : (n + 1) * positions;
      Tile tile{};
      tile.rows = std::min(step, limit - first);
      tile.first_position = first % positions;
      tile.first_bit = tile.first_position * outputs;
      tile.bit_stride = dense ? result_words * kWordBits : outputs;
      if (result.sums) tile.sums = result.sums + first * outputs;
      if (result.bits) tile.bits = result.bits + n * result_words;
      std::fill(patches.begin(), patches.end(), Value{0});
      for (std::size_t row = 0; row < tile.rows; ++row) {
        const std::size_t image = (first + row) / positions;
        const std::size_t position = (first + row) % positions;
        gather_patch(levels + image * window.image(), window, position / columns, position % columns,
                     patches.data() + row * row_values);
      }
      // One position's thresholds serve every image of a dense tile, whatever their stride.
      Thresholds thresholds{};
      if (result.thresholds) {
        thresholds = *result.thresholds;
        if (dense) thresholds.position_stride = 0;
      }
      finish_tile(lanes, outputs, result.thresholds ? &thresholds : nullptr, tile, scratch,
                  [&](std::size_t block, std::int32_t* sums) {
                    accumulate(lanes, patches.data(), tile.rows, weights.pairs,
                               weights.values + block * weights.pairs * 2 * kLanes, sums);
                  });
      first += tile.rows;
    }
  });
}

template void level_conv(const std::uint8_t*, std::size_t, const Window&, const LevelWeights&, const Result&,
                         std::size_t);
template void level_conv(const std::int16_t*, std::size_t, const Window&, const LevelWeights&, const Result&,
                         std::size_t);
template void level_conv(const std::int32_t*, std::size_t, const Window&, const LevelWeights&, const Result&,
                         std::size_t);

}  // namespace bnnhw::kernels
