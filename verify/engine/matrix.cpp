#include "matrix.hpp"

namespace bnnhw::engine {

namespace {

constexpr std::size_t dense_share = 4;
constexpr std::uint32_t longest_dense_column = 1u << 12;

}  // namespace

Matrix::Matrix(std::uint32_t rows, std::uint32_t columns, Span<std::int64_t> row_begin,
               Span<std::int32_t> column_index, Span<std::int8_t> weight)
    : rows_(rows), columns_(columns), row_begin_(rows + 1), column_begin_(columns + 1) {
  by_row_.reserve(weight.size);
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::int64_t i = row_begin[row]; i < row_begin[row + 1]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (weight[at] == 0) continue;
      by_row_.push_back(Entry{static_cast<std::uint32_t>(column_index[at]), weight[at]});
      ++column_begin_[by_row_.back().index + 1];
    }
    row_begin_[row + 1] = by_row_.size();
  }
  for (std::uint32_t column = 0; column < columns; ++column) column_begin_[column + 1] += column_begin_[column];
  std::vector<std::size_t> next(column_begin_.begin(), column_begin_.end() - 1);
  by_column_.resize(by_row_.size());
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (const Entry& entry : this->row(row)) by_column_[next[entry.index]++] = Entry{row, entry.weight};
  }
  const std::size_t area = static_cast<std::size_t>(rows) * columns;
  if (rows <= longest_dense_column && dense_share * by_row_.size() >= area) {
    dense_.resize(area);
    for (std::uint32_t column = 0; column < columns; ++column) {
      for (const Entry& entry : this->column(column)) {
        dense_[static_cast<std::size_t>(column) * rows + entry.index] = static_cast<std::int8_t>(entry.weight);
      }
    }
  }
}

}  // namespace bnnhw::engine
