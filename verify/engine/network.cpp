#include "network.hpp"

#include <algorithm>

namespace bnnhw::engine {

std::int32_t Network::level(std::uint32_t pixel, std::int32_t value) const {
  const Span<std::int32_t> at = pixel_thresholds(pixel);
  return static_cast<std::int32_t>(std::upper_bound(at.begin(), at.end(), value) - at.begin());
}

std::int64_t Network::needed(std::uint32_t winner, std::uint32_t loser, bool ties_win) const {
  const std::int64_t strictly = !ties_win && winner > loser ? 1 : 0;
  const std::int64_t numerator = strictly + bias[loser] - bias[winner];
  // Rounded up; an arithmetic right shift rounds down.
  return -((-numerator) >> shift);
}

}  // namespace bnnhw::engine
