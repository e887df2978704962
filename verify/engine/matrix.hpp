// A layer's weights as a sparse integer matrix, by rows for the encoding and by columns for everything that asks what
// one changed activation does. Where at least a quarter of the entries are set and the columns are short, the columns
// are kept dense as well: a loop over contiguous bytes vectorizes, a scatter does not.
#pragma once

#include <cstdint>
#include <vector>

#include "literal.hpp"

namespace bnnhw::engine {

using solver::Span;

struct Entry {
  std::uint32_t index;
  std::int32_t weight;
};

class Matrix {
 public:
  Matrix() = default;
  // row_begin: rows + 1 offsets into column_index and weight, the compressed sparse row form.
  Matrix(std::uint32_t rows, std::uint32_t columns, Span<std::int64_t> row_begin, Span<std::int32_t> column_index,
         Span<std::int8_t> weight);

  std::uint32_t rows() const { return rows_; }
  std::uint32_t columns() const { return columns_; }
  Span<Entry> row(std::uint32_t index) const {
    return {by_row_.data() + row_begin_[index], row_begin_[index + 1] - row_begin_[index]};
  }
  Span<Entry> column(std::uint32_t index) const {
    return {by_column_.data() + column_begin_[index], column_begin_[index + 1] - column_begin_[index]};
  }
  // Null where columns are not kept dense; otherwise rows() weights.
  const std::int8_t* dense_column(std::uint32_t index) const {
    return dense_.empty() ? nullptr : dense_.data() + static_cast<std::size_t>(index) * rows_;
  }
  bool dense() const { return !dense_.empty(); }

 private:
  std::uint32_t rows_ = 0;
  std::uint32_t columns_ = 0;
  std::vector<std::size_t> row_begin_{0};
  std::vector<std::size_t> column_begin_{0};
  std::vector<Entry> by_row_;
  std::vector<Entry> by_column_;
  std::vector<std::int8_t> dense_;
};

}  // namespace bnnhw::engine
