// Which machine code the inner loops use. Every instruction set offers the same loops over blocks of eight
// output channels ("lanes"); the best one that this processor can run is chosen when the module is loaded, so one
// binary serves every processor of its architecture. All of them are exact, so the choice never changes a result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bnnhw::kernels {

inline constexpr std::size_t kLanes = 8;

struct TileUnit;

struct InstructionSet {
  const char* name;

  // sums[row][lane] = popcount(row & positive[lane]) - popcount(row & negative[lane]) for `count` rows of `words`
  // words, `stride` words apart. block: [words][positive, negative][kLanes].
  void (*ternary)(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                  const std::uint64_t* block, std::int32_t* sums);

  // The same where no weight is zero: sums[row][lane] = 2 * popcount(row & positive[lane]) - popcount(row), half the
  // work. block: [words][kLanes].
  void (*binary)(const std::uint64_t* rows, std::size_t stride, std::size_t count, std::size_t words,
                 const std::uint64_t* block, std::int32_t* sums);

  // sums[row][lane] = sum of row[k] * weight[k][lane] for rows of 2 * pairs values. block: [pairs][kLanes][2].
  void (*levels)(const std::int16_t* rows, std::size_t count, std::size_t pairs, const std::int16_t* block,
                 std::int32_t* sums);

  // Bit `lane` of bits[row] = (sums[row][lane] >= limits[row * limit_stride + lane]) xor bit `lane` of flip.
  void (*compare)(const std::int32_t* sums, std::size_t count, const std::int32_t* limits, std::size_t limit_stride,
                  std::uint8_t flip, std::uint8_t* bits);

  // What multiplies bytes (byte_tiles.hpp); null where bits are counted.
  const TileUnit* tiles;
};

// What this processor can run, best first; the last one is always "portable".
const std::vector<const InstructionSet*>& available_instruction_sets();

const InstructionSet& selected_instruction_set();

// False, and nothing changes, if this processor cannot run the named one.
bool select_instruction_set(std::string_view name);

// Null where this binary has no such code.
const InstructionSet* portable_lanes();
const InstructionSet* popcnt_lanes();
const InstructionSet* avx2_lanes();
const InstructionSet* avx512_lanes();
// AVX-512's loops for bits, and for whole models a unit that multiplies bytes.
const InstructionSet* amx_lanes();
const InstructionSet* vnni_lanes();

}  // namespace bnnhw::kernels
