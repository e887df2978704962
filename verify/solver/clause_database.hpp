// The clauses as propagation sees them: for every literal the literals its truth implies through binary clauses, and
// the longer clauses that watch its negation. Two watched literals are due to Moskewicz et al. ("Chaff", DAC 2001);
// each watch carries a blocker, one more literal of the clause that usually shows it satisfied without touching the
// clause (Chu, Harwood and Stuckey, "Cache conscious data structures for Boolean satisfiability solvers", JSAT 2009).
#pragma once

#include <cstdint>
#include <vector>

#include "clause_arena.hpp"
#include "literal.hpp"

namespace bnnhw::solver {

struct Watch {
  ClauseReference clause;
  Literal blocker;
};

class ClauseDatabase {
 public:
  void add_variables(std::size_t count) {
    implications.resize(implications.size() + 2 * count);
    watches.resize(watches.size() + 2 * count);
  }

  void add_binary(Literal first, Literal second) {
    implications[(~first).code].push_back(second);
    implications[(~second).code].push_back(first);
    ++binary_count;
  }

  // Watches the first two literals; the caller has put the right ones there.
  ClauseReference add_long(Span<Literal> literals, bool learned, std::uint32_t lbd) {
    const ClauseReference reference = arena.add(literals, learned, lbd);
    watch(reference);
    return reference;
  }

  void watch(ClauseReference reference) {
    const Literal first = arena.literal(reference, 0);
    const Literal second = arena.literal(reference, 1);
    watches[(~first).code].push_back(Watch{reference, second});
    watches[(~second).code].push_back(Watch{reference, first});
  }

  std::size_t memory_bytes() const {
    std::size_t bytes = arena.memory_bytes();
    for (const auto& list : implications) bytes += sizeof(list) + list.capacity() * sizeof(Literal);
    for (const auto& list : watches) bytes += sizeof(list) + list.capacity() * sizeof(Watch);
    return bytes;
  }

  ClauseArena arena;
  std::vector<std::vector<Literal>> implications;
  std::vector<std::vector<Watch>> watches;
  std::size_t binary_count = 0;
};

}  // namespace bnnhw::solver
