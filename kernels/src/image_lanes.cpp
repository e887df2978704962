#include "image_lanes.hpp"

#include <algorithm>
#include <bitset>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "lookup_products.hpp"
#include "lookup_registers.hpp"
#include "parallel.hpp"

namespace bnnhw::kernels {

namespace {

constexpr std::size_t kImages = 64;
// Registers of images that share the tables of a layer with one position, whose tables are read once for each image.
constexpr std::size_t kBlocks = 4;
constexpr std::size_t kChannels = 8;

using Register = ImageLanes::Register;

// Cells of the padded input that a window covers: whole kernel rows where that takes clearly fewer codes than pixels
// do, which a kernel shares with its neighbours; all of the input where it is the window.
struct Cells {
  ImageLanes::Coding coding;
  std::size_t down, across;        // Cells from one output position to the next.
  std::size_t kernel_h, kernel_w;  // Cells of a kernel.
};

Cells cells_of(const Window& w, const ImageLanes::Grid& grid) {
  const std::size_t row = grid.columns * w.channels;
  if (w.whole()) return {{1, 1, 0, 0, w.patch()}, 0, 0, 1, 1};
  const std::size_t line = w.kernel_w * w.channels;
  const std::size_t line_codes = (line + kCodeInputs - 1) / kCodeInputs;
  const std::size_t pixel_codes = w.kernel_w * ((w.channels + kCodeInputs - 1) / kCodeInputs);
  if (4 * line_codes <= 3 * pixel_codes) {
    return {{grid.rows, w.columns(), row, w.stride_w * w.channels, line}, w.stride_h, 1, w.kernel_h, 1};
  }
  return {{grid.rows, grid.columns, row, w.channels, w.channels}, w.stride_h, w.stride_w, w.kernel_h, w.kernel_w};
}

// What two channels make of the 64 codes of at most six inputs.
void fill_table(const std::int8_t* one, const std::int8_t* other, std::size_t inputs, Register& table) {
  const auto agreeing = [inputs](const std::int8_t* weights, unsigned code) {
    unsigned count = 0;
    for (std::size_t i = 0; weights != nullptr && i < inputs; ++i) {
      count += weights[i] == ((code >> i & 1u) != 0 ? 1 : -1);
    }
    return count;
  };
  for (unsigned code = 0; code < kImages; ++code) {
    table.of[code] = static_cast<std::uint8_t>(agreeing(one, code) | agreeing(other, code) << 4);
  }
}

}  // namespace

ImageLanes::ImageLanes(std::size_t channels, std::size_t height, std::size_t width, const PixelThresholds& thresholds)
    : channels_(channels), height_(height), width_(width), levels_(thresholds.count) {
  if (!lookup_unit()) throw std::invalid_argument("this processor has no tables in registers");
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) {
        const std::int32_t* const at =
            thresholds.values + c * thresholds.stride_c + y * thresholds.stride_h + x * thresholds.stride_w;
        for (std::size_t level = 0; level < levels_; ++level) {
          pixel_limits_.push_back(static_cast<std::uint16_t>(std::clamp<std::int32_t>(at[level], 0, 256)));
        }
      }
    }
  }
  grids_.push_back({channels * levels_, height, width, 0, 0});
}

// The window as bits see it: a pixel of several levels is as many channels.
Window ImageLanes::input_of(const Window& window) const {
  const Grid& grid = grids_.back();
  Window input = window;
  if (steps_.empty()) input.channels *= levels_;
  if (sums_ || input.image() != grid.words()) {
    throw std::invalid_argument("the layer does not read what the one before it leaves");
  }
  return input;
}

void ImageLanes::add(std::variant<Product, Pool> step, std::size_t channels, std::size_t height, std::size_t width) {
  steps_.push_back(std::move(step));
  grids_.push_back({channels, height, width, 0, 0});
}

