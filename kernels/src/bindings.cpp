// bnnhw.kernels._cpu: the loops for NumPy arrays. The interpreter lock is released while a loop runs.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "arrays.hpp"
#include "digit_products.hpp"
#include "lookup_products.hpp"
#include "parallel.hpp"

namespace bnnhw::kernels {

namespace {

// The result of a layer with `outputs` channels at `positions` positions of `images` images: exactly one of sums and
// bits is given, thresholds with bits.
struct BoundResult {
  BoundResult(std::size_t images, std::size_t positions, std::size_t outputs, std::optional<Array<std::int32_t>>& sums,
              std::optional<Array<std::uint64_t>>& bits, const std::optional<Limits>& limits) {
    if (sums.has_value() == bits.has_value() || bits.has_value() != limits.has_value()) {
      throw std::invalid_argument("give either sums, or bits and limits");
    }
    if (sums) {
      require_size(*sums, images * positions * outputs, "sums");
      result.sums = sums->data();
      return;
    }
    require_size(*bits, images * words_for(positions * outputs), "bits");
    thresholds = thresholds_of(positions, outputs, limits);
    result.bits = bits->data();
    result.thresholds = &thresholds;
  }
  BoundResult(const BoundResult&) = delete;
  BoundResult& operator=(const BoundResult&) = delete;

