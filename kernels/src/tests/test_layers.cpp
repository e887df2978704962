// Every layer against its definition, bit by bit, on shapes around word and block boundaries, with every instruction
// set this processor has. Each array is exactly as large as the interface says, so that the address sanitizer sees
// any access past its end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "digit_products.hpp"
#include "image_lanes.hpp"
#include "layers.hpp"
#include "lookup_products.hpp"
#include "parallel.hpp"
#include "program.hpp"

using namespace bnnhw::kernels;

namespace {

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                 \
    }                                                                               \
  } while (false)

std::mt19937_64 random_words(20240607);

std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_words() % limit); }

// Words that keep their own copy of exactly the right size.
std::vector<std::uint64_t> pack(const std::vector<bool>& bits, std::size_t images) {
  const std::size_t count = bits.size() / images;
  std::vector<std::uint64_t> words(images * words_for(count));
  for (std::size_t n = 0; n < images; ++n) {
    for (std::size_t k = 0; k < count; ++k) {
      words[n * words_for(count) + k / 64] |= std::uint64_t{bits[n * count + k]} << (k % 64);
    }
  }
  return words;
}

std::vector<bool> random_bits(std::size_t count) {
  std::vector<bool> bits(count);
  for (std::size_t i = 0; i < count; ++i) bits[i] = below(2) == 1;
  return bits;
}

// A layer with random ternary weights [outputs][patch] and thresholds, in plain and in kernel layout.
struct Layer {
  Layer(std::size_t outs, std::size_t patch, std::size_t positions, int largest, bool binary_weights = false)
      : binary(binary_weights),
        outputs(outs),
        inputs(patch),
        weights(outs * patch),
        limits(positions * blocks_for(outs) * kLanes, 1),
        flips(blocks_for(outs)),
        planes(blocks_for(outs) * words_for(patch) * 2 * kLanes),
        values(blocks_for(outs) * ((patch + 1) / 2) * kLanes * 2) {
    for (std::size_t o = 0; o < outputs; ++o) {
      if (below(2) == 1) flips[o / kLanes] = static_cast<std::uint8_t>(flips[o / kLanes] | 1u << o % kLanes);
      for (std::size_t p = 0; p < positions; ++p) {
        const int limit = static_cast<int>(below(8)) * largest - 3 * largest;
        const int extreme = below(2) == 1 ? INT32_MAX : -INT32_MAX;
        limits[p * blocks_for(outs) * kLanes + o] = below(8) == 0 ? extreme : limit;
      }
      for (std::size_t k = 0; k < inputs; ++k) {
        const int w = binary ? static_cast<int>(below(2)) * 2 - 1 : static_cast<int>(below(3)) - 1;
        weights[o * inputs + k] = w;
        const std::size_t pair = o / kLanes * ((inputs + 1) / 2) + k / 2;
        values[(pair * kLanes + o % kLanes) * 2 + k % 2] = static_cast<std::int16_t>(w);
        const std::size_t word = (o / kLanes * words_for(inputs) + k / 64) * 2 + (w < 0 ? 1 : 0);
        if (w != 0) planes[word * kLanes + o % kLanes] |= std::uint64_t{1} << (k % 64);
      }
    }
  }

  bool bit(std::size_t position, std::size_t o, std::int64_t sum) const {
    const bool reached = sum >= limits[position * blocks_for(outputs) * kLanes + o];
    return reached != ((flips[o / kLanes] >> o % kLanes & 1) == 1);
  }

  // As the kernels take them: a binary layer's planes are the positive ones.
  TernaryWeights ternary() {
    if (binary) {
      positive.clear();
      for (std::size_t word = 0; word < planes.size() / (2 * kLanes); ++word) {
        const auto from = planes.begin() + static_cast<std::ptrdiff_t>(word * 2 * kLanes);
        positive.insert(positive.end(), from, from + kLanes);
      }
    }
    return {binary ? positive.data() : planes.data(), outputs, words_for(inputs), binary};
  }