void ImageLanes::add_product(const Window& window, const std::int8_t* weights, std::size_t outputs,
                             const Thresholds* thresholds) {
  const Window input = input_of(window);
  if (input.patch() > kMostLaneInputs) throw std::invalid_argument("a layer has too many inputs for lanes");
  grids_.back() = {input.channels, input.height + 2 * input.pad_h, input.width + 2 * input.pad_w, input.pad_h,
                   input.pad_w};
  const Cells cells = cells_of(input, grids_.back());
  Product product{};
  product.window = input;
  product.outputs = outputs;
  product.coding = cells.coding;
  const std::size_t codes = cells.coding.codes();
  product.row_step = cells.down * cells.coding.columns * codes;
  product.column_step = cells.across * codes;
  for (std::size_t ky = 0; ky < cells.kernel_h; ++ky) {
    for (std::size_t kx = 0; kx < cells.kernel_w; ++kx) {
      for (std::size_t j = 0; j < codes; ++j) {
        product.offsets.push_back((ky * cells.coding.columns + kx) * codes + j);
      }
    }
  }
  // Codes are looked up by twos; the table of one too many has no weights.
  const std::size_t used = product.offsets.size();
  if (used % 2 != 0) product.offsets.push_back(0);

  const std::size_t levels = input.channels / window.channels;
  std::vector<std::int8_t> bits(product.groups() * kChannels * input.patch());
  product.negatives.resize(product.groups() * kChannels);
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t k = 0; k < input.patch(); ++k) {
      const std::int8_t weight = weights[o * window.patch() + k / levels];
      bits[o * input.patch() + k] = weight;
      product.negatives[o] += weight < 0;
    }
  }
  product.tables.resize(product.groups() * product.offsets.size() * kPairs);
  for (std::size_t pair = 0; pair < product.groups() * kPairs; ++pair) {
    const std::int8_t* const one = bits.data() + 2 * pair * input.patch();
    for (std::size_t i = 0; i < used; ++i) {
      const std::size_t first = i / codes * cells.coding.bits + i % codes * kCodeInputs;
      const std::size_t count = std::min(kCodeInputs, cells.coding.bits - i % codes * kCodeInputs);
      const std::size_t group = pair / kPairs * product.offsets.size();
      fill_table(one + first, one + input.patch() + first, count, product.tables[(group + i) * kPairs + pair % kPairs]);
    }
  }

  if (thresholds != nullptr) {
    product.limit_step = thresholds->position_stride == 0 ? 0 : product.groups() * kChannels;
    for (std::size_t position = 0; position < (product.limit_step == 0 ? 1 : input.positions()); ++position) {
      for (std::size_t o = 0; o < product.groups() * kChannels; ++o) {
        const std::int64_t limit = thresholds->limits[position * thresholds->position_stride + o];
        product.limits.push_back(
            static_cast<std::uint16_t>(std::clamp<std::int64_t>(limit + product.negatives[o], 0, 65535)));
      }
    }
    for (std::size_t o = 0; o < product.groups() * kChannels; ++o) {
      product.flips.push_back((thresholds->flips[o / kLanes] >> o % kLanes & 1u) != 0 ? ~std::uint64_t{0} : 0);
    }
  }
  sums_ = thresholds == nullptr;
  cost_ += std::uint64_t{input.positions()} * outputs * product.offsets.size() / 16;
  add(std::move(product), outputs, window.rows(), window.columns());
}

void ImageLanes::add_pool(const Window& window, const std::uint8_t* conjunctive) {
  if (steps_.empty() && levels_ != 1) throw std::invalid_argument("pooling needs bits");
  const Window input = input_of(window);
  if (input.pad_h != 0 || input.pad_w != 0) throw std::invalid_argument("pooling has no padding");
  add(Pool{input, std::vector<std::uint8_t>(conjunctive, conjunctive + input.channels)}, input.channels, input.rows(),
      input.columns());
}

void ImageLanes::set_scores(std::vector<std::int32_t> bias, unsigned shift) {
  if (!sums_ || bias.size() != grids_.back().words()) {
    throw std::invalid_argument("the last layer does not leave a sum for each class");
  }
  bias_ = std::move(bias);
  shift_ = shift;
}

#if defined(BNNHW_LOOKUP)

namespace {

// 64 images' bytes of eight successive pixels, a register a pixel. rows: where each image's first one is.
BNNHW_LOOKUP_INLINE void transpose(const std::uint8_t* const* rows, std::size_t first, std::size_t count,
                                   __m512i* pixels) {
  const auto eight_of = [&](std::size_t image) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, rows[image] + first, count);
    return static_cast<long long>(eight);
  };
  alignas(64) std::uint8_t by_pixel[64];
  for (std::size_t i = 0; i < 64; ++i) by_pixel[i] = static_cast<std::uint8_t>(i % 8 * 8 + i / 8);
  const __m512i order = _mm512_load_si512(by_pixel);
  // Lane i of octets[g]: pixel i of the images 8 g and on.
  __m512i octets[8];
