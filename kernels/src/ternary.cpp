// Dense and convolutional layers on bits: ternary weights are two bit planes, a sum is a difference of popcounts
// (Rastegari et al., "XNOR-Net", ECCV 2016, in the {0, 1} form where zero weights and zero padding cost nothing); one
// plane is enough where no weight is zero. A
// convolution is an implicit matrix product: each output position's patch is gathered as one dense bit string, row by
// kernel row, and only a tile of patches exists at a time.
#include "layers.hpp"
#include "parallel.hpp"
#include "tile.hpp"

namespace bnnhw::kernels {

namespace {

// ORs the patch of output position (row, column) into `patch`, in kernel row, kernel column, channel order.
void gather_patch(const std::uint64_t* image, const Window& w, std::size_t row, std::size_t column,
                  std::uint64_t* patch) {
  const std::size_t left = column * w.stride_w;  // In padded coordinates, as top below.
  const std::size_t first = std::max(left, w.pad_w);
  const std::size_t last = std::min(left + w.kernel_w, w.pad_w + w.width);
  if (first >= last) return;
  for (std::size_t ky = 0; ky < w.kernel_h; ++ky) {
    const std::size_t top = row * w.stride_h + ky;
    if (top < w.pad_h || top >= w.pad_h + w.height) continue;
    const std::size_t from = ((top - w.pad_h) * w.width + first - w.pad_w) * w.channels;
    const std::size_t to = (ky * w.kernel_w + first - left) * w.channels;
    or_range(patch, to, image, from, (last - first) * w.channels);
  }
}

}  // namespace

void ternary_dense(const std::uint64_t* activations, std::size_t images, const TernaryWeights& weights,
                   const Result& result, std::size_t threads) {
  const InstructionSet& lanes = selected_instruction_set();
  const std::size_t words = weights.words;
  const std::size_t outputs = weights.outputs;
  const std::size_t result_words = words_for(outputs);
  parallel_rows(images, threads, std::uint64_t{words} * outputs, [&](std::size_t begin, std::size_t end) {
    TileScratch scratch(outputs);
    const std::size_t step = tile_rows(words * sizeof(std::uint64_t));
    for (std::size_t first = begin; first < end; first += step) {
      Tile tile{};
      tile.rows = std::min(step, end - first);
      tile.bit_stride = result_words * kWordBits;
      if (result.sums) tile.sums = result.sums + first * outputs;
      if (result.bits) tile.bits = result.bits + first * result_words;
      finish_tile(lanes, outputs, result.thresholds, tile, scratch, [&](std::size_t block, std::int32_t* sums) {
        weights.accumulate(lanes, activations + first * words, tile.rows, block, sums);
      });
    }
  });
}

void ternary_conv(const std::uint64_t* activations, std::size_t images, const Window& window,
                  const TernaryWeights& weights, const Result& result, std::size_t threads) {
  const InstructionSet& lanes = selected_instruction_set();
  const std::size_t words = weights.words;
  const std::size_t outputs = weights.outputs;
  const std::size_t image_words = words_for(window.image());
  const std::size_t positions = window.positions();
  const std::size_t columns = window.columns();
  const std::size_t result_words = words_for(positions * outputs);
  const std::uint64_t cost = std::uint64_t{positions} * (words * outputs + window.kernel_h * 4);
  parallel_rows(images, threads, cost, [&](std::size_t begin, std::size_t end) {
    TileScratch scratch(outputs);
    const std::size_t step = tile_rows(words * sizeof(std::uint64_t));
    std::vector<std::uint64_t> image(image_words + 1);
    std::vector<std::uint64_t> patches(step * words);
    for (std::size_t n = begin; n < end; ++n) {
      std::copy_n(activations + n * image_words, image_words, image.begin());
      std::size_t y = 0;
      std::size_t x = 0;
      for (std::size_t first = 0; first < positions; first += step) {
        Tile tile{};
        tile.rows = std::min(step, positions - first);
        tile.first_position = first;
        tile.first_bit = first * outputs;
        tile.bit_stride = outputs;
        if (result.sums) tile.sums = result.sums + (n * positions + first) * outputs;
        if (result.bits) tile.bits = result.bits + n * result_words;
        std::fill(patches.begin(), patches.end(), 0);
        for (std::size_t row = 0; row < tile.rows; ++row) {
          gather_patch(image.data(), window, y, x, patches.data() + row * words);
          if (++x == columns) {
            x = 0;
            ++y;
          }
        }
        finish_tile(lanes, outputs, result.thresholds, tile, scratch, [&](std::size_t block, std::int32_t* sums) {
          weights.accumulate(lanes, patches.data(), tile.rows, block, sums);
        });
      }
    }
  });
}

}  // namespace bnnhw::kernels