  bool binary;
  std::size_t outputs, inputs;
  std::vector<std::uint64_t> positive;
  std::vector<int> weights;
  std::vector<std::int32_t> limits;
  std::vector<std::uint8_t> flips;
  std::vector<std::uint64_t> planes;
  std::vector<std::int16_t> values;
};

// The sum at one output position, from the definition. value(k) is input k of the image.
template <class Value>
std::int64_t sum_at(const Layer& layer, const Window& w, std::size_t position, std::size_t o, const Value& value) {
  std::int64_t sum = 0;
  for (std::size_t ky = 0; ky < w.kernel_h; ++ky) {
    for (std::size_t kx = 0; kx < w.kernel_w; ++kx) {
      const std::size_t y = position / w.columns() * w.stride_h + ky;
      const std::size_t x = position % w.columns() * w.stride_w + kx;
      if (y < w.pad_h || y >= w.pad_h + w.height || x < w.pad_w || x >= w.pad_w + w.width) continue;
      for (std::size_t c = 0; c < w.channels; ++c) {
        const std::int64_t a = value(((y - w.pad_h) * w.width + x - w.pad_w) * w.channels + c);
        sum += a * layer.weights[o * layer.inputs + (ky * w.kernel_w + kx) * w.channels + c];
      }
    }
  }
  return sum;
}

// Runs `run` once for sums and once for bits, and compares both with the definition.
template <class Value, class Run>
void check_layer(const Layer& layer, const Window& w, std::size_t images, const Value& value, const Run& run) {
  const std::size_t positions = w.positions();
  const std::size_t words = words_for(positions * layer.outputs);
  const std::size_t lanes = blocks_for(layer.outputs) * kLanes;
  const Thresholds thresholds{layer.limits.data(), layer.limits.size() == lanes ? 0 : lanes, layer.flips.data()};
  std::vector<std::int32_t> sums(images * positions * layer.outputs, -77);
  std::vector<std::uint64_t> bits(images * words);
  run(Result{sums.data(), nullptr, nullptr});
  run(Result{nullptr, bits.data(), &thresholds});
  std::vector<bool> expected(images * positions * layer.outputs);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::size_t image = i / layer.outputs / positions;
    const std::size_t position = i / layer.outputs % positions;
    const std::int64_t sum =
        sum_at(layer, w, position, i % layer.outputs, [&](std::size_t k) { return value(image * w.image() + k); });
    CHECK(sums[i] == sum);
    expected[i] = layer.bit(thresholds.position_stride == 0 ? 0 : position, i % layer.outputs, sum);
  }
  CHECK(bits == pack(expected, images));
}

Window random_window(bool padded) {
  static const std::size_t channels[] = {1, 2, 5, 16, 63, 64, 65, 130};
  Window w{};
  w.channels = channels[below(8)];
  w.kernel_h = 1 + below(4);
  w.kernel_w = 1 + below(4);
  w.stride_h = 1 + below(3);
  w.stride_w = 1 + below(3);
  w.pad_h = padded ? below(w.kernel_h + 1) : 0;
  w.pad_w = padded ? below(w.kernel_w + 1) : 0;
  w.height = (w.kernel_h > 2 * w.pad_h ? w.kernel_h - 2 * w.pad_h : 1) + below(5);
  w.width = (w.kernel_w > 2 * w.pad_w ? w.kernel_w - 2 * w.pad_w : 1) + below(5);
  return w;
}

std::size_t random_outputs() {
  static const std::size_t outputs[] = {1, 7, 8, 9, 63, 64, 65, 72};
  return outputs[below(8)];
}

void test_bit_ranges() {
  for (int round = 0; round < 4000; ++round) {
    const std::size_t count = 1 + below(200);
    const std::size_t from = below(140);
    const std::size_t to = below(140);
    const std::vector<bool> bits = random_bits(from + count);
    std::vector<std::uint64_t> source = pack(bits, 1);
    source.push_back(random_words());
    std::vector<std::uint64_t> target(words_for(to + count));
    or_range(target.data(), to, source.data(), from, count);
    std::vector<bool> expected(to + count);
    for (std::size_t i = 0; i < count; ++i) expected[to + i] = bits[from + i];
    CHECK(target == pack(expected, 1));
  }
}

