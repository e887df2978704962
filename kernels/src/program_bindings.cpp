// The class Program of the Python module: a model built layer by layer, each a closure over the arrays it reads.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "byte_tiles.hpp"
#include "image_lanes.hpp"
#include "program.hpp"

namespace bnnhw::kernels {

namespace {

class BoundProgram {
 public:
  // levels: how an activation is kept before the first layer: 0 as a bit, else as an integer of so many bytes.
  BoundProgram(const Shape& shape, Array<const std::int32_t> thresholds, std::size_t levels)
      : channels_(std::get<1>(shape)),
        height_(std::get<2>(shape)),
        width_(std::get<3>(shape)),
        levels_(levels),
        values_(channels_ * height_ * width_) {
    const PixelThresholds t = pixel_thresholds(thresholds, shape);
    if (levels == 0 && t.count != 1) throw std::invalid_argument("bits have one threshold");
    if (levels == 1 && t.count > 255) throw std::invalid_argument("a byte holds at most 255 thresholds");
    const std::size_t pixels = channels_ * height_ * width_;
    const std::size_t bytes = levels == 0 ? words_for(pixels) * sizeof(std::uint64_t) : pixels * levels;
    add_quantizer<std::uint8_t>(narrow_, bytes, thresholds, t);
    add_quantizer<std::int32_t>(wide_, bytes, thresholds, t);
  }

  void add_tiles(const Geometry& geometry, const Array<const std::int8_t>& weights,
                 const std::optional<Limits>& limits) {
    const Window window = next_window(geometry);
    if (weights.ndim() != 2 || weights.shape(1) != window.patch()) {
      throw std::invalid_argument("the weights do not fit the window");
    }
    if (levels_ != 1) throw std::invalid_argument("tiles need bytes");
    const TileUnit* const unit = selected_instruction_set().tiles;
    if (unit == nullptr) throw std::invalid_argument("the instruction set does not multiply bytes");
    const bool dense = window.whole();
    const std::size_t lines = dense ? 1 : window.kernel_h;
    const auto tiles = std::make_shared<TileWeights>(weights.data(), weights.shape(0), lines, window.patch() / lines);
    const std::size_t values = window.positions() * tiles->outputs();
    const std::uint64_t cost = std::uint64_t{window.positions()} * lines * tiles->steps() * (8 + tiles->columns());
    const auto finish = thresholds_of(window.positions(), tiles->outputs(), limits);
    add(limits ? values : 0,
        {limits ? values : values * sizeof(std::int32_t), cost,
         [unit, window, tiles, finish, limits, dense](const void* activations, std::size_t images, void* result) {
           const bool last = !limits;
           const TileResult to{last ? static_cast<std::int32_t*>(result) : nullptr,
                               last ? nullptr : static_cast<std::uint8_t*>(result), nullptr, &finish};
           const auto* const bytes = static_cast<const std::uint8_t*>(activations);
           if (dense) {
             byte_dense(*unit, bytes, images, *tiles, to);
           } else {
             byte_conv(*unit, bytes, images, window, *tiles, to);
           }
         }});
  }

  void add_pool_of_bytes(const Geometry& geometry, Array<const std::uint8_t> conjunctive) {
    const Window window = next_window(geometry);
    require_size(conjunctive, window.channels, "conjunctive");
    const std::uint64_t cost =
        std::uint64_t{window.positions()} * window.kernel_h * window.kernel_w * window.channels / 8;
    add(window.positions() * window.channels,
        {window.positions() * window.channels, cost,
         [window, conjunctive](const void* activations, std::size_t images, void* result) {
           max_pool_bytes(static_cast<const std::uint8_t*>(activations), images, window, conjunctive.data(),
                          static_cast<std::uint8_t*>(result));
         }});
  }

