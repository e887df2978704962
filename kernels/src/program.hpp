// A whole model in one call: a few images at a time go through all layers, so that activations stay in the caches and
// neither a layer nor an image costs a call from Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace bnnhw::kernels {

// One layer, from the activations of some images to their results.
struct Step {
  // Bytes that an image's result takes, and about how many word operations it is.
  std::size_t bytes;
  std::uint64_t cost;
  std::function<void(const void* activations, std::size_t images, void* result)> run;
};

class Program {
 public:
  // The first step reads pixels; the last one added leaves int32 sums, one a class, which bias and shift make scores.
  void add(Step step) { steps_.push_back(std::move(step)); }
  void set_scores(std::vector<std::int32_t> bias, unsigned shift) {
    bias_ = std::move(bias);
    shift_ = shift;
  }

  std::size_t classes() const { return bias_.size(); }
  std::size_t step_count() const { return steps_.size(); }
  const Step& step(std::size_t index) const { return steps_[index]; }

  // pixels: `images` of `pixel_bytes` each. scores: int64[images][classes], winners: int64[images]. batch: how many
  // images go through the layers together, 0 for as many as fit a second-level cache.
  void run(const std::uint8_t* pixels, std::size_t pixel_bytes, std::size_t images, std::size_t threads,
           std::size_t batch, std::int64_t* scores, std::int64_t* winners) const;

  // Every step's results for all images.
  std::vector<std::unique_ptr<std::uint64_t[]>> trace(const std::uint8_t* pixels, std::size_t images) const;

 private:
  std::vector<Step> steps_;
  std::vector<std::int32_t> bias_;
  unsigned shift_ = 0;
};

}  // namespace bnnhw::kernels