#pragma GCC unroll 8
  for (std::size_t g = 0; g < 8; ++g) {
    alignas(64) long long eights[8];
    for (std::size_t i = 0; i < 8; ++i) eights[i] = eight_of(8 * g + i);
    octets[g] = looked_up(order, _mm512_load_si512(eights));
  }
  alignas(64) std::uint64_t lanes[8][8];
  for (std::size_t g = 0; g < 8; ++g) _mm512_store_si512(lanes[g], octets[g]);
  for (std::size_t i = 0; i < 8; ++i) {
    alignas(64) std::uint64_t pixel[8];
    for (std::size_t g = 0; g < 8; ++g) pixel[g] = lanes[g][i];
    pixels[i] = _mm512_load_si512(pixel);
  }
}

// Bits of 64 images. limits: as pixel_limits_. Pixels in channel, height, width order, bits in the grid's.
BNNHW_LOOKUP void quantize_lanes(const std::uint8_t* const* rows, std::size_t channels, std::size_t height,
                                 std::size_t width, const std::uint16_t* limits, std::size_t levels,
                                 const ImageLanes::Grid& grid, std::uint64_t* bits) {
  const std::size_t all = channels * height * width;
  std::size_t channel = 0;
  std::size_t y = 0;
  std::size_t x = 0;
  for (std::size_t first = 0; first < all; first += 8) {
    const std::size_t count = std::min<std::size_t>(8, all - first);
    __m512i pixels[8];
    if (count == 8) {
      transpose(rows, first, 8, pixels);
    } else {
      transpose(rows, first, count, pixels);
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t* const to = bits + grid.at(y, x) + channel * levels;
      for (std::size_t level = 0; level < levels; ++level, ++limits) {
        const __m512i limit = _mm512_set1_epi8(static_cast<char>(*limits));
        to[level] = *limits > 255 ? 0 : _mm512_cmpge_epu8_mask(pixels[i], limit);
      }
      if (++x < width) continue;
      x = 0;
      if (++y < height) continue;
      y = 0;
      ++channel;
    }
  }
}

BNNHW_LOOKUP_INLINE __m512i code_of(const std::uint64_t* bits, std::size_t count) {
  __m512i code = _mm512_setzero_si512();
#pragma GCC unroll 6
  for (std::size_t i = 0; i < kCodeInputs; ++i) {
    if (i == count) break;
    code = _mm512_mask_add_epi8(code, bits[i], code, _mm512_set1_epi8(static_cast<char>(1 << i)));
  }
  return code;
}

BNNHW_LOOKUP void encode(const ImageLanes::Coding& coding, const std::uint64_t* bits, Register* codes) {
  const std::size_t whole = coding.bits / kCodeInputs;
  for (std::size_t row = 0; row < coding.rows; ++row) {
    for (std::size_t column = 0; column < coding.columns; ++column) {
      const std::uint64_t* from = bits + row * coding.row_words + column * coding.column_words;
      for (std::size_t i = 0; i < whole; ++i, from += kCodeInputs) {
        _mm512_store_si512(codes++, code_of(from, kCodeInputs));
      }
      if (whole < coding.codes()) _mm512_store_si512(codes++, code_of(from, coding.bits % kCodeInputs));
    }
  }
}

// One position of 64 images: its first code, and where its eight bits, of which the first `outputs` exist, go.
struct Spot {
  const Register* codes;
  std::uint64_t* bits;
  const std::uint16_t* limits;
};

// Which of 64 counts, of even and of odd images, reach the limit.
BNNHW_LOOKUP_INLINE std::uint64_t reached(const Totals& totals, std::uint16_t limit) {
  const __m512i limits = _mm512_set1_epi16(static_cast<short>(limit));
  return _pdep_u64(_mm512_cmpge_epu16_mask(totals.even, limits), 0x5555555555555555u) |
         _pdep_u64(_mm512_cmpge_epu16_mask(totals.odd, limits), 0xaaaaaaaaaaaaaaaau);
}

BNNHW_LOOKUP_INLINE std::uint64_t reached(__m512i counts, std::uint16_t limit) {
  return limit > 255 ? 0 : _mm512_cmpge_epu8_mask(counts, _mm512_set1_epi8(static_cast<char>(limit)));
}