  void add_ternary(const Geometry& geometry, Array<const std::uint64_t> planes, std::size_t outputs,
                   const std::optional<Limits>& limits) {
    const Window window = next_window(geometry);
    const TernaryWeights weights = ternary_weights(planes, outputs, window.patch());
    if (levels_ != 0) throw std::invalid_argument("ternary weights need bits");
    const bool dense = window.whole();
    const std::uint64_t cost = std::uint64_t{window.positions()} * weights.words * outputs;
    add_bits(window.positions(), outputs, cost, limits,
             [window, weights, planes, dense](const void* activations, std::size_t images, const Result& result) {
               const auto* const words = static_cast<const std::uint64_t*>(activations);
               if (dense) {
                 ternary_dense(words, images, weights, result, 1);
               } else {
                 ternary_conv(words, images, window, weights, result, 1);
               }
             });
  }

  void add_levels(const Geometry& geometry, Array<const std::int16_t> values, std::size_t outputs,
                  const std::optional<Limits>& limits) {
    const Window window = next_window(geometry);
    const LevelWeights weights{values.data(), outputs, (window.patch() + 1) / 2};
    require_size(values, blocks_for(outputs) * weights.pairs * 2 * kLanes, "weights");
    const std::uint64_t cost = std::uint64_t{window.positions()} * weights.pairs * outputs;
    const std::size_t level_bytes = levels_;
    if (level_bytes == 0) throw std::invalid_argument("level weights need levels");
    levels_ = 0;
    add_bits(window.positions(), outputs, cost, limits,
             [window, weights, values, level_bytes](const void* activations, std::size_t images, const Result& result) {
               if (level_bytes == 1) {
                 level_conv(static_cast<const std::uint8_t*>(activations), images, window, weights, result, 1);
               } else if (level_bytes == 2) {
                 level_conv(static_cast<const std::int16_t*>(activations), images, window, weights, result, 1);
               } else {
                 level_conv(static_cast<const std::int32_t*>(activations), images, window, weights, result, 1);
               }
             });
  }

  void add_pool_of_bits(const Geometry& geometry, Array<const std::uint64_t> conjunctive) {
    const Window window = next_window(geometry);
    require_size(conjunctive, words_for(window.channels), "conjunctive");
    const std::size_t words = words_for(window.positions() * window.channels);
    const std::uint64_t cost = std::uint64_t{window.positions()} * window.kernel_h * window.kernel_w * 2;
    add(window.positions() * window.channels,
        {words * sizeof(std::uint64_t), cost,
         [window, conjunctive, words](const void* activations, std::size_t images, void* result) {
           auto* const bits = static_cast<std::uint64_t*>(result);
           std::fill_n(bits, images * words, std::uint64_t{0});
           max_pool(static_cast<const std::uint64_t*>(activations), images, window, conjunctive.data(), bits, 1);
         }});
  }

  void set_scores(const Array<const std::int32_t>& bias, unsigned shift) {
    if (bias.size() == 0 || shift > 31) throw std::invalid_argument("scores need a class and a shift up to 31");
    for (Program* program : {&narrow_, &wide_}) {
      if (program->step(program->step_count() - 1).bytes != bias.size() * sizeof(std::int32_t)) {
        throw std::invalid_argument("the last layer does not leave a sum for each class");
      }
      program->set_scores(std::vector<std::int32_t>(bias.data(), bias.data() + bias.size()), shift);
    }
  }

  template <class Pixel>
  void run(Array<const Pixel> pixels, std::size_t images, std::size_t threads, std::size_t batch,
           Array<std::int64_t> scores, Array<std::int64_t> winners) const {
    const Program& program = program_of<Pixel>();
    if (program.classes() == 0) throw std::invalid_argument("the program has no scores yet");
    require_size(pixels, images * channels_ * height_ * width_, "pixels");
    require_size(scores, images * program.classes(), "scores");
    require_size(winners, images, "winners");
    const nb::gil_scoped_release unlocked;
    program.run(reinterpret_cast<const std::uint8_t*>(pixels.data()), channels_ * height_ * width_ * sizeof(Pixel),
                images, threads, batch, scores.data(), winners.data());
  }