void test_dense() {
  for (const std::size_t inputs : {1, 2, 63, 64, 65, 127, 128, 129, 31 * 64, 31 * 64 + 1, 70 * 64 - 1}) {
    for (const std::size_t images : {1, 2, 3, 67}) {
      const Window w{inputs, 1, 1, 1, 1, 1, 1, 0, 0};
      Layer layer(random_outputs(), inputs, 1, 1, below(2) == 1);
      const std::vector<bool> bits = random_bits(images * inputs);
      const std::vector<std::uint64_t> words = pack(bits, images);
      const TernaryWeights weights = layer.ternary();
      check_layer(
          layer, w, images, [&](std::size_t k) { return std::int64_t{bits[k]}; },
          [&](const Result& result) { ternary_dense(words.data(), images, weights, result, 2); });
    }
  }
}

void test_ternary_conv() {
  for (int round = 0; round < 60; ++round) {
    const Window w = random_window(true);
    const std::size_t images = 1 + below(3);
    Layer layer(random_outputs(), w.patch(), below(2) == 1 ? w.positions() : 1, 1, below(2) == 1);
    const std::vector<bool> bits = random_bits(images * w.image());
    const std::vector<std::uint64_t> words = pack(bits, images);
    const TernaryWeights weights = layer.ternary();
    check_layer(
        layer, w, images, [&](std::size_t k) { return std::int64_t{bits[k]}; },
        [&](const Result& result) { ternary_conv(words.data(), images, w, weights, result, 3); });
  }
}

template <class Level>
void test_level_conv(int largest) {
  for (int round = 0; round < 30; ++round) {
    const Window w = random_window(true);
    const std::size_t images = 1 + below(3);
    const Layer layer(random_outputs(), w.patch(), below(2) == 1 ? w.positions() : 1, largest);
    std::vector<Level> levels(images * w.image());
    for (Level& level : levels) level = static_cast<Level>(below(static_cast<std::size_t>(largest) + 1));
    const LevelWeights weights{layer.values.data(), layer.outputs, (w.patch() + 1) / 2};
    check_layer(
        layer, w, images, [&](std::size_t k) { return std::int64_t{levels[k]}; },
        [&](const Result& result) { level_conv(levels.data(), images, w, weights, result, 3); });
  }
}

void test_max_pool() {
  for (int round = 0; round < 200; ++round) {
    const Window w = random_window(false);
    const std::size_t images = 1 + below(3);
    const std::vector<bool> bits = random_bits(images * w.image());
    const std::vector<bool> conjunctive = random_bits(w.channels);
    std::vector<bool> expected;
    for (std::size_t i = 0; i < images * w.positions() * w.channels; ++i) {
      const std::size_t c = i % w.channels;
      const std::size_t position = i / w.channels % w.positions();
      const std::size_t image = i / w.channels / w.positions();
      std::size_t ones = 0;
      for (std::size_t ky = 0; ky < w.kernel_h; ++ky) {
        for (std::size_t kx = 0; kx < w.kernel_w; ++kx) {
          const std::size_t y = position / w.columns() * w.stride_h + ky;
          const std::size_t x = position % w.columns() * w.stride_w + kx;
          ones += bits[image * w.image() + (y * w.width + x) * w.channels + c] ? 1 : 0;
        }
      }
      expected.push_back(conjunctive[c] ? ones == w.kernel_h * w.kernel_w : ones > 0);
    }
    const std::vector<std::uint64_t> words = pack(bits, images);
    const std::vector<std::uint64_t> directions = pack(conjunctive, 1);
    std::vector<std::uint64_t> pooled(images * words_for(w.positions() * w.channels));
    max_pool(words.data(), images, w, directions.data(), pooled.data(), 2);
    CHECK(pooled == pack(expected, images));
    const std::vector<std::uint8_t> bytes(bits.begin(), bits.end());
    const std::vector<std::uint8_t> choose(conjunctive.begin(), conjunctive.end());
    std::vector<std::uint8_t> pooled_bytes(expected.size(), 7);
    max_pool_bytes(bytes.data(), images, w, choose.data(), pooled_bytes.data());
    CHECK(std::vector<bool>(pooled_bytes.begin(), pooled_bytes.end()) == expected);
  }
}

