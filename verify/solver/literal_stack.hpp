// A stack of literals on which whole explanations are put and taken off again. Unlike a vector it does not clear the
// room it hands out, of which most is never used.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "literal.hpp"

namespace bnnhw::solver {

class LiteralStack {
 public:
  std::size_t size() const { return size_; }
  Literal operator[](std::size_t index) const { return literals_[index]; }
  const Literal* begin() const { return literals_.data(); }
  const Literal* end() const { return literals_.data() + size_; }
  void clear() { size_ = 0; }
  void cut_to(std::size_t size) { size_ = size; }
  void push(Literal literal) {
    *room(1) = literal;
    ++size_;
  }
  // Where to write up to `count` more; what was written counts from grow_to(its end) on.
  Literal* room(std::size_t count) {
    if (literals_.size() < size_ + count) literals_.resize(std::max(2 * literals_.size(), size_ + count));
    return literals_.data() + size_;
  }
  void grow_to(const Literal* end) { size_ = static_cast<std::size_t>(end - literals_.data()); }

 private:
  std::vector<Literal> literals_;
  std::size_t size_ = 0;
};

}  // namespace bnnhw::solver