  // uint8[images, bytes] of every step.
  template <class Pixel>
  std::vector<nb::ndarray<nb::numpy, std::uint8_t>> trace(Array<const Pixel> pixels, std::size_t images) const {
    const Program& program = program_of<Pixel>();
    require_size(pixels, images * channels_ * height_ * width_, "pixels");
    auto results = program.trace(reinterpret_cast<const std::uint8_t*>(pixels.data()), images);
    std::vector<nb::ndarray<nb::numpy, std::uint8_t>> arrays;
    for (std::size_t i = 0; i < results.size(); ++i) {
      auto* const words = results[i].release();
      const nb::capsule owner(words, [](void* memory) noexcept { delete[] static_cast<std::uint64_t*>(memory); });
      arrays.emplace_back(words, std::initializer_list<std::size_t>{images, program.step(i).bytes}, owner);
    }
    return arrays;
  }

 private:
  template <class Pixel>
  const Program& program_of() const {
    return sizeof(Pixel) == 1 ? narrow_ : wide_;
  }

  // The window of a layer that reads what the step before it leaves.
  Window next_window(const Geometry& geometry) const {
    const Window window = window_of(geometry);
    if (window.image() != values_) throw std::invalid_argument("the layer does not read what the one before it leaves");
    return window;
  }

  // values: bits that the step leaves for an image; none after sums, which nothing but scores may follow.
  void add(std::size_t values, const Step& step) {
    narrow_.add(step);
    wide_.add(step);
    values_ = values;
  }

  template <class Pixel>
  void add_quantizer(Program& program, std::size_t bytes, const Array<const std::int32_t>& thresholds,
                     const PixelThresholds& t) const {
    const auto quantize_to = [c = channels_, h = height_, w = width_, levels = levels_, thresholds, t](
                                 const void* from, std::size_t images, void* to) {
      const auto* const pixels = static_cast<const Pixel*>(from);
      if (levels == 0) {
        quantize_bits(pixels, images, c, h, w, t, static_cast<std::uint64_t*>(to), 1);
      } else if (levels == 1) {
        quantize(pixels, images, c, h, w, t, static_cast<std::uint8_t*>(to), 1);
      } else if (levels == 2) {
        quantize(pixels, images, c, h, w, t, static_cast<std::int16_t*>(to), 1);
      } else {
        quantize(pixels, images, c, h, w, t, static_cast<std::int32_t*>(to), 1);
      }
    };
    program.add({bytes, 4 * channels_ * height_ * width_, quantize_to});
  }

  // run_layer(activations, images, result) on bits or levels; the result is bits, or sums without limits.
  template <class RunLayer>
  void add_bits(std::size_t positions, std::size_t outputs, std::uint64_t cost, const std::optional<Limits>& limits,
                const RunLayer& run_layer) {
    const std::size_t words = words_for(positions * outputs);
    const Thresholds thresholds = thresholds_of(positions, outputs, limits);
    if (!limits) {
      add(0, {positions * outputs * sizeof(std::int32_t), cost,
              [run_layer](const void* activations, std::size_t images, void* result) {
                run_layer(activations, images, Result{static_cast<std::int32_t*>(result), nullptr, nullptr});
              }});
      return;
    }
    add(positions * outputs,
        {words * sizeof(std::uint64_t), cost,
         [run_layer, thresholds, limits, words](const void* activations, std::size_t images, void* result) {
           auto* const bits = static_cast<std::uint64_t*>(result);
           std::fill_n(bits, images * words, std::uint64_t{0});
           run_layer(activations, images, Result{nullptr, bits, &thresholds});
         }});
  }