std::vector<std::int8_t> narrow(const std::vector<int>& weights) {
  return std::vector<std::int8_t>(weights.begin(), weights.end());
}

// A byte result and the same as the words that check_layer wants.
template <class Run>
void run_on_bytes(const Result& result, std::size_t images, std::size_t row_outputs, std::size_t rows, const Run& run) {
  if (result.sums != nullptr) {
    run(TileResult{result.sums, nullptr, nullptr, nullptr});
    return;
  }
  std::vector<std::uint8_t> bytes(images * rows * row_outputs, 7);
  run(TileResult{nullptr, bytes.data(), nullptr, result.thresholds});
  for (const std::uint8_t byte : bytes) CHECK(byte <= 1);
  const std::vector<std::uint64_t> words = pack(std::vector<bool>(bytes.begin(), bytes.end()), images);
  std::copy(words.begin(), words.end(), result.bits);
}

void test_byte_conv(const TileUnit& unit) {
  for (int round = 0; round < 100; ++round) {
    Window w = random_window(true);
    // Beyond the 16 positions that a tile holds.
    if (below(2) == 1) w.width += below(40);
    const std::size_t images = 1 + below(3);
    const Layer layer(random_outputs(), w.patch(), below(2) == 1 ? w.positions() : 1, 255);
    std::vector<std::uint8_t> levels(images * w.image());
    for (std::uint8_t& level : levels) level = static_cast<std::uint8_t>(below(256));
    const TileWeights weights(narrow(layer.weights).data(), layer.outputs, w.kernel_h, w.patch() / w.kernel_h);
    check_layer(
        layer, w, images, [&](std::size_t k) { return std::int64_t{levels[k]}; },
        [&](const Result& result) {
          run_on_bytes(result, images, layer.outputs, w.positions(),
                       [&](const TileResult& to) { byte_conv(unit, levels.data(), images, w, weights, to); });
        });
  }
}

void test_byte_dense(const TileUnit& unit) {
  for (const std::size_t inputs : {1, 63, 64, 65, 129, 1000, 70 * 64 - 1}) {
    for (const std::size_t images : {1, 16, 17, 67}) {
      const Window w{inputs, 1, 1, 1, 1, 1, 1, 0, 0};
      const Layer layer(random_outputs(), inputs, 1, 1);
      const std::vector<bool> bits = random_bits(images * inputs);
      const std::vector<std::uint8_t> bytes(bits.begin(), bits.end());
      const TileWeights weights(narrow(layer.weights).data(), layer.outputs, 1, inputs);
      const auto value = [&](std::size_t k) { return std::int64_t{bits[k]}; };
      check_layer(layer, w, images, value, [&](const Result& result) {
        run_on_bytes(result, images, layer.outputs, 1,
                     [&](const TileResult& to) { byte_dense(unit, bytes.data(), images, weights, to); });
      });
    }
  }
}

// Every way to chain sums, with as many images as fill tiles, four too few or too many, and with two passes.
void test_digit_dense() {
  for (const std::size_t inputs : {1, 63, 64, 65, 1000, 2047, 2048, 8192, 8193}) {
    for (const std::size_t images : {1, 5, 64, 129}) {
      for (const bool binary : {false, true}) {
        const Window w{inputs, 1, 1, 1, 1, 1, 1, 0, 0};
        const Layer layer(random_outputs(), inputs, 1, 1, binary);
        const std::vector<bool> bits = random_bits(images * inputs);
        const std::vector<std::uint64_t> words = pack(bits, images);
        const DigitWeights weights(narrow(layer.weights).data(), layer.outputs, inputs);
        check_layer(
            layer, w, images, [&](std::size_t k) { return std::int64_t{bits[k]}; },
            [&](const Result& result) {
              digit_dense(words.data(), images, weights, {result.sums, nullptr, result.bits, result.thresholds});
            });
      }
    }
  }
}