// A group of eight channels at `width` positions.
template <std::size_t width>
BNNHW_LOOKUP void multiply_bits(const ImageLanes::Product& product, std::size_t group, const Spot* spots,
                                std::uint8_t* pieces) {
  const std::size_t* const offsets = product.offsets.data();
  const std::size_t additions = product.offsets.size() / 2;
  const std::uint8_t* const tables = product.tables[group * product.offsets.size() * kPairs].of;
  look_up<width>(tables, [&](std::size_t c, std::size_t i) { return spots[c].codes + offsets[i]; }, additions, pieces);
  const std::size_t count = pieces_for(additions);
  const std::size_t channels = std::min(kChannels, product.outputs - group * kChannels);
  const std::uint64_t* const flips = product.flips.data() + group * kChannels;
#pragma GCC unroll 2
  for (std::size_t c = 0; c < width; ++c) {
    std::uint64_t* const to = spots[c].bits + group * kChannels;
    const std::uint16_t* const limits = spots[c].limits + group * kChannels;
    for (std::size_t channel = 0; channel < channels; channel += 2) {
      const std::uint8_t* const from = pieces + (channel / 2 * width + c) * count * 2 * kRegister;
      std::uint64_t one;
      std::uint64_t other;
      if (count == 1) {
        const __m512i upper = _mm512_load_si512(from + kRegister);
        one = reached(_mm512_sub_epi8(_mm512_load_si512(from), moved(upper, kTimesSixteen)), limits[channel]);
        other = reached(upper, limits[channel + 1]);
      } else {
        Totals totals{_mm512_setzero_si512(), _mm512_setzero_si512()};
        Totals others = totals;
        add_pieces(from, count, totals, others);
        one = reached(totals, limits[channel]);
        other = reached(others, limits[channel + 1]);
      }
      to[channel] = one ^ flips[channel];
      if (channel + 1 < channels) to[channel + 1] = other ^ flips[channel + 1];
    }
  }
}

// The sums of 64 images, int32[kImages][outputs], of a layer with one position.
BNNHW_LOOKUP void multiply_sums(const ImageLanes::Product& product, const Register* codes, std::uint8_t* pieces,
                                std::int32_t* sums) {
  const std::size_t* const offsets = product.offsets.data();
  const std::size_t additions = product.offsets.size() / 2;
  const std::size_t count = pieces_for(additions);
  for (std::size_t group = 0; group < product.groups(); ++group) {
    const std::uint8_t* const tables = product.tables[group * product.offsets.size() * kPairs].of;
    look_up<1>(tables, [&](std::size_t, std::size_t i) { return codes + offsets[i]; }, additions, pieces);
    for (std::size_t channel = group * kChannels; channel < std::min(product.outputs, (group + 1) * kChannels);
         ++channel) {
      Totals totals[2] = {{_mm512_setzero_si512(), _mm512_setzero_si512()},
                          {_mm512_setzero_si512(), _mm512_setzero_si512()}};
      add_pieces(pieces + channel % kChannels / 2 * count * 2 * kRegister, count, totals[0], totals[1]);
      alignas(64) std::uint16_t counts[2][kImages / 2];
      _mm512_store_si512(counts[0], totals[channel % 2].even);
      _mm512_store_si512(counts[1], totals[channel % 2].odd);
      for (std::size_t image = 0; image < kImages; ++image) {
        sums[image * product.outputs + channel] = counts[image % 2][image / 2] - product.negatives[channel];
      }
    }
  }
}

void pool(const ImageLanes::Pool& step, const std::uint64_t* bits, const ImageLanes::Grid& to, std::uint64_t* pooled) {
  const Window& w = step.window;
  for (std::size_t y = 0; y < w.rows(); ++y) {
    for (std::size_t x = 0; x < w.columns(); ++x) {
      std::uint64_t* const out = pooled + to.at(y, x);
      const std::uint64_t* const first = bits + (y * w.stride_h * w.width + x * w.stride_w) * w.channels;
      for (std::size_t c = 0; c < w.channels; ++c) {
        const bool conjunctive = step.conjunctive[c] != 0;
        std::uint64_t value = first[c];
        for (std::size_t ky = 0; ky < w.kernel_h; ++ky) {
          for (std::size_t kx = 0; kx < w.kernel_w; ++kx) {
            const std::uint64_t next = first[(ky * w.width + kx) * w.channels + c];
            value = conjunctive ? value & next : value | next;
          }
        }
        out[c] = value;
      }
    }
  }
}

}  // namespace

// What a thread needs for the images that it takes together.
struct ImageLanes::Scratch {
  explicit Scratch(const ImageLanes& lanes) {
    std::size_t most_pieces = 0;
    for (const auto& step : lanes.steps_) {
      if (const auto* const product = std::get_if<Product>(&step)) {
        registers = std::max(registers, product->coding.registers());
        most_pieces = std::max(most_pieces, pieces_for(product->offsets.size() / 2));
      }
    }
    for (const Grid& grid : lanes.grids_) words = std::max(words, grid.words());
    bits[0].resize(kBlocks * words);
    bits[1].resize(kBlocks * words);
    codes.resize(kBlocks * registers);
    pieces.resize(most_pieces * kPairs * kWidth * 2);
    sums.resize(kImages * lanes.classes());
  }

