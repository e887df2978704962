// NumPy arrays as the layers take them, shared by the two files of bindings. The checks only make sure that no array is
// smaller than the geometry says: the Python functions beside the module word the errors that a user sees.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "layers.hpp"

namespace bnnhw::kernels {

namespace nb = nanobind;

// program_bindings.cpp
void define_program(nb::module_& m);

template <class T>
using Array = nb::ndarray<T, nb::numpy, nb::c_contig, nb::device::cpu>;
using Limits = std::tuple<Array<const std::int32_t>, Array<const std::uint8_t>>;
// channels, height, width, kernel, stride and padding (each vertical, horizontal).
using Geometry = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t,
                            std::size_t, std::size_t>;

template <class T>
void require_size(const Array<T>& array, std::size_t size, const char* what) {
  if (array.size() != size) {
    throw std::invalid_argument(std::string(what) + " has " + std::to_string(array.size()) + " elements, not " +
                                std::to_string(size));
  }
}

inline Window window_of(const Geometry& g) {
  const auto [c, h, w, kh, kw, sh, sw, ph, pw] = g;
  if (c == 0 || h == 0 || w == 0 || kh == 0 || kw == 0 || sh == 0 || sw == 0 || kh > h + 2 * ph || kw > w + 2 * pw) {
    throw std::invalid_argument("the window does not fit the image");
  }
  return {c, h, w, kh, kw, sh, sw, ph, pw};
}

// None without limits.
inline Thresholds thresholds_of(std::size_t positions, std::size_t outputs, const std::optional<Limits>& limits) {
  if (!limits) return {};
  const auto& [values, flips] = *limits;
  const std::size_t lanes = blocks_for(outputs) * kLanes;
  const bool shared = values.size() == lanes;
  require_size(values, shared ? lanes : positions * lanes, "limits");
  require_size(flips, blocks_for(outputs), "flips");
  return {values.data(), shared ? 0 : lanes, flips.data()};
}

inline TernaryWeights ternary_weights(const Array<const std::uint64_t>& planes, std::size_t outputs, std::size_t bits) {
  const bool fits = planes.ndim() == 4 && planes.shape(0) == blocks_for(outputs) &&
                    planes.shape(1) == words_for(bits) && (planes.shape(2) == 1 || planes.shape(2) == 2) &&
                    planes.shape(3) == kLanes;
  if (!fits) throw std::invalid_argument("weights do not have the shape [blocks, words, planes, lanes]");
  return {planes.data(), outputs, words_for(bits), planes.shape(2) == 1};
}

using Shape = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>;

// thresholds: [c, h, w, count], each of c, h, w the image's size or 1.
inline PixelThresholds pixel_thresholds(const Array<const std::int32_t>& t, const Shape& shape) {
  const auto [n, c, h, w] = shape;
  const bool fits = t.ndim() == 4 && (t.shape(0) == 1 || t.shape(0) == c) && (t.shape(1) == 1 || t.shape(1) == h) &&
                    (t.shape(2) == 1 || t.shape(2) == w);
  if (!fits) throw std::invalid_argument("thresholds do not fit the pixels");
  const std::size_t count = t.shape(3);
  return {t.data(), count, t.shape(0) == 1 ? 0 : t.shape(1) * t.shape(2) * count,
          t.shape(1) == 1 ? 0 : t.shape(2) * count, t.shape(2) == 1 ? 0 : count};
}

}  // namespace bnnhw::kernels
