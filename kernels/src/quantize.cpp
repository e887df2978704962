// Pixels to levels: how many thresholds a pixel reaches. Thresholds ascend, so that is a binary search; 8-bit pixels
// with one set of thresholds for all positions are looked up in a table of 256 levels.
#include <array>

#include "layers.hpp"
#include "parallel.hpp"

namespace bnnhw::kernels {

namespace {

template <class Level, class Pixel>
Level level_of(Pixel pixel, const std::int32_t* thresholds, std::size_t count) {
  return static_cast<Level>(std::upper_bound(thresholds, thresholds + count, std::int32_t{pixel}) - thresholds);
}

// counts[i] for a plane of 8-bit pixels and a few shared thresholds: comparisons of 16 or more pixels at once.
void count_thresholds(const std::uint8_t* plane, std::size_t area, const PixelThresholds& t, std::uint8_t* counts) {
  std::fill_n(counts, area, std::uint8_t{0});
  for (std::size_t j = 0; j < t.count; ++j) {
    const std::int32_t threshold = t.values[j];
    if (threshold > 255) break;
    const auto reached = static_cast<std::uint8_t>(std::max(threshold, 0));
    for (std::size_t i = 0; i < area; ++i) {
      counts[i] = static_cast<std::uint8_t>(counts[i] + (plane[i] >= reached ? 1 : 0));
    }
  }
}

bool shared(const PixelThresholds& t) { return t.stride_c == 0 && t.stride_h == 0 && t.stride_w == 0; }

}  // namespace

template <class Pixel, class Level>
void quantize(const Pixel* pixels, std::size_t images, std::size_t channels, std::size_t height, std::size_t width,
              const PixelThresholds& thresholds, Level* levels, std::size_t threads) {
  const std::size_t area = height * width;
  std::array<Level, 256> table{};
  constexpr bool bytes = sizeof(Pixel) == 1 && sizeof(Level) == 1;
  constexpr std::size_t few = 8;
  const bool compare = bytes && shared(thresholds) && thresholds.count <= few;
  const bool look_up = sizeof(Pixel) == 1 && shared(thresholds) && !compare;
  if (look_up) {
    for (std::size_t p = 0; p < table.size(); ++p) {
      table[p] = level_of<Level>(static_cast<std::int32_t>(p), thresholds.values, thresholds.count);
    }
  }
  parallel_rows(images, threads, 4 * channels * area, [&](std::size_t begin, std::size_t end) {
    std::vector<Level> counts(compare && channels > 1 ? area : 0);
    for (std::size_t n = begin; n < end; ++n) {
      for (std::size_t c = 0; c < channels; ++c) {
        const Pixel* plane = pixels + (n * channels + c) * area;
        Level* out = levels + n * channels * area + c;
        if constexpr (bytes) {
          if (compare) {
            count_thresholds(plane, area, thresholds, channels > 1 ? counts.data() : out);
            for (std::size_t i = 0; i < counts.size(); ++i) out[i * channels] = counts[i];
            continue;
          }
        }
        if (look_up) {
          for (std::size_t i = 0; i < area; ++i) out[i * channels] = table[static_cast<std::uint8_t>(plane[i])];
          continue;
        }
        for (std::size_t y = 0; y < height; ++y) {
          for (std::size_t x = 0; x < width; ++x) {
            const std::int32_t* t = thresholds.values + c * thresholds.stride_c + y * thresholds.stride_h +
                                    x * thresholds.stride_w;
            out[(y * width + x) * channels] = level_of<Level>(plane[y * width + x], t, thresholds.count);
          }
        }
      }
    }
  });
}

template <class Pixel>
void quantize_bits(const Pixel* pixels, std::size_t images, std::size_t channels, std::size_t height,
                   std::size_t width, const PixelThresholds& thresholds, std::uint64_t* bits, std::size_t threads) {
  const std::size_t area = height * width;
  const std::size_t count = channels * area;
  const std::size_t words = words_for(count);
  // Thresholds in the order of the bits: height, width, channel.
  std::vector<std::int32_t> limits(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t c = i % channels;
    const std::size_t y = i / channels / width;
    const std::size_t x = i / channels % width;
    limits[i] = thresholds.values[c * thresholds.stride_c + y * thresholds.stride_h + x * thresholds.stride_w];
  }
  parallel_rows(images, threads, count, [&](std::size_t begin, std::size_t end) {
    std::vector<Pixel> ordered(channels == 1 ? 0 : count);
    for (std::size_t n = begin; n < end; ++n) {
      const Pixel* image = pixels + n * count;
      if (channels != 1) {
        for (std::size_t c = 0; c < channels; ++c) {
          for (std::size_t i = 0; i < area; ++i) ordered[i * channels + c] = image[c * area + i];
        }
        image = ordered.data();
      }
      for (std::size_t first = 0; first < count; first += kWordBits) {
        const std::size_t piece = std::min(kWordBits, count - first);
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < piece; ++i) {
          word |= std::uint64_t{image[first + i] >= limits[first + i]} << i;
        }
        bits[n * words + first / kWordBits] = word;
      }
    }
  });
}

#define BNNHW_QUANTIZE(PIXEL, LEVEL)                                                                                 \
  template void quantize(const PIXEL*, std::size_t, std::size_t, std::size_t, std::size_t, const PixelThresholds&,   \
                         LEVEL*, std::size_t)
BNNHW_QUANTIZE(std::uint8_t, std::uint8_t);
BNNHW_QUANTIZE(std::uint8_t, std::int16_t);
BNNHW_QUANTIZE(std::uint8_t, std::int32_t);
BNNHW_QUANTIZE(std::int32_t, std::uint8_t);
BNNHW_QUANTIZE(std::int32_t, std::int16_t);
BNNHW_QUANTIZE(std::int32_t, std::int32_t);
#undef BNNHW_QUANTIZE

template void quantize_bits(const std::uint8_t*, std::size_t, std::size_t, std::size_t, std::size_t,
                            const PixelThresholds&, std::uint64_t*, std::size_t);
template void quantize_bits(const std::int32_t*, std::size_t, std::size_t, std::size_t, std::size_t,
                            const PixelThresholds&, std::uint64_t*, std::size_t);

}  // namespace bnnhw::kernels
