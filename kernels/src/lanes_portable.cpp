// The loops in standard C++, compiled for the architecture's baseline and, on x86-64, once more for processors
// with a popcount instruction.
#include "instruction_set.hpp"

namespace bnnhw::kernels {

namespace {

[[gnu::always_inline]] inline void ternary_loop(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                                std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint64_t* bits = rows + row * stride;
    std::int32_t lanes[kLanes] = {};
    for (std::size_t word = 0; word < words; ++word) {
      const std::uint64_t* positive = block + word * 2 * kLanes;
      const std::uint64_t* negative = positive + kLanes;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += __builtin_popcountll(bits[word] & positive[lane]);
        lanes[lane] -= __builtin_popcountll(bits[word] & negative[lane]);
      }
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[row * kLanes + lane] = lanes[lane];
  }
}

[[gnu::always_inline]] inline void binary_loop(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                               std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint64_t* bits = rows + row * stride;
    std::int32_t lanes[kLanes] = {};
    std::int32_t ones = 0;
    for (std::size_t word = 0; word < words; ++word) {
      ones += __builtin_popcountll(bits[word]);
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += __builtin_popcountll(bits[word] & block[word * kLanes + lane]);
      }
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[row * kLanes + lane] = 2 * lanes[lane] - ones;
  }
}

[[gnu::always_inline]] inline void levels_loop(const std::int16_t* rows, std::size_t count, std::size_t pairs,
                                               const std::int16_t* block, std::int32_t* sums) {
  for (std::size_t row = 0; row < count; ++row) {
    const std::int16_t* values = rows + row * 2 * pairs;
    std::int32_t lanes[kLanes] = {};
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const std::int16_t* weights = block + pair * 2 * kLanes;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += values[2 * pair] * weights[2 * lane] + values[2 * pair + 1] * weights[2 * lane + 1];
      }
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[row * kLanes + lane] = lanes[lane];
  }
}

[[gnu::always_inline]] inline void compare_loop(const std::int32_t* sums, std::size_t count,
                                                const std::int32_t* limits, std::size_t limit_stride,
                                                std::uint8_t flip, std::uint8_t* bits) {
  for (std::size_t row = 0; row < count; ++row) {
    unsigned reached = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      reached |= unsigned{sums[row * kLanes + lane] >= limits[row * limit_stride + lane]} << lane;
    }
    bits[row] = static_cast<std::uint8_t>(reached ^ flip);
  }
}

void portable_ternary(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                      const std::uint64_t* block, std::int32_t* sums) {
  ternary_loop(rows, stride, count, words, block, sums);
}

void portable_binary(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                     const std::uint64_t* block, std::int32_t* sums) {
  binary_loop(rows, stride, count, words, block, sums);
}

void portable_levels(const std::int16_t* rows, std::size_t count, std::size_t pairs, const std::int16_t* block,
                     std::int32_t* sums) {
  levels_loop(rows, count, pairs, block, sums);
}

void portable_compare(const std::int32_t* sums, std::size_t count, const std::int32_t* limits,
                      std::size_t limit_stride, std::uint8_t flip, std::uint8_t* bits) {
  compare_loop(sums, count, limits, limit_stride, flip, bits);
}

#if defined(__x86_64__)
[[gnu::target("popcnt")]] void popcnt_ternary(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                              std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  ternary_loop(rows, stride, count, words, block, sums);
}

[[gnu::target("popcnt")]] void popcnt_binary(const std::uint64_t* rows, std::size_t stride, std::size_t count,
                                             std::size_t words, const std::uint64_t* block, std::int32_t* sums) {
  binary_loop(rows, stride, count, words, block, sums);
}
#endif

}  // namespace

const InstructionSet* portable_lanes() {
  static constexpr InstructionSet set{"portable",      portable_ternary, portable_binary,
                                      portable_levels, portable_compare, nullptr};
  return &set;
}

const InstructionSet* popcnt_lanes() {
#if defined(__x86_64__)
  static constexpr InstructionSet set{"popcnt",        popcnt_ternary,   popcnt_binary,
                                      portable_levels, portable_compare, nullptr};
  return &set;
#else
  return nullptr;
#endif
}

}  // namespace bnnhw::kernels