  Thresholds thresholds{};
  Result result{};
};

void bind_ternary_dense(Array<const std::uint64_t> activations, std::size_t images, Array<const std::uint64_t> planes,
                        std::size_t outputs, std::size_t bits, std::optional<Array<std::int32_t>> sums,
                        std::optional<Array<std::uint64_t>> out, std::optional<Limits> limits, std::size_t threads) {
  const TernaryWeights weights = ternary_weights(planes, outputs, bits);
  require_size(activations, images * weights.words, "activations");
  const BoundResult bound(images, 1, outputs, sums, out, limits);
  const nb::gil_scoped_release unlocked;
  ternary_dense(activations.data(), images, weights, bound.result, threads);
}

// Rows shared out over threads, each of which multiplies its part by weights in another form.
template <class Weights, class Multiply>
void multiply_rows(const Array<const std::uint64_t>& activations, std::size_t images, const Weights& weights,
                   std::optional<Array<std::int32_t>>& sums, std::optional<Array<std::uint64_t>>& out,
                   const std::optional<Limits>& limits, std::size_t threads, const Multiply& multiply) {
  const std::size_t words = words_for(weights.inputs());
  const std::size_t outputs = weights.outputs();
  require_size(activations, images * words, "activations");
  const BoundResult bound(images, 1, outputs, sums, out, limits);
  const nb::gil_scoped_release unlocked;
  parallel_rows(images, threads, std::uint64_t{words} * outputs / 4, [&](std::size_t begin, std::size_t end) {
    const Result& r = bound.result;
    const TileResult part{r.sums == nullptr ? nullptr : r.sums + begin * outputs, nullptr,
                          r.bits == nullptr ? nullptr : r.bits + begin * words_for(outputs), r.thresholds};
    multiply(activations.data() + begin * words, end - begin, weights, part);
  });
}

void bind_digit_dense(Array<const std::uint64_t> activations, std::size_t images, const DigitWeights& weights,
                      std::optional<Array<std::int32_t>> sums, std::optional<Array<std::uint64_t>> out,
                      std::optional<Limits> limits, std::size_t threads) {
  if (amx_unit() == nullptr) throw std::invalid_argument("this processor has no matrix unit for digits");
  multiply_rows(activations, images, weights, sums, out, limits, threads, digit_dense);
}

void bind_lookup_dense(Array<const std::uint64_t> activations, std::size_t images, const LookupWeights& weights,
                       std::optional<Array<std::int32_t>> sums, std::optional<Array<std::uint64_t>> out,
                       std::optional<Limits> limits, std::size_t threads) {
  if (!lookup_unit()) throw std::invalid_argument("this processor has no tables in registers");
  multiply_rows(activations, images, weights, sums, out, limits, threads, lookup_dense);
}

// Weights int8[outputs, inputs] in another form.
template <class Weights>
void define_weights(nb::module_& m, const char* name) {
  nb::class_<Weights>(m, name).def(
      "__init__",
      [](Weights* self, const Array<const std::int8_t>& weights) {
        if (weights.ndim() != 2 || weights.size() == 0) {
          throw std::invalid_argument("weights are not [outputs, inputs]");
        }
        new (self) Weights(weights.data(), weights.shape(0), weights.shape(1));
      },
      nb::arg("weights").noconvert());
}

void bind_ternary_conv(Array<const std::uint64_t> activations, std::size_t images, const Geometry& geometry,
                       Array<const std::uint64_t> planes, std::size_t outputs, std::optional<Array<std::int32_t>> sums,
                       std::optional<Array<std::uint64_t>> out, std::optional<Limits> limits, std::size_t threads) {
  const Window window = window_of(geometry);
  const TernaryWeights weights = ternary_weights(planes, outputs, window.patch());
  require_size(activations, images * words_for(window.image()), "activations");
  const BoundResult bound(images, window.positions(), outputs, sums, out, limits);
  const nb::gil_scoped_release unlocked;
  ternary_conv(activations.data(), images, window, weights, bound.result, threads);
}

template <class Level>
void bind_level_conv(Array<const Level> levels, std::size_t images, const Geometry& geometry,
                     Array<const std::int16_t> values, std::size_t outputs, std::optional<Array<std::int32_t>> sums,
                     std::optional<Array<std::uint64_t>> out, std::optional<Limits> limits, std::size_t threads) {
  const Window window = window_of(geometry);
  const std::size_t pairs = (window.patch() + 1) / 2;
  require_size(values, blocks_for(outputs) * pairs * 2 * kLanes, "weights");
  require_size(levels, images * window.image(), "levels");
  const BoundResult bound(images, window.positions(), outputs, sums, out, limits);
  const nb::gil_scoped_release unlocked;
  level_conv(levels.data(), images, window, {values.data(), outputs, pairs}, bound.result, threads);
}

void bind_max_pool(Array<const std::uint64_t> bits, std::size_t images, const Geometry& geometry,
                   Array<const std::uint64_t> conjunctive, Array<std::uint64_t> pooled, std::size_t threads) {
  const Window window = window_of(geometry);
  if (window.pad_h != 0 || window.pad_w != 0) throw std::invalid_argument("pooling has no padding");
  require_size(bits, images * words_for(window.image()), "bits");
  require_size(conjunctive, words_for(window.channels), "conjunctive");
  require_size(pooled, images * words_for(window.positions() * window.channels), "pooled");
  const nb::gil_scoped_release unlocked;
  max_pool(bits.data(), images, window, conjunctive.data(), pooled.data(), threads);
}

template <class Pixel, class Level>
void bind_quantize(Array<const Pixel> pixels, const Shape& shape, Array<const std::int32_t> thresholds,
                   Array<Level> levels, std::size_t threads) {
  const auto [n, c, h, w] = shape;
  const PixelThresholds t = pixel_thresholds(thresholds, shape);
  require_size(pixels, n * c * h * w, "pixels");
  require_size(levels, n * c * h * w, "levels");
  const nb::gil_scoped_release unlocked;
  quantize(pixels.data(), n, c, h, w, t, levels.data(), threads);
}

template <class Pixel>
void bind_quantize_bits(Array<const Pixel> pixels, const Shape& shape, Array<const std::int32_t> thresholds,
                        Array<std::uint64_t> bits, std::size_t threads) {
  const auto [n, c, h, w] = shape;
  const PixelThresholds t = pixel_thresholds(thresholds, shape);
  if (t.count != 1) throw std::invalid_argument("bits have one threshold");
  require_size(pixels, n * c * h * w, "pixels");
  require_size(bits, n * words_for(c * h * w), "bits");
  const nb::gil_scoped_release unlocked;
  quantize_bits(pixels.data(), n, c, h, w, t, bits.data(), threads);
}

void bind_scores_argmax(Array<const std::int32_t> sums, std::size_t images, Array<const std::int32_t> bias,
                        unsigned shift, Array<std::int64_t> scores, Array<std::int64_t> winners) {
  const std::size_t classes = bias.size();
  if (classes == 0 || shift > 31) throw std::invalid_argument("scores need a class and a shift up to 31");
  require_size(sums, images * classes, "sums");
  require_size(scores, images * classes, "scores");
  require_size(winners, images, "winners");
  const nb::gil_scoped_release unlocked;
  scores_argmax(sums.data(), images, classes, bias.data(), shift, scores.data(), winners.data());
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const InstructionSet* set : available_instruction_sets()) found.emplace_back(set->name);
  return found;
}

template <class Level>
void define_level_conv(nb::module_& m) {
  m.def("level_conv", &bind_level_conv<Level>, nb::arg("levels").noconvert(), nb::arg("images"), nb::arg("window"),
        nb::arg("weights").noconvert(), nb::arg("outputs"), nb::arg("sums").noconvert().none(),
        nb::arg("bits").noconvert().none(), nb::arg("limits").none(), nb::arg("threads"));
}

template <class Pixel, class Level>
void define_quantize(nb::module_& m) {
  m.def("quantize", &bind_quantize<Pixel, Level>, nb::arg("pixels").noconvert(), nb::arg("shape"),
        nb::arg("thresholds").noconvert(), nb::arg("levels").noconvert(), nb::arg("threads"));
}

template <class Pixel>
void define_quantize_bits(nb::module_& m) {
  m.def("quantize_bits", &bind_quantize_bits<Pixel>, nb::arg("pixels").noconvert(), nb::arg("shape"),
        nb::arg("thresholds").noconvert(), nb::arg("bits").noconvert(), nb::arg("threads"));
}

}  // namespace

}  // namespace bnnhw::kernels

