// A text whose next word is known: the JSON of model files, which has its keys sorted and no spaces, and formulas. What
// is not what is expected is refused, so a text has one reading, and none that another parser disputes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

// Takes no std::string: one that is made for every number read costs more than the reading.
inline void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

struct Text {
  std::string_view rest;

  bool take(std::string_view expected) {
    const bool found = rest.substr(0, expected.size()) == expected;
    if (found) rest.remove_prefix(expected.size());
    return found;
  }
  void need(std::string_view expected) {
    if (take(expected)) return;
    throw std::invalid_argument("'" + std::string(expected) + "' is expected at '" + std::string(rest.substr(0, 24)) + "'");
  }
  std::int64_t number(std::int64_t low, std::int64_t high) {
    const bool negative = take("-");
    std::int64_t value = 0;
    std::size_t digits = 0;
    // Eighteen digits are no overflow.
    for (; digits < rest.size() && digits < 18 && rest[digits] >= '0' && rest[digits] <= '9'; ++digits) {
      value = 10 * value + (rest[digits] - '0');
    }
    rest.remove_prefix(digits);
    if (negative) value = -value;
    require(digits > 0, "a number is expected");
    require(value >= low && value <= high, "a number is out of range");
    return value;
  }
  std::vector<std::int64_t> list(std::int64_t low, std::int64_t high) {
    std::vector<std::int64_t> all;
    need("[");
    do all.push_back(number(low, high));
    while (take(","));
    need("]");
    return all;
  }
};

}  // namespace bnnhw::checker