// Each digit at both ends of its range beside the others at theirs: rows of ones and of zeros by outputs of -1, 0, 1.
void test_digit_extremes(std::size_t inputs, Digits digits) {
  constexpr std::size_t images = 9;
  const std::size_t outputs = digits == Digits::ones_three_in_two ? 16 * 9 : 16 * 13;
  std::vector<std::int8_t> weights(outputs * inputs);
  for (std::size_t o = 0; o < outputs; ++o) {
    // Tiles of 16 outputs differ, so that neighbours of a chain do.
    const std::size_t kind = (o / 16 * 5 + o % 16 * 7 + o / 48) % (digits == Digits::ones_three_in_two ? 2 : 3);
    const int weight = digits == Digits::ones_three_in_two ? (kind == 0 ? -1 : 1) : static_cast<int>(kind) - 1;
    std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>(o * inputs), inputs, static_cast<std::int8_t>(weight));
  }
  std::vector<bool> bits(images * inputs);
  for (std::size_t n = 0; n < images; ++n) {
    for (std::size_t k = 0; k < inputs; ++k) bits[n * inputs + k] = (0b101100111u >> n & 1u) != 0;
  }
  const DigitWeights encoded(weights.data(), outputs, inputs);
  CHECK(encoded.digits() == digits);
  std::vector<std::int32_t> sums(images * outputs);
  digit_dense(pack(bits, images).data(), images, encoded, {sums.data(), nullptr, nullptr, nullptr});
  for (std::size_t n = 0; n < images; ++n) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const int sign = bits[n * inputs] ? weights[o * inputs] : 0;
      CHECK(sums[n * outputs + o] == sign * static_cast<int>(inputs));
    }
  }
}

void test_too_many_inputs_for_digits() {
  const std::vector<std::int8_t> weights(kMostDigitInputs + 1, 1);
  try {
    DigitWeights(weights.data(), 1, weights.size());
  } catch (const std::invalid_argument&) {
    return;
  }
  CHECK(false);
}

// Blocks of one and two registers, rows that fill none, and one and several pieces.
void test_lookup_dense() {
  for (const std::size_t inputs : {1, 5, 6, 7, 63, 64, 65, 252, 253, 1000, 2047}) {
    for (const std::size_t images : {1, 2, 7, 8, 19}) {
      const Window w{inputs, 1, 1, 1, 1, 1, 1, 0, 0};
      const Layer layer(1 + inputs * images % 200, inputs, 1, 1, true);
      const std::vector<bool> bits = random_bits(images * inputs);
      const std::vector<std::uint64_t> words = pack(bits, images);
      const LookupWeights weights(narrow(layer.weights).data(), layer.outputs, inputs);
      check_layer(
          layer, w, images, [&](std::size_t k) { return std::int64_t{bits[k]}; },
          [&](const Result& result) {
            lookup_dense(words.data(), images, weights, {result.sums, nullptr, result.bits, result.thresholds});
          });
    }
  }
}

