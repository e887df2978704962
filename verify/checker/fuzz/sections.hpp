// What the fuzzing harnesses share. An input of several parts is each part behind its length, four bytes lowest first, so
// that parts can be mutated one at a time and stay apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

// The fuzzer's own mutation of `size` bytes, at most `limit` after it; returns how many there are then.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t limit);

namespace bnnhw::checker::fuzz {

inline std::vector<std::string> split(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> parts;
  while (size >= 4) {
    std::size_t length = 0;
    for (std::size_t byte = 4; byte-- > 0;) length = length << 8 | data[byte];
    data += 4, size -= 4;
    if (length > size) length = size;
    parts.emplace_back(reinterpret_cast<const char*>(data), length);
    data += length, size -= length;
  }
  return parts;
}

inline std::string joined(const std::vector<std::string>& parts) {
  std::string whole;
  for (const std::string& part : parts) {
    for (unsigned shift = 0; shift < 32; shift += 8) whole.push_back(static_cast<char>(part.size() >> shift & 255u));
    whole += part;
  }
  return whole;
}

inline void mutate(std::string& part) {
  const std::size_t size = part.size(), limit = 2 * size + 64;
  part.resize(limit);
  part.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(part.data()), size, limit));
}

// A model file is its header's length, header, data: mutates one of the last two and sets the length right, or else
// nearly every change would end at the length.
inline void mutate_model(std::string& file, unsigned choice) {
  std::size_t length = 0;
  for (std::size_t byte = 8; byte-- > 0;) length = length << 8 | (byte < file.size() ? static_cast<unsigned char>(file[byte]) : 0u);
  if (file.size() < 8 || length > file.size() - 8) return mutate(file);
  std::string header = file.substr(8, length), data = file.substr(8 + length);
  mutate(choice % 2 == 0 ? header : data);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  file.assign(8, '\0');
  for (std::size_t byte = 0; byte < 4; ++byte) file[byte] = static_cast<char>(header.size() >> 8 * byte & 255u);
  file += header + data;
}

// Hands a mutated input back to the fuzzer.
inline std::size_t hand_back(const std::string& whole, std::uint8_t* data, std::size_t limit) {
  const std::size_t size = whole.size() < limit ? whole.size() : limit;
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(whole[i]);
  return size;
}

// A finding that is no crash by itself: something false was accepted.
[[noreturn]] inline void wrong(const char* what) {
  std::fprintf(stderr, "accepted what is wrong: %s\n", what);
  std::abort();
}

}  // namespace bnnhw::checker::fuzz
