// Max pooling of bits: the OR of a window, or its AND for channels whose comparison is flipped.
#include <vector>

#include "layers.hpp"
#include "parallel.hpp"

namespace bnnhw::kernels {

void max_pool(const std::uint64_t* bits, std::size_t images, const Window& window, const std::uint64_t* conjunctive,
              std::uint64_t* pooled, std::size_t threads) {
  const std::size_t image_words = words_for(window.image());
  const std::size_t channels = window.channels;
  const std::size_t result_words = words_for(window.positions() * channels);
  const std::uint64_t cost = std::uint64_t{window.positions()} * window.kernel_h * window.kernel_w *
                             words_for(channels) * 2;
  parallel_rows(images, threads, cost, [&](std::size_t begin, std::size_t end) {
    std::vector<std::uint64_t> image(image_words + 1);
    for (std::size_t n = begin; n < end; ++n) {
      std::copy_n(bits + n * image_words, image_words, image.begin());
      std::uint64_t* result = pooled + n * result_words;
      std::size_t position = 0;
      for (std::size_t row = 0; row < window.rows(); ++row) {
        for (std::size_t column = 0; column < window.columns(); ++column, ++position) {
          for (std::size_t channel = 0; channel < channels; channel += kWordBits) {
            const std::size_t count = std::min(kWordBits, channels - channel);
            std::uint64_t any = 0;
            std::uint64_t all = ~std::uint64_t{0};
            for (std::size_t ky = 0; ky < window.kernel_h; ++ky) {
              const std::size_t top = row * window.stride_h + ky;
              for (std::size_t kx = 0; kx < window.kernel_w; ++kx) {
                const std::size_t pixel = top * window.width + column * window.stride_w + kx;
                const std::uint64_t piece = read_bits(image.data(), pixel * channels + channel, count);
                any |= piece;
                all &= piece;
              }
            }
            const std::uint64_t choose = conjunctive[channel / kWordBits];
            or_bits(result, position * channels + channel, (any & ~choose) | (all & choose), count);
          }
        }
      }
    }
  });
}

void max_pool_bytes(const std::uint8_t* bytes, std::size_t images, const Window& window,
                    const std::uint8_t* conjunctive, std::uint8_t* pooled) {
  const std::size_t channels = window.channels;
  for (std::size_t n = 0; n < images; ++n, bytes += window.image()) {
    for (std::size_t row = 0; row < window.rows(); ++row) {
      for (std::size_t column = 0; column < window.columns(); ++column, pooled += channels) {
        std::copy_n(conjunctive, channels, pooled);
        for (std::size_t ky = 0; ky < window.kernel_h; ++ky) {
          const std::size_t first = (row * window.stride_h + ky) * window.width + column * window.stride_w;
          for (std::size_t kx = 0; kx < window.kernel_w; ++kx) {
            const std::uint8_t* const from = bytes + (first + kx) * channels;
            for (std::size_t c = 0; c < channels; ++c) {
              pooled[c] = static_cast<std::uint8_t>(conjunctive[c] != 0 ? pooled[c] & from[c] : pooled[c] | from[c]);
            }
          }
        }
      }
    }
  }
}

}  // namespace bnnhw::kernels