// A convolution, pooling and two dense layers on random pixels, value by value from the definition.
void test_image_lanes() {
  for (int round = 0; round < 60; ++round) {
    const Window first = random_window(true);
    const std::size_t levels = 1 + below(4);
    const bool by_position = below(2) == 1;
    const Layer convolution(random_outputs(), first.patch(), by_position ? first.positions() : 1, 3);
    const std::size_t side = std::min<std::size_t>({2, first.rows(), first.columns()});
    const Window second{convolution.outputs, first.rows(),  first.columns(), side, side,
                        1 + below(2),        1 + below(2), 0,               0};
    std::vector<std::uint8_t> conjunctive(second.channels);
    for (std::uint8_t& one : conjunctive) one = static_cast<std::uint8_t>(below(2));
    const Window third{second.channels, second.rows(), second.columns(), second.rows(), second.columns(), 1, 1, 0, 0};
    const Layer dense(random_outputs(), third.patch(), 1, 3);
    const Window fourth{dense.outputs, 1, 1, 1, 1, 1, 1, 0, 0};
    const Layer last(1 + below(11), dense.outputs, 1, 1);

    std::vector<std::int32_t> cuts(levels);
    for (std::int32_t& cut : cuts) cut = static_cast<std::int32_t>(below(300)) - 20;
    std::sort(cuts.begin(), cuts.end());
    ImageLanes lanes(first.channels, first.height, first.width, {cuts.data(), levels, 0, 0, 0});
    const auto add = [&](const Window& window, const Layer& layer) {
      const std::size_t padded = blocks_for(layer.outputs) * kLanes;
      const std::size_t step = layer.limits.size() == padded ? 0 : padded;
      const Thresholds thresholds{layer.limits.data(), step, layer.flips.data()};
      lanes.add_product(window, narrow(layer.weights).data(), layer.outputs, &thresholds);
    };
    add(first, convolution);
    lanes.add_pool(second, conjunctive.data());
    add(third, dense);
    lanes.add_product(fourth, narrow(last.weights).data(), last.outputs, nullptr);
    lanes.set_scores(std::vector<std::int32_t>(last.outputs, 5), 1);

    const std::size_t images = std::vector<std::size_t>{1, 63, 65, 260}[below(4)];
    std::vector<std::uint8_t> pixels(images * first.image());
    for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(below(256));
    std::vector<std::int64_t> scores(images * last.outputs);
    std::vector<std::int64_t> winners(images);
    lanes.run(pixels.data(), images, 1 + below(3), scores.data(), winners.data());
    for (std::size_t n = 0; n < images; n += images > 65 ? 37 : 8) {
      const auto level = [&](std::size_t k) {
        const std::size_t place = k / first.channels;
        const int pixel = pixels[n * first.image() + k % first.channels * first.height * first.width + place];
        return std::int64_t{std::upper_bound(cuts.begin(), cuts.end(), pixel) - cuts.begin()};
      };
      const auto bits_of = [](const Layer& layer, const Window& w, const auto& value) {
        std::vector<bool> bits;
        for (std::size_t p = 0; p < w.positions(); ++p) {
          for (std::size_t o = 0; o < layer.outputs; ++o) {
            const bool shared = layer.limits.size() == blocks_for(layer.outputs) * kLanes;
            bits.push_back(layer.bit(shared ? 0 : p, o, sum_at(layer, w, p, o, value)));
          }
        }
        return bits;
      };
      const std::vector<bool> a = bits_of(convolution, first, level);
      std::vector<bool> b;
      for (std::size_t p = 0; p < second.positions(); ++p) {
        for (std::size_t c = 0; c < second.channels; ++c) {
          std::size_t count = 0;
          for (std::size_t k = 0; k < side * side; ++k) {
            const std::size_t y = p / second.columns() * second.stride_h + k / side;
            const std::size_t x = p % second.columns() * second.stride_w + k % side;
            count += a[(y * second.width + x) * second.channels + c];
          }
          b.push_back(conjunctive[c] != 0 ? count == side * side : count != 0);
        }
      }
      const std::vector<bool> d = bits_of(dense, third, [&](std::size_t k) { return std::int64_t{b[k]}; });
      std::size_t best = 0;
      for (std::size_t c = 0; c < last.outputs; ++c) {
        const std::int64_t sum = sum_at(last, fourth, 0, c, [&](std::size_t k) { return std::int64_t{d[k]}; });
        CHECK(scores[n * last.outputs + c] == 2 * sum + 5);
        if (scores[n * last.outputs + c] > scores[n * last.outputs + best]) best = c;
      }
      CHECK(winners[n] == static_cast<std::int64_t>(best));
    }
  }
}

// The largest totals: every byte and half of a byte at its end, and 16 bits.
void test_lookup_extremes() {
  for (const std::size_t inputs : {252, 12 * 21 * 3, static_cast<int>(kMostLookupInputs)}) {
    std::vector<std::int8_t> weights(2 * inputs, 1);
    std::fill_n(weights.begin(), inputs, std::int8_t{-1});
    std::vector<bool> bits(3 * inputs);
    std::fill(bits.begin() + static_cast<std::ptrdiff_t>(inputs), bits.end(), true);
    std::vector<std::int32_t> sums(6);
    lookup_dense(pack(bits, 3).data(), 3, {weights.data(), 2, inputs}, {sums.data(), nullptr, nullptr, nullptr});
    const auto all = static_cast<std::int32_t>(inputs);
    CHECK((sums == std::vector<std::int32_t>{0, 0, -all, all, -all, all}));
  }
}