  // Of a block of 64 images.
  std::size_t words = 0;
  std::size_t registers = 0;

  std::vector<std::uint64_t> bits[2];
  std::vector<Register> codes;
  std::vector<Register> pieces;
  std::vector<std::int32_t> sums;
};

void ImageLanes::run_together(const std::uint8_t* pixels, std::size_t images, Scratch& s, std::int64_t* scores,
                              std::int64_t* winners) const {
  const std::size_t blocks = (images + kImages - 1) / kImages;
  std::uint64_t* now = s.bits[0].data();
  std::uint64_t* next = s.bits[1].data();
  const auto clear = [&](const Grid& grid, std::uint64_t* bits) {
    if (grid.pad_h + grid.pad_w == 0) return;
    for (std::size_t b = 0; b < blocks; ++b) std::fill_n(bits + b * s.words, grid.words(), std::uint64_t{0});
  };
  clear(grids_[0], now);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* rows[kImages];
    // Lanes without an image repeat the last one.
    for (std::size_t i = 0; i < kImages; ++i) {
      rows[i] = pixels + std::min(b * kImages + i, images - 1) * this->pixels();
    }
    quantize_lanes(rows, channels_, height_, width_, pixel_limits_.data(), levels_, grids_[0], now + b * s.words);
  }
  std::uint8_t* const pieces = s.pieces.data()->of;
  for (std::size_t i = 0; i < steps_.size(); ++i, std::swap(now, next)) {
    const Grid& to = grids_[i + 1];
    clear(to, next);
    if (const auto* const pooling = std::get_if<Pool>(&steps_[i])) {
      for (std::size_t b = 0; b < blocks; ++b) pool(*pooling, now + b * s.words, to, next + b * s.words);
      continue;
    }
    const Product& product = std::get<Product>(steps_[i]);
    const Window& w = product.window;
    for (std::size_t b = 0; b < blocks; ++b) {
      encode(product.coding, now + b * s.words, s.codes.data() + b * s.registers);
    }
    if (product.limits.empty()) {
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t first = b * kImages;
        multiply_sums(product, s.codes.data() + b * s.registers, pieces, s.sums.data());
        scores_argmax(s.sums.data(), std::min(kImages, images - first), classes(), bias_.data(), shift_,
                      scores + first * classes(), winners + first);
      }
      continue;
    }
    const std::size_t positions = w.positions();
    const auto spot = [&](std::size_t index) {
      const std::size_t b = index / positions;
      const std::size_t y = index % positions / w.columns();
      const std::size_t x = index % w.columns();
      return Spot{s.codes.data() + b * s.registers + y * product.row_step + x * product.column_step,
                  next + b * s.words + to.at(y, x), product.limits.data() + index % positions * product.limit_step};
    };
    // The codes of a block stay in a near cache while all groups read them, where there are positions for that.
    const std::size_t together = positions == 1 ? blocks : 1;
    for (std::size_t b = 0; b < blocks; b += together) {
      for (std::size_t group = 0; group < product.groups(); ++group) {
        const std::size_t end = (b + together) * positions;
        for (std::size_t index = b * positions; index < end; index += kWidth) {
          const Spot spots[kWidth] = {spot(index), spot(std::min(index + 1, end - 1))};
          (index + 1 < end ? multiply_bits<kWidth> : multiply_bits<1>)(product, group, spots, pieces);
        }
      }
    }
  }
}

void ImageLanes::run(const std::uint8_t* pixels, std::size_t images, std::size_t threads, std::int64_t* scores,
                     std::int64_t* winners) const {
  constexpr std::size_t together = kBlocks * kImages;
  parallel_rows((images + kImages - 1) / kImages, threads, cost_, [&](std::size_t begin, std::size_t end) {
    Scratch scratch(*this);
    const std::size_t last = std::min(images, end * kImages);
    for (std::size_t first = begin * kImages; first < last; first += together) {
      run_together(pixels + first * this->pixels(), std::min(together, last - first), scratch,
                   scores + first * classes(), winners + first);
    }
  });
}

#else

// There is no unit to run it on: the constructor throws.
void ImageLanes::run(const std::uint8_t*, std::size_t, std::size_t, std::int64_t*, std::int64_t*) const {
  std::abort();
}

#endif

}  // namespace bnnhw::kernels
