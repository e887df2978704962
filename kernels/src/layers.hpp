// The layers of an integer model on packed bits. Arrays are plain pointers whose sizes the comments give; the bindings
// check them. Images are [N] bit strings or arrays in height, width, channel order; bits are packed as bits.hpp says,
// every image starting at a word of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bits.hpp"
#include "instruction_set.hpp"

namespace bnnhw::kernels {

// A kernel sliding over an image. Padding is all zeros: it adds nothing to a sum.
struct Window {
  std::size_t channels, height, width;
  std::size_t kernel_h, kernel_w;
  std::size_t stride_h, stride_w;
  std::size_t pad_h, pad_w;

  std::size_t rows() const { return (height + 2 * pad_h - kernel_h) / stride_h + 1; }
  std::size_t columns() const { return (width + 2 * pad_w - kernel_w) / stride_w + 1; }
  std::size_t positions() const { return rows() * columns(); }
  std::size_t image() const { return channels * height * width; }
  std::size_t patch() const { return channels * kernel_h * kernel_w; }
  // Whether its only position is the image as it is, so that a convolution is a dense layer.
  bool whole() const { return positions() == 1 && patch() == image() && pad_h == 0 && pad_w == 0; }
};

constexpr std::size_t blocks_for(std::size_t outputs) { return (outputs + kLanes - 1) / kLanes; }

// uint64[blocks][words][positive, negative][kLanes], or without the negative ones where no weight is zero (binary);
// lanes past `outputs` are zero.
struct TernaryWeights {
  const std::uint64_t* planes;
  std::size_t outputs;
  std::size_t words;
  bool binary;

  // Sums of one block of channels for `count` rows that are `words` long and lie next to each other.
  void accumulate(const InstructionSet& lanes, const std::uint64_t* rows, std::size_t count, std::size_t block,
                  std::int32_t* sums) const {
    const std::uint64_t* const from = planes + block * words * (binary ? 1 : 2) * kLanes;
    (binary ? lanes.binary : lanes.ternary)(rows, words, count, words, from, sums);
  }
};

// int16[blocks][pairs][kLanes][2]; values past the patch and lanes past `outputs` are zero.
struct LevelWeights {
  const std::int16_t* values;
  std::size_t outputs;
  std::size_t pairs;
};

// int32[positions][blocks][kLanes], or one position for all (position_stride 0), and uint8[blocks]: the output bit is
// (sum >= limit) xor flip. Lanes past the outputs have limit 1 and flip 0, so that they give 0.
struct Thresholds {
  const std::int32_t* limits;
  std::size_t position_stride;
  const std::uint8_t* flips;
};

// Where a layer's result goes: sums int32[N][positions][outputs] (then bits and thresholds are null), or bits
// uint64[N][words_for(positions * outputs)], all zero before.
struct Result {
  std::int32_t* sums;
  std::uint64_t* bits;
  const Thresholds* thresholds;
};

// activations: uint64[images][weights.words].
void ternary_dense(const std::uint64_t* activations, std::size_t images, const TernaryWeights& weights,
                   const Result& result, std::size_t threads);

// activations: uint64[images][words_for(window.image())].
void ternary_conv(const std::uint64_t* activations, std::size_t images, const Window& window,
                  const TernaryWeights& weights, const Result& result, std::size_t threads);

// levels: Level[images][height][width][channels]; Level is uint8, int16 or int32. A dense layer is the window that
// covers its whole input.
template <class Level>
void level_conv(const Level* levels, std::size_t images, const Window& window, const LevelWeights& weights,
                const Result& result, std::size_t threads);

// OR over each window, AND for the channels whose bit is set in conjunctive[words_for(channels)]; no padding.
// bits: uint64[images][words_for(window.image())]; pooled: all zero before.
void max_pool(const std::uint64_t* bits, std::size_t images, const Window& window, const std::uint64_t* conjunctive,
              std::uint64_t* pooled, std::size_t threads);

// The same on a byte a bit; conjunctive: uint8[channels], 1 for AND.
void max_pool_bytes(const std::uint8_t* bytes, std::size_t images, const Window& window,
                    const std::uint8_t* conjunctive, std::uint8_t* pooled);

// levels[n][y][x][c] = how many of the thresholds are <= pixels[n][c][y][x]. thresholds: int32[count] for each of
// (c, y, x), ascending, at offset c * stride_c + y * stride_h + x * stride_w.
struct PixelThresholds {
  const std::int32_t* values;
  std::size_t count;
  std::size_t stride_c, stride_h, stride_w;
};

// Pixel is uint8 or int32; Level is uint8, int16 or int32 and can hold thresholds.count.
template <class Pixel, class Level>
void quantize(const Pixel* pixels, std::size_t images, std::size_t channels, std::size_t height, std::size_t width,
              const PixelThresholds& thresholds, Level* levels, std::size_t threads);

// One threshold per pixel: the level is a bit. bits: uint64[images][words_for(channels * height * width)].
template <class Pixel>
void quantize_bits(const Pixel* pixels, std::size_t images, std::size_t channels, std::size_t height,
                   std::size_t width, const PixelThresholds& thresholds, std::uint64_t* bits, std::size_t threads);

// scores[n][c] = sums[n][c] * 2^shift + bias[c]; winners[n] = the lowest index of the largest score.
void scores_argmax(const std::int32_t* sums, std::size_t images, std::size_t classes, const std::int32_t* bias,
                   unsigned shift, std::int64_t* scores, std::int64_t* winners);

}  // namespace bnnhw::kernels
