#include "program.hpp"

#include <algorithm>
#include <utility>

#include "layers.hpp"
#include "parallel.hpp"

namespace bnnhw::kernels {

namespace {

// Not cleared, unlike a vector's; 64-bit words, because bit strings are read and written in words.
std::unique_ptr<std::uint64_t[]> buffer(std::size_t bytes) {
  return std::unique_ptr<std::uint64_t[]>(new std::uint64_t[bytes / sizeof(std::uint64_t) + 1]);
}

}  // namespace

void Program::run(const std::uint8_t* pixels, std::size_t pixel_bytes, std::size_t images, std::size_t threads,
                  std::size_t batch, std::int64_t* scores, std::int64_t* winners) const {
  constexpr std::size_t cache_share = std::size_t{1} << 19;
  std::size_t largest = 1;
  std::uint64_t cost = 0;
  for (const Step& step : steps_) {
    largest = std::max(largest, step.bytes);
    cost += step.cost;
  }
  // Fewer than 32 would read a layer's weights too often.
  const std::size_t together = batch != 0 ? batch : std::clamp<std::size_t>(cache_share / largest, 32, 1024);
  parallel_rows(images, threads, cost, [&](std::size_t begin, std::size_t end) {
    const std::size_t most = std::min(together, end - begin);
    auto current = buffer(most * largest);
    auto next = buffer(most * largest);
    for (std::size_t first = begin; first < end; first += most) {
      const std::size_t count = std::min(most, end - first);
      const void* activations = pixels + first * pixel_bytes;
      for (const Step& step : steps_) {
        step.run(activations, count, next.get());
        std::swap(current, next);
        activations = current.get();
      }
      scores_argmax(reinterpret_cast<const std::int32_t*>(current.get()), count, classes(), bias_.data(), shift_,
                    scores + first * classes(), winners + first);
    }
  });
}

std::vector<std::unique_ptr<std::uint64_t[]>> Program::trace(const std::uint8_t* pixels, std::size_t images) const {
  std::vector<std::unique_ptr<std::uint64_t[]>> results;
  const void* activations = pixels;
  for (const Step& step : steps_) {
    results.push_back(buffer(images * step.bytes));
    step.run(activations, images, results.back().get());
    activations = results.back().get();
  }
  return results;
}

}  // namespace bnnhw::kernels
