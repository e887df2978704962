// Products of packed bits with weights -1 and +1 by looking partial sums up, half as fast again as counting bits and
// more where the processor has tables of 64 bytes in a register (AVX-512 VBMI). Six weights are a code. For a row of
// activations, how many of six bits agree with each of the 64 codes (1 with +1, 0 with -1) is a table, made once, and
// one instruction looks it up for 64 outputs; the layer's sum is the total less the number of weights -1.
//
// An entry is at most six, half a byte, so that a table serves two rows, one in each half. Two entries are added as
// bytes, since 12 is still half a byte; then the sum of all those bytes, of which the last eight bits are kept, and the
// sum of their upper halves tell both rows. Six instructions are 3,072 operations, where counting bits takes nine.
//
// Tables of what a few bits add up to: Arlazarov, Dinic, Kronrod and Faradzev, "On Economical Construction of the
// Transitive Closure of an Oriented Graph", 1970 (the Four Russians); for weights of few bits, Wei et al., "T-MAC: CPU
// Renaissance via Table Lookup for Low-Bit LLM Deployment on Edge", EuroSys 2025.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "byte_tiles.hpp"

namespace bnnhw::kernels {

// The most inputs: totals have 16 bits.
inline constexpr std::size_t kMostLookupInputs = 65535;
inline constexpr std::size_t kLookupOutputs = 64;
inline constexpr std::size_t kCodeInputs = 6;

class LookupWeights {
 public:
  // weights: int8[outputs][inputs] in -1, +1. std::invalid_argument for zeros or more than kMostLookupInputs inputs.
  LookupWeights(const std::int8_t* weights, std::size_t outputs, std::size_t inputs);

  std::size_t outputs() const { return outputs_; }
  std::size_t inputs() const { return inputs_; }
  std::size_t blocks() const { return (outputs_ + kLookupOutputs - 1) / kLookupOutputs; }
  // Codes of an output, an even number.
  std::size_t codes() const { return codes_; }

  // The codes of 64 outputs for the same inputs. Byte 4 i + j is output 16 j + i, so that the bytes of a 32-bit lane
  // are those of the 16 outputs that are stored together.
  struct alignas(64) Codes {
    std::uint8_t of[kLookupOutputs];
  };
  const Codes* block(std::size_t index) const { return table_.data() + index * codes_; }
  // How many weights of output `o` are -1; 0 from outputs() on.
  const std::int32_t* negatives() const { return negatives_.data(); }

 private:
  std::size_t outputs_;
  std::size_t inputs_;
  std::size_t codes_;
  std::vector<Codes> table_;
  std::vector<std::int32_t> negatives_;
};

// Whether this processor has the instructions.
bool lookup_unit();

// activations: uint64[images][words_for(weights.inputs())], no bit set from inputs() on; the result has a row for each
// image, as sums or bits. Only where lookup_unit().
void lookup_dense(const std::uint64_t* activations, std::size_t images, const LookupWeights& weights,
                  const TileResult& result);

}  // namespace bnnhw::kernels