  std::size_t channels_, height_, width_;
  std::size_t levels_;
  std::size_t values_;
  // The same but for the first step: for 8-bit and for 32-bit pixels.
  Program narrow_;
  Program wide_;
};

ImageLanes make_lanes(const Shape& shape, Array<const std::int32_t> thresholds) {
  const auto [n, channels, height, width] = shape;
  return {channels, height, width, pixel_thresholds(thresholds, shape)};
}

void add_product(ImageLanes& lanes, const Geometry& geometry, const Array<const std::int8_t>& weights,
                 const std::optional<Limits>& limits) {
  const Window window = window_of(geometry);
  if (weights.ndim() != 2 || weights.shape(1) != window.patch()) {
    throw std::invalid_argument("the weights do not fit the window");
  }
  const Thresholds thresholds = thresholds_of(window.positions(), weights.shape(0), limits);
  lanes.add_product(window, weights.data(), weights.shape(0), limits ? &thresholds : nullptr);
}

void add_pool_of_lanes(ImageLanes& lanes, const Geometry& geometry, const Array<const std::uint8_t>& conjunctive) {
  const Window window = window_of(geometry);
  require_size(conjunctive, window.channels, "conjunctive");
  lanes.add_pool(window, conjunctive.data());
}

void run_lanes(const ImageLanes& lanes, const Array<const std::uint8_t>& pixels, std::size_t images,
               std::size_t threads, Array<std::int64_t> scores, Array<std::int64_t> winners) {
  if (lanes.classes() == 0) throw std::invalid_argument("the program has no scores yet");
  require_size(pixels, images * lanes.pixels(), "pixels");
  require_size(scores, images * lanes.classes(), "scores");
  require_size(winners, images, "winners");
  const nb::gil_scoped_release unlocked;
  lanes.run(pixels.data(), images, threads, scores.data(), winners.data());
}

}  // namespace

void define_program(nb::module_& m) {
  nb::class_<ImageLanes>(m, "ImageLanes")
      .def(nb::new_(&make_lanes), nb::arg("shape"), nb::arg("thresholds").noconvert())
      .def("add_product", &add_product, nb::arg("window"), nb::arg("weights").noconvert(), nb::arg("limits").none())
      .def("add_pool", &add_pool_of_lanes, nb::arg("window"), nb::arg("conjunctive").noconvert())
      .def(
          "set_scores",
          [](ImageLanes& lanes, const Array<const std::int32_t>& bias, unsigned shift) {
            if (bias.size() == 0 || shift > 31) throw std::invalid_argument("scores need a class and a shift up to 31");
            lanes.set_scores({bias.data(), bias.data() + bias.size()}, shift);
          },
          nb::arg("bias").noconvert(), nb::arg("shift"))
      .def("run", &run_lanes, nb::arg("pixels").noconvert(), nb::arg("images"), nb::arg("threads"),
           nb::arg("scores").noconvert(), nb::arg("winners").noconvert());
  nb::class_<BoundProgram>(m, "Program")
      .def(nb::init<const Shape&, Array<const std::int32_t>, std::size_t>(), nb::arg("shape"),
           nb::arg("thresholds").noconvert(), nb::arg("levels"))
      .def("add_tiles", &BoundProgram::add_tiles, nb::arg("window"), nb::arg("weights").noconvert(),
           nb::arg("limits").none())
      .def("add_ternary", &BoundProgram::add_ternary, nb::arg("window"), nb::arg("weights").noconvert(),
           nb::arg("outputs"), nb::arg("limits").none())
      .def("add_levels", &BoundProgram::add_levels, nb::arg("window"), nb::arg("weights").noconvert(),
           nb::arg("outputs"), nb::arg("limits").none())
      .def("add_pool_of_bits", &BoundProgram::add_pool_of_bits, nb::arg("window"), nb::arg("conjunctive").noconvert())
      .def("add_pool_of_bytes", &BoundProgram::add_pool_of_bytes, nb::arg("window"), nb::arg("conjunctive").noconvert())
      .def("set_scores", &BoundProgram::set_scores, nb::arg("bias").noconvert(), nb::arg("shift"))
      .def("run", &BoundProgram::run<std::uint8_t>, nb::arg("pixels").noconvert(), nb::arg("images"),
           nb::arg("threads"), nb::arg("batch"), nb::arg("scores").noconvert(), nb::arg("winners").noconvert())
      .def("run", &BoundProgram::run<std::int32_t>, nb::arg("pixels").noconvert(), nb::arg("images"),
           nb::arg("threads"), nb::arg("batch"), nb::arg("scores").noconvert(), nb::arg("winners").noconvert())
      .def("trace", &BoundProgram::trace<std::uint8_t>, nb::arg("pixels").noconvert(), nb::arg("images"))
      .def("trace", &BoundProgram::trace<std::int32_t>, nb::arg("pixels").noconvert(), nb::arg("images"));
}

}  // namespace bnnhw::kernels
