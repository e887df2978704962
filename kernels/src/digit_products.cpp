#include "digit_products.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxint8intrin.h>)
#include <immintrin.h>
#define BNNHW_AMX [[gnu::target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8")]]
#define BNNHW_AMX_INLINE [[gnu::target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8"), gnu::always_inline]] inline
#endif

namespace bnnhw::kernels {

#if defined(BNNHW_AMX)

namespace {

constexpr std::size_t row_chain = 3;
constexpr std::size_t rows_together = row_chain + 1;
constexpr int row_shift = 7;
// Images whose digits fill three tiles.
constexpr std::size_t images_together = rows_together * kTileHeight;
constexpr std::size_t tile_sums = kTileHeight * kTileOutputs;
// Groups of outputs in a panel: with fewer, results are written in short pieces; with more, sums leave the cache.
constexpr std::size_t groups_together = 2;
// Tiles along the inputs that are multiplied before others: those of two rows and two columns, 32 KiB, stay in the
// first-level cache.
constexpr std::size_t steps_together = 8;

// Digits of four images, a bit of one and 128 times the bit of the next in a byte, and their numbers of ones. words:
// null for an image that is not there.
BNNHW_AMX void chain_rows(const std::uint64_t* const* words, std::size_t count, std::uint8_t* rows,
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
BNNHW_AMX_INLINE __m512i left(__m512i values) {
  return _mm512_maskz_slli_epi32(0xffff, values, count);
}
template <int count>
BNNHW_AMX_INLINE __m512i right(__m512i values) {
  return _mm512_maskz_srai_epi32(0xffff, values, count);
}

// The last `bits` of each number, with a sign.
template <int bits>
BNNHW_AMX_INLINE __m512i remainder_of(__m512i values) {
  return right<32 - bits>(left<32 - bits>(values));
}

// Four rows from three: v[i] = z[i] + 2^7 z[i + 1].
BNNHW_AMX_INLINE void unchain_rows(const __m512i* v, __m512i* z) {
  const __m512i low = _mm512_sub_epi32(v[0], left<row_shift>(v[1]));
  z[0] = remainder_of<3 * row_shift>(_mm512_add_epi32(low, left<2 * row_shift>(v[2])));
  for (std::size_t i = 0; i < row_chain; ++i) z[i + 1] = right<row_shift>(_mm512_sub_epi32(v[i], z[i]));
}

// v[i] = s[i] + B s[i + 1]; ones: how many the row has.
template <Digits digits>
BNNHW_AMX_INLINE void unchain_columns(const __m512i* v, std::int32_t ones, __m512i* s) {
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

// A panel: groups of outputs that are multiplied together. Its sums are tiles of int32[16][16] by tile of rows and
// column, and are read off in pieces, four rows of a group. While the matrix unit multiplies the next panel, the vector
// units and the way to memory are idle otherwise, so that is when: a piece has few instructions, lest the processor no
// longer sees far enough ahead to keep the unit busy.
template <Digits digits, bool to_bits>
class Panel {
 public:
  static constexpr std::size_t chain = digits == Digits::four_in_three ? 3 : 2;

  // Nothing to read off.
  Panel() = default;
  // The sums of `rows` rows from `first_row` on by `columns` columns, the first of which belongs to `first_output`.
  // ones: how many each row has.
  Panel(const std::int32_t* sums, std::size_t columns, const std::int32_t* ones, std::size_t first_row,
        std::size_t rows, std::size_t first_output, std::size_t outputs, const TileResult& result)
      : at_(sums), columns_(columns), ones_(ones), rows_(rows) {
    for (std::size_t i = 0; i < columns / chain * (chain + 1); ++i) {
      const std::size_t from = std::min(outputs, first_output + i * kTileOutputs);
      const std::size_t count = std::min(kTileOutputs, outputs - from);
      some_[i] = static_cast<std::uint16_t>((1u << count) - 1);
      for (std::size_t o = from; to_bits && o < from + count; ++o) {
        limits_[i * kTileOutputs + o - from] = result.thresholds->limits[o];
        flips_[i] |=
            static_cast<std::uint16_t>((result.thresholds->flips[o / kLanes] >> o % kLanes & 1u) << (o - from));
      }
    }
    if constexpr (to_bits) {
      out_stride_ = words_for(outputs) * sizeof(std::uint64_t);
      out_ = reinterpret_cast<char*>(result.bits) + first_row * out_stride_ + first_output / 8;
    } else {
      out_stride_ = outputs * sizeof(std::int32_t);
      out_ = reinterpret_cast<char*>(result.sums) + first_row * out_stride_ + first_output * sizeof(std::int32_t);
    }
  }

  std::size_t pieces() const { return (rows_ + rows_together - 1) / rows_together * (columns_ / chain); }

  BNNHW_AMX_INLINE void read_piece() {
    // Of 16 results.
    constexpr std::size_t bytes = to_bits ? sizeof(std::uint16_t) : kTileOutputs * sizeof(std::int32_t);
    const std::size_t first = group_ * (chain + 1);
    char* out = out_ + first * bytes;
    __m512i by_row[chain][rows_together];
    for (std::size_t c = 0; c < chain; ++c) {
      __m512i v[row_chain];
      for (std::size_t r = 0; r < row_chain; ++r) {
        v[r] = _mm512_load_si512(at_ + (r * columns_ + group_ * chain + c) * tile_sums);
      }
      unchain_rows(v, by_row[c]);
    }
    const std::size_t left = rows_ - row_;
#pragma GCC unroll 4
    for (std::size_t r = 0; r < rows_together; ++r) {
      if (r >= left) break;
      __m512i v[chain];
      for (std::size_t c = 0; c < chain; ++c) v[c] = by_row[c][r];
      __m512i s[chain + 1];
      unchain_columns<digits>(v, ones_[row_ + r], s);
      for (std::size_t c = 0; c <= chain; ++c) {
        if constexpr (to_bits) {
          if (some_[first + c] == 0) break;
          const __m512i limits = _mm512_load_si512(limits_ + (first + c) * kTileOutputs);
          const unsigned reached = _mm512_mask_cmpge_epi32_mask(some_[first + c], s[c], limits) ^ flips_[first + c];
          std::memcpy(out + c * bytes, &reached, bytes);
        } else {
          _mm512_mask_storeu_epi32(out + c * bytes, some_[first + c], s[c]);
        }
      }
      out += out_stride_;
    }
    if (++group_ == columns_ / chain) next_rows();
  }

 private:
  BNNHW_AMX_INLINE void next_rows() {
    group_ = 0;
    row_ += rows_together;
    at_ += kTileOutputs;
    if (row_ % images_together == 0) at_ += (row_chain * columns_ - 1) * tile_sums;
    out_ += rows_together * out_stride_;
  }

  // The next piece, and where its rows' sums and results begin.
  std::size_t group_ = 0;
  std::size_t row_ = 0;
  const std::int32_t* at_ = nullptr;
  char* out_ = nullptr;

  std::size_t columns_ = 0;
  const std::int32_t* ones_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t out_stride_ = 0;
  // By 16 outputs: which of them there are, and their thresholds.
  std::uint16_t some_[groups_together * (chain + 1)] = {};
  std::uint16_t flips_[groups_together * (chain + 1)] = {};
  alignas(64) std::int32_t limits_[groups_together * (chain + 1) * kTileOutputs] = {};
};

// Spreads the pieces of a panel evenly over `steps` calls.
template <class Panel>
class Pace {
 public:
  Pace(Panel& panel, std::size_t steps) : panel_(panel), pieces_(panel.pieces()), steps_(steps) {}

  BNNHW_AMX_INLINE void step() {
    for (due_ += pieces_; due_ >= steps_; due_ -= steps_) panel_.read_piece();
  }

 private:
  Panel& panel_;
  std::size_t pieces_;
  std::size_t steps_;
  std::size_t due_ = 0;
};

struct Block {
  const std::uint8_t* rows[2];
  std::size_t stride;
  const std::int8_t* columns[4];
  std::int32_t* sums[4];
  std::size_t first_step, end_step;
};

BNNHW_AMX_INLINE void begin(const Block& block) {
  constexpr std::size_t row_bytes = kTileOutputs * sizeof(std::int32_t);
  if (block.first_step == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    return;
  }
  _tile_loadd(0, block.sums[0], row_bytes);
  _tile_loadd(1, block.sums[1], row_bytes);
  _tile_loadd(2, block.sums[2], row_bytes);
  _tile_loadd(3, block.sums[3], row_bytes);
}

BNNHW_AMX_INLINE void end(const Block& block) {
  constexpr std::size_t row_bytes = kTileOutputs * sizeof(std::int32_t);
  _tile_stored(0, block.sums[0], row_bytes);
  _tile_stored(1, block.sums[1], row_bytes);
  _tile_stored(2, block.sums[2], row_bytes);
  _tile_stored(3, block.sums[3], row_bytes);
}

// Sums of two tiles of rows by two columns.
template <class Panel>
BNNHW_AMX void multiply_2x2(const Block& block, Pace<Panel>& meanwhile) {
  begin(block);
  for (std::size_t step = block.first_step; step < block.end_step; ++step) {
    _tile_loadd(4, block.rows[0] + step * kTileBytes, block.stride);
    _tile_loadd(6, block.columns[0] + step * kTileSize, kTileBytes);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, block.columns[1] + step * kTileSize, kTileBytes);
    _tile_dpbusd(1, 4, 7);
    _tile_loadd(5, block.rows[1] + step * kTileBytes, block.stride);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
    meanwhile.step();
  }
  end(block);
}

// Sums of one tile of rows by four columns.
template <class Panel>
BNNHW_AMX void multiply_1x4(const Block& block, Pace<Panel>& meanwhile) {
  begin(block);
  for (std::size_t step = block.first_step; step < block.end_step; ++step) {
    _tile_loadd(4, block.rows[0] + step * kTileBytes, block.stride);
    _tile_loadd(5, block.columns[0] + step * kTileSize, kTileBytes);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, block.columns[1] + step * kTileSize, kTileBytes);
    _tile_dpbusd(1, 4, 6);
    _tile_loadd(7, block.columns[2] + step * kTileSize, kTileBytes);
    _tile_dpbusd(2, 4, 7);
    _tile_loadd(5, block.columns[3] + step * kTileSize, kTileBytes);
    _tile_dpbusd(3, 4, 5);
    meanwhile.step();
  }
  end(block);
}

template <class Panel>
BNNHW_AMX void read_all(Panel& panel) {
  for (std::size_t i = panel.pieces(); i > 0; --i) panel.read_piece();
}

// The sums of a panel: all row tiles, pairs of them except for a last one, by `columns` columns from `first` on.
template <class Panel>
BNNHW_AMX void multiply_panel(const std::uint8_t* rows, std::size_t tiles, std::size_t stride,
                              const DigitWeights& weights, std::size_t first, std::size_t columns, std::int32_t* sums,
                              std::int32_t* unused, Panel& previous) {
  const std::size_t paired = tiles / 2 * 2;
  const std::size_t all = weights.tiles().steps();
  Pace<Panel> pace(previous, all * ((columns + 1) / 2 * (paired / 2) + (columns + 3) / 4 * (tiles - paired)));
  for (std::size_t step = 0; step < all; step += steps_together) {
    Block block{};
    block.stride = stride;
    block.first_step = step;
    block.end_step = std::min(all, step + steps_together);
    const auto place = [&](std::size_t i, std::size_t t, std::size_t c) {
      block.sums[i] = c < columns ? sums + (t * columns + c) * tile_sums : unused;
    };
    const auto take_columns = [&](std::size_t from, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        block.columns[i] = weights.tiles().column(first + std::min(from + i, columns - 1));
      }
    };
    for (std::size_t c = 0; c < columns; c += 2) {
      take_columns(c, 2);
      for (std::size_t t = 0; t < paired; t += 2) {
        for (std::size_t i = 0; i < 4; ++i) place(i, t + i / 2, c + i % 2);
        for (std::size_t i = 0; i < 2; ++i) block.rows[i] = rows + (t + i) * kTileHeight * stride;
        multiply_2x2(block, pace);
      }
    }
    for (std::size_t c = 0; c < columns && paired < tiles; c += 4) {
      take_columns(c, 4);
      for (std::size_t i = 0; i < 4; ++i) place(i, paired, c + i);
      block.rows[0] = rows + paired * kTileHeight * stride;
      multiply_1x4(block, pace);
    }
  }
}

template <Digits digits, bool to_bits>
void dense(const std::uint64_t* activations, std::size_t images, const DigitWeights& weights,
           const TileResult& result) {
  const std::size_t words = words_for(weights.inputs());
  // An odd multiple of 64 bytes, because the 16 rows of a tile would otherwise share a few sets of the cache.
  const std::size_t stride = (weights.tiles().steps() | 1) * kTileBytes;
  const std::size_t most = rows_of_a_pass(images, images_together, stride * row_chain / rows_together);
  const std::size_t tiles = most / images_together * row_chain;
  constexpr std::size_t columns = Panel<digits, to_bits>::chain * groups_together;
  const std::size_t rows_bytes = tiles * kTileHeight * stride;
  const std::size_t panel_sums = tiles * columns * tile_sums;
  const std::size_t sums_bytes = (2 * panel_sums + tile_sums) * sizeof(std::int32_t);
  std::uint8_t* const rows = thread_scratch(rows_bytes + sums_bytes + most * sizeof(std::int32_t));
  auto* sums = reinterpret_cast<std::int32_t*>(rows + rows_bytes);
  auto* previous_sums = sums + panel_sums;
  std::int32_t* const unused = previous_sums + panel_sums;
  std::int32_t* const ones = unused + tile_sums;
  const UnitInUse in_use(*amx_unit());
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
    Panel<digits, to_bits> previous;
    for (std::size_t column = 0; column < weights.tiles().columns(); column += columns) {
      const std::size_t some = std::min(columns, weights.tiles().columns() - column);
      multiply_panel(rows, used_tiles, stride, weights, column, some, sums, unused, previous);
      const std::size_t output = column / weights.chain() * (weights.chain() + 1) * kTileOutputs;
      previous = Panel<digits, to_bits>(sums, some, ones, first, count, output, weights.outputs(), result);
      std::swap(sums, previous_sums);
    }
    read_all(previous);
  }
}

}  // namespace

void digit_dense(const std::uint64_t* activations, std::size_t images, const DigitWeights& weights,
                 const TileResult& result) {
  if (images == 0) return;
  const bool bits = result.bits != nullptr;
  const auto run = weights.digits() == Digits::three_in_two
                       ? bits ? dense<Digits::three_in_two, true> : dense<Digits::three_in_two, false>
                   : weights.digits() == Digits::four_in_three
                       ? bits ? dense<Digits::four_in_three, true> : dense<Digits::four_in_three, false>
                   : bits ? dense<Digits::ones_three_in_two, true>
                          : dense<Digits::ones_three_in_two, false>;
  run(activations, images, weights, result);
}

#else

// There is no unit to call it with.
void digit_dense(const std::uint64_t*, std::size_t, const DigitWeights&, const TileResult&) { std::abort(); }

#endif

}  // namespace bnnhw::kernels
