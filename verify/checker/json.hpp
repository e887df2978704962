// The part of JSON that a model file's header and a certificate's question need: no fractions, no escapes but \" and \\,
// no key twice, so that a text has one reading. What is anything else is refused.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bnnhw::checker {

inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::invalid_argument(what);
}

struct Json {
  char kind = '?';  // of null, true and false the first letter; 'i'nteger, 's'tring, 'a'rray, 'o'bject
  std::int64_t number = 0;
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> members;

  const Json& as(char wanted) const {
    require(kind == wanted, std::string("JSON: a value of another kind than '") + wanted + "'");
    return *this;
  }
  const Json& operator[](const std::string& key) const {
    const auto found = members.find(key);
    require(found != members.end(), "JSON: '" + key + "' is missing");
    return found->second;
  }
  std::int64_t integer(std::int64_t low, std::int64_t high) const {
    require(as('i').number >= low && number <= high, "JSON: " + std::to_string(number) + " is out of range");
    return number;
  }
  std::vector<std::int64_t> integers(std::size_t count, std::int64_t low, std::int64_t high) const {
    std::vector<std::int64_t> all;
    for (const Json& item : as('a').items) all.push_back(item.integer(low, high));
    require(all.size() == count, "JSON: a list of " + std::to_string(all.size()) + " numbers, not " + std::to_string(count));
    return all;
  }
};

class JsonReader {
 public:
  static Json read(std::string_view text) {
    JsonReader reader{text};
    Json value = reader.value(0);
    require(reader.peek() == '\0' && reader.at_ == text.size(), "JSON: more than one value");
    return value;
  }

 private:
  explicit JsonReader(std::string_view text) : text_(text) {}

  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char expected) {
    const bool found = peek() == expected;
    at_ += found ? 1 : 0;
    return found;
  }
  void need(char expected) { require(take(expected), std::string("JSON: '") + expected + "' is expected"); }

  Json value(int depth) {
    require(depth < 16, "JSON: too deep");
    Json made;
    made.kind = peek();
    if (take('{')) {
      made.kind = 'o';
      for (bool first = true; !take('}'); first = false) {
        if (!first) need(',');
        std::string key = string();
        need(':');
        require(made.members.emplace(key, value(depth + 1)).second, "JSON: '" + key + "' occurs twice");
      }
    } else if (take('[')) {
      made.kind = 'a';
      for (bool first = true; !take(']'); first = false) {
        if (!first) need(',');
        made.items.push_back(value(depth + 1));
      }
    } else if (made.kind == '"') {
      made.kind = 's';
      made.text = string();
    } else if (made.kind == 'n' || made.kind == 't' || made.kind == 'f') {
      for (const char letter : std::string(made.kind == 'n' ? "null" : made.kind == 't' ? "true" : "false")) need(letter);
    } else {
      const bool negative = take('-');
      made.kind = 'i';
      std::size_t digits = 0;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
        made.number = 10 * made.number + (text_[at_] - '0');
        require(made.number <= INT64_MAX / 20, "JSON: a number is too large");
      }
      require(digits > 0, "JSON: not a value");
      if (negative) made.number = -made.number;
    }
    return made;
  }

  std::string string() {
    need('"');
    std::string made;
    while (true) {
      require(at_ < text_.size(), "JSON: a string does not end");
      char letter = text_[at_++];
      if (letter == '"') return made;
      if (letter == '\\') {
        require(at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\\'), "JSON: an unknown escape");
        letter = text_[at_++];
      }
      made.push_back(letter);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace bnnhw::checker
