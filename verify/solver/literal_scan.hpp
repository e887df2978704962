// The two scans over lists of literals in which most of the time outside the counters goes: which literal of a clause
// is not false (propagation), and which literals of a linear constraint had become false early enough to explain
// something (conflict analysis). Whether a literal qualifies is close to a coin toss and its state lies anywhere, so a
// loop pays for mispredicted branches and single loads; AVX-512 gathers sixteen at a time (7 to 10 per cent of a
// solve). The form is chosen once, by the processor; every form gives the same answer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "literal.hpp"

namespace bnnhw::solver {

struct LiteralScan {
  static constexpr std::size_t room = 16;

  // The first index in begin..size of a literal whose value is not -1; size if there is none. Up to three bytes behind
  // the last value may be read.
  std::uint32_t (*first_not_false)(const std::uint32_t* codes, std::uint32_t begin, std::uint32_t size,
                                   const std::int8_t* values);
  // Goes through the literals, each flipped, until `count` were false before trail position `before`; at least that
  // many are. Writes those that became false at position `first` or later to `found`, which has room for `room`
  // more than size, and returns the end of what was written.
  Literal* (*falsified)(const Literal* literals, std::uint32_t size, std::uint32_t flip,
                        const std::uint32_t* falsified_at, std::uint32_t first, std::uint32_t before,
                        std::int32_t count, Literal* found);
};

const LiteralScan& portable_literal_scan();
// The portable one where the processor has nothing better.
const LiteralScan& best_literal_scan();

}  // namespace bnnhw::solver