NB_MODULE(_cpu, m) {
  using namespace bnnhw::kernels;
  namespace nb = nanobind;
  m.def("instruction_sets", &names);
  m.def("instruction_set", [] { return std::string(selected_instruction_set().name); });
  m.def("multiplies_bytes", [] { return selected_instruction_set().tiles != nullptr; });
  m.def("select_instruction_set", [](const std::string& name) { return select_instruction_set(name); });
  m.def("ternary_dense", &bind_ternary_dense, nb::arg("activations").noconvert(), nb::arg("images"),
        nb::arg("weights").noconvert(), nb::arg("outputs"), nb::arg("count"), nb::arg("sums").noconvert().none(),
        nb::arg("bits").noconvert().none(), nb::arg("limits").none(), nb::arg("threads"));
  define_weights<DigitWeights>(m, "DigitWeights");
  m.def("digit_dense", &bind_digit_dense, nb::arg("activations").noconvert(), nb::arg("images"), nb::arg("weights"),
        nb::arg("sums").noconvert().none(), nb::arg("bits").noconvert().none(), nb::arg("limits").none(),
        nb::arg("threads"));
  m.def("looks_up", [] { return lookup_unit(); });
  define_weights<LookupWeights>(m, "LookupWeights");
  m.def("lookup_dense", &bind_lookup_dense, nb::arg("activations").noconvert(), nb::arg("images"), nb::arg("weights"),
        nb::arg("sums").noconvert().none(), nb::arg("bits").noconvert().none(), nb::arg("limits").none(),
        nb::arg("threads"));
  m.def("ternary_conv", &bind_ternary_conv, nb::arg("activations").noconvert(), nb::arg("images"), nb::arg("window"),
        nb::arg("weights").noconvert(), nb::arg("outputs"), nb::arg("sums").noconvert().none(),
        nb::arg("bits").noconvert().none(), nb::arg("limits").none(), nb::arg("threads"));
  define_level_conv<std::uint8_t>(m);
  define_level_conv<std::int16_t>(m);
  define_level_conv<std::int32_t>(m);
  m.def("max_pool", &bind_max_pool, nb::arg("bits").noconvert(), nb::arg("images"), nb::arg("window"),
        nb::arg("conjunctive").noconvert(), nb::arg("pooled").noconvert(), nb::arg("threads"));
  define_quantize<std::uint8_t, std::uint8_t>(m);
  define_quantize<std::uint8_t, std::int16_t>(m);
  define_quantize<std::uint8_t, std::int32_t>(m);
  define_quantize<std::int32_t, std::uint8_t>(m);
  define_quantize<std::int32_t, std::int16_t>(m);
  define_quantize<std::int32_t, std::int32_t>(m);
  define_quantize_bits<std::uint8_t>(m);
  define_quantize_bits<std::int32_t>(m);
  define_program(m);
  m.def("scores_argmax", &bind_scores_argmax, nb::arg("sums").noconvert(), nb::arg("images"),
        nb::arg("bias").noconvert(), nb::arg("shift"), nb::arg("scores").noconvert(), nb::arg("winners").noconvert());
}
