#include "lookup_products.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lookup_registers.hpp"

namespace bnnhw::kernels {

#if defined(BNNHW_LOOKUP)

namespace {

constexpr std::size_t kRows = 2 * kPairs;
// Groups of rows that go through the codes of a panel before the next panel, so that codes are read again from a near
// cache; a panel's tables of all of them fill half of a second-level cache of 1 MiB.
constexpr std::size_t kGroups = 4;
constexpr std::size_t kPanelAdditions = 8 * kMostAdditions;

// How many of each value's six bits agree with each code, in the lower halves of bytes, and again in the upper halves.
struct alignas(kRegister) Agreements {
  std::uint8_t of[2][kRegister][kRegister];
};

constexpr Agreements count_agreements() {
  Agreements made{};
  for (unsigned bits = 0; bits < kRegister; ++bits) {
    for (unsigned code = 0; code < kRegister; ++code) {
      unsigned agreeing = 0;
      for (unsigned i = 0; i < kCodeInputs; ++i) agreeing += ~(bits ^ code) >> i & 1u;
      made.of[0][bits][code] = static_cast<std::uint8_t>(agreeing);
      made.of[1][bits][code] = static_cast<std::uint8_t>(agreeing << 4);
    }
  }
  return made;
}

constexpr Agreements kAgreements = count_agreements();

// The tables of eight rows for `codes` codes from `first` on, [codes][kPairs][64]. rows: `words` apart, with zeros
// after their bits up to two bytes beyond those of the last code.
BNNHW_LOOKUP void make_tables(const std::uint64_t* rows, std::size_t words, std::size_t first, std::size_t codes,
                              std::uint8_t* made) {
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    const auto* const one = reinterpret_cast<const std::uint8_t*>(rows + 2 * pair * words);
    const std::uint8_t* const other = one + words * sizeof(std::uint64_t);
    for (std::size_t code = 0; code < codes; ++code) {
      const std::size_t bit = (first + code) * kCodeInputs;
      const auto bits_of = [bit](const std::uint8_t* row) {
        std::uint16_t bits;
        std::memcpy(&bits, row + bit / 8, sizeof bits);
        return static_cast<std::size_t>(bits) >> bit % 8 & (kRegister - 1);
      };
      const __m512i low = _mm512_load_si512(kAgreements.of[0][bits_of(one)]);
      const __m512i high = _mm512_load_si512(kAgreements.of[1][bits_of(other)]);
      _mm512_store_si512(made + (code * kPairs + pair) * kRegister, _mm512_or_si512(low, high));
    }
  }
}

// What a row's totals mean: int32 of 16 outputs at a time.
BNNHW_LOOKUP_INLINE void sums_of(const Totals& totals, const std::int32_t* negatives, __m512i* sums) {
  const __m512i all[4] = {_mm512_maskz_mov_epi16(0x55555555u, totals.even),
                          _mm512_maskz_mov_epi16(0x55555555u, totals.odd),
                          _mm512_maskz_srli_epi32(0xffff, totals.even, 16),
                          _mm512_maskz_srli_epi32(0xffff, totals.odd, 16)};
  for (std::size_t j = 0; j < 4; ++j) sums[j] = _mm512_sub_epi32(all[j], _mm512_loadu_si512(negatives + 16 * j));
}

// A block's outputs from `first` on: which of them there are, and where a row's results go.
class Writer {
 public:
  Writer(const LookupWeights& weights, const TileResult& result, std::size_t first)
      : result_(result),
        outputs_(weights.outputs()),
        first_(first),
        some_(low_ones(std::min(kLookupOutputs, outputs_ - first))),
        negatives_(weights.negatives() + first) {
    if (result.bits == nullptr) return;
    for (std::size_t o = first; o < outputs_ && o < first + kLookupOutputs; o += kLanes) {
      flips_ |= std::uint64_t{result.thresholds->flips[o / kLanes]} << (o - first);
    }
  }

  BNNHW_LOOKUP_INLINE void write(std::size_t row, const Totals& totals) const {
    __m512i sums[4];
    sums_of(totals, negatives_, sums);
    if (result_.bits == nullptr) {
      std::int32_t* const to = result_.sums + row * outputs_ + first_;
      for (std::size_t j = 0; j < 4; ++j) _mm512_mask_storeu_epi32(to + 16 * j, some(j), sums[j]);
      return;
    }
    std::uint64_t reached = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const __m512i limits = _mm512_maskz_loadu_epi32(some(j), result_.thresholds->limits + first_ + 16 * j);
      reached |= std::uint64_t{_mm512_cmpge_epi32_mask(sums[j], limits)} << (16 * j);
    }
    result_.bits[row * words_for(outputs_) + first_ / kWordBits] = (reached ^ flips_) & some_;
  }

 private:
  BNNHW_LOOKUP_INLINE __mmask16 some(std::size_t j) const { return static_cast<__mmask16>(some_ >> (16 * j)); }