void test_weights_that_cannot_be_looked_up() {
  for (const std::vector<std::int8_t>& weights :
       {std::vector<std::int8_t>(kMostLookupInputs + 1, 1), std::vector<std::int8_t>{1, 0, -1}}) {
    bool refused = false;
    try {
      LookupWeights(weights.data(), 1, weights.size());
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    CHECK(refused);
  }
}

// The largest sums of levels that a tile's 32 bits must hold exactly.
void test_byte_extremes(const TileUnit& unit) {
  const std::size_t inputs = 100'000;
  const std::vector<std::uint8_t> levels(inputs, 255);
  std::vector<std::int8_t> weights(2 * inputs, 1);
  std::fill_n(weights.begin(), inputs, std::int8_t{-1});
  std::vector<std::int32_t> sums(2);
  const TileResult result{sums.data(), nullptr, nullptr, nullptr};
  byte_dense(unit, levels.data(), 1, TileWeights(weights.data(), 2, 1, inputs), result);
  CHECK(sums[0] == -25'500'000);
  CHECK(sums[1] == 25'500'000);
}

// Steps run one after the other on every image, whatever the batch and the threads.
void test_program() {
  const auto step = [](std::size_t from, std::size_t to, int factor) {
    return Step{to * sizeof(std::int32_t), 1u << 16, [=](const void* in, std::size_t images, void* out) {
                  for (std::size_t i = 0; i < images * to; ++i) {
                    const std::int32_t value = static_cast<const std::int32_t*>(in)[i / to * from + i % to % from];
                    static_cast<std::int32_t*>(out)[i] = factor * value + static_cast<std::int32_t>(i % to);
                  }
                }};
  };
  Program program;
  program.add(step(1, 5, 3));
  program.add(step(5, 2, -1));
  program.set_scores({10, 0}, 1);
  std::vector<std::int32_t> pixels(101);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::int32_t>(below(9));
  for (const std::size_t batch : {0, 1, 7, 1000}) {
    for (const std::size_t threads : {1, 3}) {
      std::vector<std::int64_t> scores(2 * pixels.size());
      std::vector<std::int64_t> winners(pixels.size());
      program.run(reinterpret_cast<const std::uint8_t*>(pixels.data()), sizeof(std::int32_t), pixels.size(), threads,
                  batch, scores.data(), winners.data());
      for (std::size_t n = 0; n < pixels.size(); ++n) {
        CHECK(scores[2 * n] == -6 * pixels[n] + 10);
        CHECK(scores[2 * n + 1] == -6 * pixels[n]);
        CHECK(winners[n] == 0);
      }
    }
  }
}

template <class Pixel>
void test_quantize(int lowest) {
  for (int round = 0; round < 100; ++round) {
    const std::size_t images = 1 + below(3);
    const std::size_t channels = 1 + below(3);
    const std::size_t height = 1 + below(9);
    const std::size_t width = 1 + below(9);
    const std::size_t count = 1 + below(12);
    const bool by_channel = below(2) == 1;
    const bool by_row = below(2) == 1;
    const bool by_column = below(2) == 1;
    const std::size_t rows = by_row ? height : 1;
    const std::size_t columns = by_column ? width : 1;
    std::vector<std::int32_t> values((by_channel ? channels : 1) * rows * columns * count);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int32_t previous = i % count == 0 ? lowest : values[i - 1];
      values[i] = previous + static_cast<std::int32_t>(below(count < 4 ? 100 : 30));
    }
    const PixelThresholds thresholds{values.data(), count, by_channel ? rows * columns * count : 0,
                                     by_row ? columns * count : 0, by_column ? count : 0};
    const std::size_t image = channels * height * width;
    std::vector<Pixel> pixels(images * image);
    for (Pixel& pixel : pixels) pixel = static_cast<Pixel>(lowest + static_cast<int>(below(256)));
    std::vector<std::uint8_t> expected(images * image);
    std::vector<bool> first(images * image);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t c = i % channels;
      const std::size_t y = i / channels / width % height;
      const std::size_t x = i / channels % width;
      const std::size_t n = i / image;
      const std::int32_t pixel = pixels[n * image + (c * height + y) * width + x];
      const std::size_t at = ((by_channel ? c : 0) * rows + (by_row ? y : 0)) * columns + (by_column ? x : 0);
      for (std::size_t j = 0; j < count; ++j) expected[i] += pixel >= values[at * count + j] ? 1 : 0;
      first[i] = pixel >= values[at * count];
    }
    std::vector<std::uint8_t> levels(images * image);
    quantize(pixels.data(), images, channels, height, width, thresholds, levels.data(), 2);
    CHECK(levels == expected);
    std::vector<std::uint64_t> bits(images * words_for(image));
    quantize_bits(pixels.data(), images, channels, height, width, thresholds, bits.data(), 2);
    CHECK(bits == pack(first, images));
  }
}

