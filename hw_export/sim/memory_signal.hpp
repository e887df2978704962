// A signal that a compiled simulation keeps in its own memory, lowest byte first, as Verilator and CXXRTL do.

#pragma once

#include <cstdint>
#include <cstring>

namespace bench {

struct MemorySignal {
  void* data;
  std::size_t bits;
  std::size_t bytes;

  void get(std::uint32_t* words) const { std::memcpy(words, data, bytes); }
  void put(const std::uint32_t* words) { std::memcpy(data, words, bytes); }
};

}  // namespace bench