  const TileResult& result_;
  std::size_t outputs_;
  std::size_t first_;
  std::uint64_t some_;
  std::uint64_t flips_ = 0;
  const std::int32_t* negatives_;
};

// Additions from `first` on of all that a layer has.
struct Panel {
  std::size_t first, additions, all;
};

// A group of rows by `width` blocks of outputs. totals: [kRows][width], of the panels before and, unless this is the
// last one, also of this one.
template <std::size_t width>
BNNHW_LOOKUP void multiply(const std::uint8_t* tables, const LookupWeights& weights, const Panel& panel,
                           std::size_t first_block, std::size_t first_row, std::size_t rows, std::uint8_t* pieces,
                           Totals* totals, const TileResult& result) {
  const std::size_t count = pieces_for(panel.additions);
  const LookupWeights::Codes* codes[width];
  for (std::size_t c = 0; c < width; ++c) codes[c] = weights.block(first_block + c) + 2 * panel.first;
  look_up<width>(tables, [&](std::size_t c, std::size_t i) { return codes[c] + i; }, panel.additions, pieces);
  for (std::size_t c = 0; c < width; ++c) {
    const Writer writer(weights, result, (first_block + c) * kLookupOutputs);
    for (std::size_t row = 0; row < rows; row += 2) {
      const Totals none{_mm512_setzero_si512(), _mm512_setzero_si512()};
      Totals* const kept = totals + row * width + c;
      Totals one = panel.first == 0 ? none : kept[0];
      Totals other = panel.first == 0 ? none : kept[width];
      add_pieces(pieces + (row / 2 * width + c) * count * 2 * kRegister, count, one, other);
      if (panel.first + panel.additions < panel.all) {
        kept[0] = one;
        kept[width] = other;
        continue;
      }
      writer.write(first_row + row, one);
      if (row + 1 < rows) writer.write(first_row + row + 1, other);
    }
  }
}

constexpr std::size_t whole_registers(std::size_t bytes) { return (bytes + kRegister - 1) / kRegister * kRegister; }

}  // namespace

bool lookup_unit() {
  __builtin_cpu_init();
  static const bool available = __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("gfni") &&
                                __builtin_cpu_supports("bmi2");
  return available;
}

void lookup_dense(const std::uint64_t* activations, std::size_t images, const LookupWeights& weights,
                  const TileResult& result) {
  const std::size_t all = weights.codes() / 2;
  const std::size_t panels = (all + kPanelAdditions - 1) / kPanelAdditions;
  const std::size_t words = words_for(weights.inputs());
  const std::size_t row_words = words_for(weights.codes() * kCodeInputs) + 1;
  const std::size_t group_tables = 2 * std::min(all, kPanelAdditions) * kPairs * kRegister;
  const std::size_t group_totals = weights.blocks() * kRows;
  std::size_t bytes = 0;
  const auto place = [&bytes](std::size_t size) { return std::exchange(bytes, bytes + whole_registers(size)); };
  const std::size_t at_tables = place(kGroups * group_tables);
  const std::size_t at_pieces = place(pieces_for(kPanelAdditions) * kPairs * kWidth * 2 * kRegister);
  const std::size_t at_totals = place(kGroups * group_totals * sizeof(Totals));
  const std::size_t at_rows = place(kGroups * kRows * row_words * sizeof(std::uint64_t));
  std::uint8_t* const scratch = thread_scratch(bytes);
  std::uint8_t* const tables = scratch + at_tables;
  auto* const totals = reinterpret_cast<Totals*>(scratch + at_totals);
  auto* const padded = reinterpret_cast<std::uint64_t*>(scratch + at_rows);
  for (std::size_t row = 0; row < images; row += kGroups * kRows) {
    const std::size_t rows = std::min(kGroups * kRows, images - row);
    const std::size_t groups = (rows + kRows - 1) / kRows;
    std::fill_n(padded, groups * kRows * row_words, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      std::copy_n(activations + (row + r) * words, words, padded + r * row_words);
    }
    for (std::size_t p = 0; p < panels; ++p) {
      const std::size_t first = all * p / panels;
      const Panel panel{first, all * (p + 1) / panels - first, all};
      for (std::size_t g = 0; g < groups; ++g) {
        make_tables(padded + g * kRows * row_words, row_words, 2 * first, 2 * panel.additions,
                    tables + g * group_tables);
      }
      for (std::size_t block = 0; block < weights.blocks(); block += kWidth) {
        const auto run = block + kWidth <= weights.blocks() ? multiply<kWidth> : multiply<1>;
        for (std::size_t g = 0; g < groups; ++g) {
          run(tables + g * group_tables, weights, panel, block, row + g * kRows, std::min(kRows, rows - g * kRows),
              scratch + at_pieces, totals + g * group_totals + block * kRows, result);
        }
      }
    }
  }
}

#else

bool lookup_unit() { return false; }

// There is no unit to call it with.
void lookup_dense(const std::uint64_t*, std::size_t, const LookupWeights&, const TileResult&) { std::abort(); }

#endif

}  // namespace bnnhw::kernels