void test_scores() {
  const std::vector<std::int32_t> sums{1, 2, 2, INT32_MIN, INT32_MAX, -1};
  const std::vector<std::int32_t> bias{4, 0, 0};
  std::vector<std::int64_t> scores(6);
  std::vector<std::int64_t> winners(2);
  scores_argmax(sums.data(), 2, 3, bias.data(), 2, scores.data(), winners.data());
  CHECK(
      (scores == std::vector<std::int64_t>{8, 8, 8, 4 * std::int64_t{INT32_MIN} + 4, 4 * std::int64_t{INT32_MAX}, -4}));
  CHECK((winners == std::vector<std::int64_t>{0, 1}));
}

void test_parallel_rows() {
  std::vector<int> visits(1001);
  parallel_rows(visits.size(), 7, std::uint64_t{1} << 20, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) ++visits[i];
  });
  CHECK(visits == std::vector<int>(1001, 1));
  bool thrown = false;
  try {
    parallel_rows(100, 4, std::uint64_t{1} << 20, [](std::size_t begin, std::size_t) {
      if (begin > 0) throw std::runtime_error("of a worker");
    });
  } catch (const std::runtime_error& error) {
    thrown = error.what() == std::string("of a worker");
  }
  CHECK(thrown);
}

}  // namespace

int main() {
  test_bit_ranges();
  test_parallel_rows();
  test_scores();
  test_max_pool();
  test_quantize<std::uint8_t>(0);
  test_quantize<std::int32_t>(-100);
  test_program();
  for (const TileUnit* unit : {amx_unit(), vnni_unit()}) {
    if (unit == nullptr) continue;
    test_byte_conv(*unit);
    test_byte_dense(*unit);
    test_byte_extremes(*unit);
    std::printf("%s bytes: every layer follows its definition\n", unit == amx_unit() ? "amx" : "vnni");
  }
  if (amx_unit() != nullptr) {
    test_digit_dense();
    test_digit_extremes(2047, Digits::three_in_two);
    test_digit_extremes(8192, Digits::ones_three_in_two);
    test_digit_extremes(kMostDigitInputs, Digits::four_in_three);
    std::printf("digits: every way to chain them follows the definition\n");
  }
  test_too_many_inputs_for_digits();
  if (lookup_unit()) {
    test_lookup_dense();
    test_lookup_extremes();
    test_image_lanes();
    std::printf("lookup and image lanes: every shape follows the definition\n");
  }
  test_weights_that_cannot_be_looked_up();
  CHECK(!select_instruction_set("none"));
  CHECK(select_instruction_set("portable"));
  for (const InstructionSet* set : available_instruction_sets()) {
    CHECK(select_instruction_set(set->name));
    test_dense();
    test_ternary_conv();
    test_level_conv<std::uint8_t>(255);
    test_level_conv<std::int16_t>(32767);
    test_level_conv<std::int32_t>(100000);
    std::printf("%s: every layer follows its definition\n", set->name);
  }
  return 0;
}
