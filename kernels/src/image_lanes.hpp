// A whole model on 64 images at a time, each in a lane of its own. Six of a layer's inputs are a code, which for 64
// images is a register; what two output channels make of the 64 possible codes is a table of constants, whatever their
// ternary weights, and one instruction looks it up for all images (lookup_registers.hpp). An entry counts inputs that
// agree with their weight, 1 with +1 and 0 with -1, so it is at most six, two channels share a byte, and a sum is the
// count less the number of weights -1. Nothing depends on how many channels a layer has, so layers too narrow to fill
// registers, which FPGA-sized networks consist of, are as fast as wide ones.
//
// Between layers a bit of 64 images is a word, in height, width, channel order; pooling is OR and AND of words. A pixel
// is a bit for each of its quantizer's thresholds (a level is how many of them it reaches), with the pixel's weight.
//
// Images as the lanes of bit-sliced code: Biham, "A Fast New DES Implementation in Software", FSE 1997.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "layers.hpp"

namespace bnnhw::kernels {

// The most inputs of a layer, in bits: counts have 16 bits.
inline constexpr std::size_t kMostLaneInputs = 65534;

class ImageLanes {
 public:
  struct alignas(64) Register {
    std::uint8_t of[64];
  };

  // Where the bits of a layer's input lie, in words: padded with zeros all around.
  struct Grid {
    std::size_t channels, rows, columns;
    std::size_t pad_h, pad_w;

    std::size_t words() const { return rows * columns * channels; }
    std::size_t at(std::size_t y, std::size_t x) const { return ((y + pad_h) * columns + x + pad_w) * channels; }
  };

  // How the bits of a grid become codes: cells of neighbouring bits, each with codes of its own.
  struct Coding {
    std::size_t rows, columns;
    std::size_t row_words, column_words;
    std::size_t bits;

    std::size_t codes() const { return (bits + 5) / 6; }
    std::size_t registers() const { return rows * columns * codes(); }
  };

  struct Product {
    Window window;
    std::size_t outputs;
    Coding coding;
    // Registers from the codes of one output position to those of the next, and from a position's first to each code.
    std::size_t row_step, column_step;
    std::vector<std::size_t> offsets;
    // [groups of eight outputs][codes][pairs of outputs].
    std::vector<Register> tables;
    std::vector<std::int32_t> negatives;
    // [positions, or one for all][groups][eight]: the bit is (count >= limit) xor flip. Empty for sums.
    std::vector<std::uint16_t> limits;
    std::size_t limit_step;
    std::vector<std::uint64_t> flips;

    std::size_t groups() const { return (outputs + 7) / 8; }
  };

  struct Pool {
    Window window;
    std::vector<std::uint8_t> conjunctive;
  };

  // thresholds: as in quantize. std::invalid_argument where the processor cannot.
  ImageLanes(std::size_t channels, std::size_t height, std::size_t width, const PixelThresholds& thresholds);

  // weights: int8[outputs][window.patch()] in -1, 0, +1, in kernel row, kernel column, channel order. thresholds: null
  // for sums, after which comes nothing. std::invalid_argument for too many inputs, or a window on another image.
  void add_product(const Window& window, const std::int8_t* weights, std::size_t outputs, const Thresholds* thresholds);
  // conjunctive: uint8[channels], 1 for AND.
  void add_pool(const Window& window, const std::uint8_t* conjunctive);
  // std::invalid_argument unless the last layer leaves a sum for each class.
  void set_scores(std::vector<std::int32_t> bias, unsigned shift);

  std::size_t pixels() const { return channels_ * height_ * width_; }
  std::size_t classes() const { return bias_.size(); }

  // pixels: uint8[images][channels][height][width]. scores: int64[images][classes], winners: int64[images].
  void run(const std::uint8_t* pixels, std::size_t images, std::size_t threads, std::int64_t* scores,
           std::int64_t* winners) const;

 private:
  struct Scratch;

  Window input_of(const Window& window) const;
  void add(std::variant<Product, Pool> step, std::size_t channels, std::size_t height, std::size_t width);
  void run_together(const std::uint8_t* pixels, std::size_t images, Scratch& scratch, std::int64_t* scores,
                    std::int64_t* winners) const;

  std::size_t channels_, height_, width_;
  std::size_t levels_;
  // [pixels][levels], at most 256, which no pixel reaches.
  std::vector<std::uint16_t> pixel_limits_;
  std::vector<std::variant<Product, Pool>> steps_;
  // What each step reads; after the last one, what it leaves.
  std::vector<Grid> grids_;
  std::uint64_t cost_ = 0;
  bool sums_ = false;
  std::vector<std::int32_t> bias_;
  unsigned shift_ = 0;
};

}  // namespace bnnhw::kernels
