#include "digit_products.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define BNNHW_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl")]]
#define BNNHW_AVX512_INLINE [[gnu::target("avx512f,avx512bw,avx512vl"), gnu::always_inline]] inline
#endif

namespace bnnhw::kernels {

namespace {

constexpr std::size_t most_inputs_in_two = 2047;
constexpr std::size_t most_inputs_as_ones = 8192;

}  // namespace

DigitWeights::DigitWeights(const std::int8_t* weights, std::size_t outputs, std::size_t inputs) : outputs_(outputs) {
  std::size_t most = 0;
  bool zeros = false;
  for (std::size_t o = 0; o < outputs; ++o) {
    const auto none = static_cast<std::size_t>(std::count(weights + o * inputs, weights + (o + 1) * inputs, 0));
    most = std::max(most, inputs - none);
    zeros = zeros || none != 0;
  }
  if (most > kMostDigitInputs) throw std::invalid_argument("an output has too many inputs for digits");
  digits_ = most <= most_inputs_in_two                ? Digits::three_in_two
            : !zeros && inputs <= most_inputs_as_ones ? Digits::ones_three_in_two
                                                      : Digits::four_in_three;
  const bool ones = digits_ == Digits::ones_three_in_two;
  const int base = ones ? -128 : 64;
  const std::size_t together = kTileOutputs * (chain() + 1);
  const std::size_t groups = (outputs + together - 1) / together;
  std::vector<std::int8_t> encoded(groups * chain() * kTileOutputs * inputs);
  const auto digit = [&](std::size_t o, std::size_t i) {
    const int weight = o < outputs ? weights[o * inputs + i] : 0;
    return ones ? weight > 0 : weight;
  };
  for (std::size_t column = 0; column < groups * chain() * kTileOutputs; ++column) {
    const std::size_t tile = column / kTileOutputs;
    const std::size_t o = tile / chain() * together + tile % chain() * kTileOutputs + column % kTileOutputs;
    for (std::size_t i = 0; i < inputs; ++i) {
      encoded[column * inputs + i] = static_cast<std::int8_t>(digit(o, i) + base * digit(o + kTileOutputs, i));
    }
  }
  tiles_.emplace(encoded.data(), groups * chain() * kTileOutputs, 1, inputs);
}

#if defined(__x86_64__)

namespace {

constexpr std::size_t row_chain = 3;
constexpr std::size_t rows_together = row_chain + 1;
constexpr int row_shift = 7;
// Images whose digits fill three tiles.
constexpr std::size_t images_together = rows_together * kTileHeight;
constexpr std::size_t tile_sums = kTileHeight * kTileOutputs;
// A panel is the groups of outputs whose sums are kept until they are read off: several, so that results are written in
// longer pieces, but no more than leave most of the second-level cache to the rows.
constexpr std::size_t most_groups_together = 4;
constexpr std::size_t most_panel_bytes = std::size_t{1} << 18;
// Tiles along the inputs that are multiplied before others: those of two rows and two columns, 32 KiB, stay in the
// first-level cache.
constexpr std::size_t steps_together = 8;

// Digits of four images, a bit of one and 128 times the bit of the next in a byte, and their numbers of ones. words:
// null for an image that is not there.
BNNHW_AVX512 void chain_rows(const std::uint64_t* const* words, std::size_t count, std::uint8_t* rows,
                             std::size_t tile_bytes, std::int32_t* ones) {
  const __m512i one = _mm512_set1_epi8(1);
  std::fill_n(ones, rows_together, 0);
  for (std::size_t word = 0; word < count; ++word) {
    std::uint64_t bits[rows_together];
    for (std::size_t r = 0; r < rows_together; ++r) {
      bits[r] = words[r] == nullptr ? 0 : words[r][word];
      ones[r] += __builtin_popcountll(bits[r]);
    }
    for (std::size_t r = 0; r < row_chain; ++r) {
      const __m512i next = _mm512_maskz_set1_epi8(_cvtu64_mask64(bits[r + 1]), static_cast<char>(1 << row_shift));
      _mm512_store_si512(rows + r * tile_bytes + word * kTileBytes,
                         _mm512_mask_add_epi8(next, _cvtu64_mask64(bits[r]), next, one));
    }
  }
}

// With a mask of all, because GCC 12 takes the plain forms to read what they leave undefined.
template <int count>
BNNHW_AVX512_INLINE __m512i left(__m512i values) {
  return _mm512_maskz_slli_epi32(0xffff, values, count);
}
template <int count>
BNNHW_AVX512_INLINE __m512i right(__m512i values) {
  return _mm512_maskz_srai_epi32(0xffff, values, count);
}

// The last `bits` of each number, with a sign.
template <int bits>
BNNHW_AVX512_INLINE __m512i remainder_of(__m512i values) {
  return right<32 - bits>(left<32 - bits>(values));
}

// Four rows from three: v[i] = z[i] + 2^7 z[i + 1].
BNNHW_AVX512_INLINE void unchain_rows(const __m512i* v, __m512i* z) {
  const __m512i low = _mm512_sub_epi32(v[0], left<row_shift>(v[1]));
  z[0] = remainder_of<3 * row_shift>(_mm512_add_epi32(low, left<2 * row_shift>(v[2])));
  for (std::size_t i = 0; i < row_chain; ++i) z[i + 1] = right<row_shift>(_mm512_sub_epi32(v[i], z[i]));
}

// v[i] = s[i] + B s[i + 1]; ones: how many the row has.
template <Digits digits>
BNNHW_AVX512_INLINE void unchain_columns(const __m512i* v, std::int32_t ones, __m512i* s) {
  if constexpr (digits == Digits::ones_three_in_two) {
    const __m512i sum = _mm512_add_epi32(v[0], left<7>(v[1]));
    const __m512i first = _mm512_and_si512(sum, _mm512_set1_epi32((1 << 14) - 1));
    const __m512i second = right<7>(_mm512_sub_epi32(first, v[0]));
    const __m512i third = right<7>(_mm512_sub_epi32(second, v[1]));
    const __m512i total = _mm512_set1_epi32(ones);
    s[0] = _mm512_sub_epi32(left<1>(first), total);
    s[1] = _mm512_sub_epi32(left<1>(second), total);
    s[2] = _mm512_sub_epi32(left<1>(third), total);
  } else {
    constexpr std::size_t chain = digits == Digits::four_in_three ? 3 : 2;
    __m512i sum = _mm512_sub_epi32(v[0], left<6>(v[1]));
    if constexpr (chain == 3) sum = _mm512_add_epi32(sum, left<12>(v[2]));
    s[0] = remainder_of<6 * chain>(sum);
    for (std::size_t i = 0; i < chain; ++i) s[i + 1] = right<6>(_mm512_sub_epi32(v[i], s[i]));
  }
}

// Sums of 16 outputs from `first` on.
BNNHW_AVX512_INLINE void store(__m512i sums, std::size_t row, std::size_t first, std::size_t outputs,
                               const TileResult& result) {
  const auto some = static_cast<__mmask16>(low_ones(std::min(kTileOutputs, outputs - first)));
  if (result.sums != nullptr) {
    _mm512_mask_storeu_epi32(result.sums + row * outputs + first, some, sums);
    return;
  }
  const Thresholds& t = *result.thresholds;
  const std::size_t block = first / kLanes;
  const unsigned flips = t.flips[block] | (block + 1 < blocks_for(outputs) ? t.flips[block + 1] << 8 : 0);
  const unsigned reached = _mm512_mask_cmpge_epi32_mask(some, sums, _mm512_maskz_loadu_epi32(some, t.limits + first));
  result.bits[row * words_for(outputs) + first / kWordBits] |= std::uint64_t{(reached ^ flips) & some}
                                                               << first % kWordBits;
}

// A panel's results from the sums of its digits, tiles of int32[16][16] by tile of rows and column.
template <Digits digits>
BNNHW_AVX512 void read_off(const std::int32_t* sums, std::size_t columns, const std::int32_t* ones,
                           std::size_t first_row, std::size_t count, std::size_t first_output, std::size_t outputs,
                           const TileResult& result) {
  constexpr std::size_t chain = digits == Digits::four_in_three ? 3 : 2;
  for (std::size_t row = 0; row < count; row += rows_together) {
    const std::size_t tile = row / images_together * row_chain;
    const std::int32_t* const at = sums + tile * columns * tile_sums + row % images_together / rows_together * 16;
    const std::size_t rows = std::min(rows_together, count - row);
    for (std::size_t group = 0; group * chain < columns; ++group) {
      __m512i by_row[chain][rows_together];
      for (std::size_t c = 0; c < chain; ++c) {
        __m512i v[row_chain];
        for (std::size_t r = 0; r < row_chain; ++r) {
          v[r] = _mm512_load_si512(at + (r * columns + group * chain + c) * tile_sums);
        }
        unchain_rows(v, by_row[c]);
      }
      const std::size_t first = first_output + group * (chain + 1) * kTileOutputs;
#pragma GCC unroll 4
      for (std::size_t r = 0; r < rows_together; ++r) {
        if (r >= rows) break;
        __m512i v[chain];
        for (std::size_t c = 0; c < chain; ++c) v[c] = by_row[c][r];
        __m512i s[chain + 1];
        unchain_columns<digits>(v, ones[row + r], s);
        for (std::size_t c = 0; c <= chain && first + c * kTileOutputs < outputs; ++c) {
          store(s[c], first_row + row + r, first + c * kTileOutputs, outputs, result);
        }
      }
    }
  }
}

// The sums of a panel: all row tiles, pairs of them except for a last one, by the columns from `first` on.
void multiply_panel(const TileUnit& unit, const std::uint8_t* rows, std::size_t tiles, std::size_t stride,
                    const DigitWeights& weights, std::size_t first, std::size_t columns, std::int32_t* sums,
                    std::int32_t* unused) {
  const auto row_tile = [&](std::size_t i) { return TileRows{rows + i * kTileHeight * stride, 0, kTileHeight}; };
  const auto column = [&](std::size_t c) { return weights.tiles().column(first + std::min(c, columns - 1)); };
  const auto place = [&](std::size_t t, std::size_t c) {
    return c < columns ? sums + (t * columns + c) * tile_sums : unused;
  };
  const std::size_t paired = tiles / 2 * 2;
  const std::size_t all = weights.tiles().steps();
  for (std::size_t step = 0; step < all; step += steps_together) {
    const Steps steps{step, std::min(all, step + steps_together)};
    for (std::size_t c = 0; c < columns; c += 2) {
      const std::int8_t* const two[] = {column(c), column(c + 1)};
      for (std::size_t t = 0; t < paired; t += 2) {
        const TileRows pair[] = {row_tile(t), row_tile(t + 1)};
        unit.multiply_2x2(
            pair, {stride, 0}, two, weights.tiles(), steps,
            {{place(t, c), place(t, c + 1), place(t + 1, c), place(t + 1, c + 1)}, kTileOutputs, step != 0});
      }
    }
    for (std::size_t c = 0; c < columns && paired < tiles; c += 4) {
      const TileRows last = row_tile(paired);
      const std::int8_t* const four[] = {column(c), column(c + 1), column(c + 2), column(c + 3)};
      unit.multiply_1x4(&last, {stride, 0}, four, weights.tiles(), steps,
                        {{place(paired, c), place(paired, c + 1), place(paired, c + 2), place(paired, c + 3)},
                         kTileOutputs,
                         step != 0});
    }
  }
}

}  // namespace

void digit_dense(const TileUnit& unit, const std::uint64_t* activations, std::size_t images,
                 const DigitWeights& weights, const TileResult& result) {
  if (images == 0) return;
  const std::size_t words = words_for(weights.inputs());
  // An odd multiple of 64 bytes, because the 16 rows of a tile would otherwise share a few sets of the cache.
  const std::size_t stride = (weights.tiles().steps() | 1) * kTileBytes;
  const std::size_t most = rows_of_a_pass(images, images_together, stride * row_chain / rows_together);
  const std::size_t tiles = most / images_together * row_chain;
  const std::size_t group_bytes = weights.chain() * weights.tiles().steps() * kTileSize;
  const std::size_t columns =
      std::clamp<std::size_t>(most_panel_bytes / group_bytes, 1, most_groups_together) * weights.chain();
  const std::size_t rows_bytes = tiles * kTileHeight * stride;
  const std::size_t sums_bytes = (tiles * columns + 1) * tile_sums * sizeof(std::int32_t);
  std::uint8_t* const rows = thread_scratch(rows_bytes + sums_bytes + most * sizeof(std::int32_t));
  auto* const sums = reinterpret_cast<std::int32_t*>(rows + rows_bytes);
  std::int32_t* const unused = sums + tiles * columns * tile_sums;
  std::int32_t* const ones = unused + tile_sums;
  const auto read = weights.digits() == Digits::three_in_two    ? read_off<Digits::three_in_two>
                    : weights.digits() == Digits::four_in_three ? read_off<Digits::four_in_three>
                                                                : read_off<Digits::ones_three_in_two>;
  const UnitInUse in_use(unit);
  for (std::size_t first = 0; first < images; first += most) {
    const std::size_t count = std::min(most, images - first);
    const std::size_t used_tiles = (count + images_together - 1) / images_together * row_chain;
    for (std::size_t four = 0; four < used_tiles / row_chain * images_together; four += rows_together) {
      const std::uint64_t* from[rows_together];
      for (std::size_t r = 0; r < rows_together; ++r) {
        from[r] = four + r < count ? activations + (first + four + r) * words : nullptr;
      }
      const std::size_t row = four / images_together * row_chain * kTileHeight + four % images_together / rows_together;
      chain_rows(from, words, rows + row * stride, kTileHeight * stride, ones + four);
    }
    for (std::size_t column = 0; column < weights.tiles().columns(); column += columns) {
      const std::size_t some = std::min(columns, weights.tiles().columns() - column);
      multiply_panel(unit, rows, used_tiles, stride, weights, column, some, sums, unused);
      const std::size_t output = column / weights.chain() * (weights.chain() + 1) * kTileOutputs;
      read(sums, some, ones, first, count, output, weights.outputs(), result);
    }
  }
}

#else

// There is no unit to call it with.
void digit_dense(const TileUnit&, const std::uint64_t*, std::size_t, const DigitWeights&, const TileResult&) {
  std::abort();
}

#endif

}  // namespace bnnhw::kernels
