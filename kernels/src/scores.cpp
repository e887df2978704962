// The output layer's scores and the class: the largest score, the lowest index on a tie.
#include "layers.hpp"

namespace bnnhw::kernels {

void scores_argmax(const std::int32_t* sums, std::size_t images, std::size_t classes, const std::int32_t* bias,
                   unsigned shift, std::int64_t* scores, std::int64_t* winners) {
  const std::int64_t scale = std::int64_t{1} << shift;
  for (std::size_t n = 0; n < images; ++n) {
    std::size_t best = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      scores[n * classes + c] = sums[n * classes + c] * scale + bias[c];
      if (scores[n * classes + c] > scores[n * classes + best]) best = c;
    }
    winners[n] = static_cast<std::int64_t>(best);
  }
}

}  // namespace bnnhw::kernels
