#include "network.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "json.hpp"

namespace bnnhw::checker {

namespace {

constexpr std::int64_t largest = std::int64_t{1} << 31, largest_size = std::int64_t{1} << 28;

std::int64_t product(const std::vector<std::int64_t>& sizes) {
  std::int64_t made = 1;
  for (const std::int64_t size : sizes) {
    made *= size;
    require(size >= 1 && made <= largest_size, "model: a size is out of range");
  }
  return made;
}

struct File {
  Json header;
  std::string_view data;

  std::string_view bytes(const std::string& name, std::int64_t count) const {
    const std::vector<std::int64_t> at =
        header[name]["data_offsets"].integers(2, 0, static_cast<std::int64_t>(data.size()));
    require(at[1] - at[0] == count, "model: tensor " + name + " does not have " + std::to_string(count) + " bytes");
    return data.substr(static_cast<std::size_t>(at[0]), static_cast<std::size_t>(count));
  }
  std::vector<bool> bits(const std::string& name, std::int64_t count) const {
    const std::string_view packed = bytes(name, (count + 7) / 8);
    std::vector<bool> all(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = (static_cast<unsigned char>(packed[i / 8]) >> i % 8 & 1) != 0;
    return all;
  }
  std::vector<std::int64_t> integers(const std::string& name, std::int64_t count) const {
    const std::string_view packed = bytes(name, 4 * count);
    std::vector<std::int64_t> all;
    for (std::size_t i = 0; i < packed.size(); i += 4) {
      std::uint32_t value = 0;
      for (std::size_t byte = 4; byte-- > 0;) value = value << 8 | static_cast<unsigned char>(packed[i + byte]);
      all.push_back(static_cast<std::int32_t>(value));
    }
    return all;
  }
  // A tensor that is given once, or once for each of several: one for each.
  std::vector<std::int64_t> spread(const std::string& name, std::int64_t once, std::int64_t times) const {
    const std::vector<std::int64_t> shape = header[name]["shape"].integers(header[name]["shape"].items.size(), 1, largest);
    std::vector<std::int64_t> given = integers(name, product(shape)), all;
    require(product(shape) == once || product(shape) == once * times, "model: tensor " + name + " has another size");
    const std::size_t each = product(shape) == once ? static_cast<std::size_t>(times) : 1;
    for (const std::int64_t value : given) all.insert(all.end(), each, value);
    return all;
  }
};

Layer read_layer(const File& file, const Json& entry, const std::string& name, const Layer& before) {
  const std::string& kind = entry["kind"].as('s').text;
  Layer layer{0, 1, 1, before.channels, before.height, before.width};
  std::vector<std::int64_t> kernel{layer.in_height, layer.in_width}, stride{1, 1}, padding{0, 0};
  if (kind == "maxpool" || kind == "conv") stride = entry["stride"].integers(2, 1, 65536);
  if (kind == "maxpool") {
    kernel = entry["kernel"].integers(2, 1, 65536);
    layer.channels = layer.in_channels;
  } else {
    const std::vector<std::int64_t> shape = entry["weights"].integers(kind == "conv" ? 4 : 2, 1, largest);
    if (kind == "conv") kernel = {shape[2], shape[3]};
    if (kind == "conv") padding = entry["padding"].integers(2, 0, 65536);
    layer.channels = shape[0];
    const std::int64_t inputs = product({layer.in_channels, kernel[0], kernel[1]});
    require(product(shape) == layer.channels * inputs && (kind != "conv" || shape[1] == layer.in_channels),
            "model: " + name + " does not fit its input");
  }
  layer.height = (layer.in_height + 2 * padding[0] - kernel[0]) / stride[0] + 1;
  layer.width = (layer.in_width + 2 * padding[1] - kernel[1]) / stride[1] + 1;
  require(layer.in_height + 2 * padding[0] >= kernel[0] && layer.in_width + 2 * padding[1] >= kernel[1],
          "model: the kernel of " + name + " does not fit");
  product({layer.channels, layer.height, layer.width});
  std::copy(stride.begin(), stride.end(), layer.stride);
  std::copy(padding.begin(), padding.end(), layer.padding);
  layer.taps.resize(static_cast<std::size_t>(layer.channels));
  const std::int64_t window = kernel[0] * kernel[1], positions = layer.height * layer.width;
  if (kind == "maxpool") {
    const std::vector<bool> all = file.bits(name + ".conjunctive", layer.channels);
    for (std::int64_t c = 0; c < layer.channels; ++c) {
      for (std::int64_t i = 0; i < window; ++i) {
        layer.taps[static_cast<std::size_t>(c)].push_back({c, i / kernel[1], i % kernel[1], 1});
      }
      layer.threshold.insert(layer.threshold.end(), static_cast<std::size_t>(positions),
                             all[static_cast<std::size_t>(c)] ? window : 1);
    }
    return layer;
  }
  require(kind == "dense" || kind == "conv" || kind == "output", "model: a layer of kind " + kind);
  const std::int64_t each = layer.in_channels * window, count = layer.channels * each;
  const std::vector<bool> mask = file.bits(name + ".mask", count), sign = file.bits(name + ".sign", count);
  std::vector<bool> negated(static_cast<std::size_t>(layer.channels));
  if (kind != "output") negated = file.bits(name + ".less_equal", layer.channels);
  if (kind != "output") layer.threshold = file.spread(name + ".threshold", layer.channels, positions);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto channel = static_cast<std::size_t>(i / each), at = static_cast<std::size_t>(i);
    const std::int64_t inside = i % each, weight = sign[at] == negated[channel] ? 1 : -1;
    if (mask[at]) layer.taps[channel].push_back({inside / window, inside % window / kernel[1], inside % kernel[1], weight});
  }
  for (std::size_t i = 0; i < layer.threshold.size(); ++i) {
    if (negated[i / static_cast<std::size_t>(positions)]) layer.threshold[i] = -layer.threshold[i];
  }
  return layer;
}

}  // namespace

Network read_network(std::string_view file) {
  std::uint64_t length = 0;
  require(file.size() >= 8, "model: too short");
  for (std::size_t byte = 8; byte-- > 0;) length = length << 8 | static_cast<unsigned char>(file[byte]);
  require(length <= file.size() - 8, "model: the header is cut off");
  const File tensors{JsonReader::read(file.substr(8, length)), file.substr(8 + length)};
  const Json description = JsonReader::read(tensors.header["__metadata__"]["bnnhw"].as('s').text);
  require(description["format"].text == "bnnhw-integer-model" && description["version"].integer(0, largest) == 1,
          "model: not a model of format version 1");
  const Json& input = description["input"];
  const std::vector<std::int64_t> shape = input["shape"].integers(3, 1, 65536);
  Network network{shape[0], shape[1], shape[2], input["pixel_min"].integer(-largest, largest),
                  input["pixel_max"].integer(-largest, largest), 1};
  const std::int64_t pixels = product(shape);
  const std::vector<std::int64_t> given = tensors.header["input.threshold"]["shape"].integers(4, 1, largest);
  network.levels = given[0];
  for (std::size_t i = 0; i < 3; ++i) require(given[i + 1] == 1 || given[i + 1] == shape[i], "model: its thresholds");
  const std::vector<std::int64_t> thresholds = tensors.integers("input.threshold", product(given));
  for (std::int64_t i = 0; i < product({network.levels, pixels}); ++i) {
    const std::int64_t c = i % pixels / (shape[1] * shape[2]), y = i % pixels / shape[2] % shape[1], x = i % shape[2];
    const std::int64_t row = (i / pixels * given[1] + c % given[1]) * given[2] + y % given[2];
    network.thresholds.push_back(thresholds[static_cast<std::size_t>(row * given[3] + x % given[3])]);
  }
  Layer before{shape[0], shape[1], shape[2], 0, 0, 0};
  const std::vector<Json>& layers = description["layers"].as('a').items;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string number = std::to_string(i), name = "layer" + std::string(3 - std::min<std::size_t>(3, number.size()), '0') + number;
    const bool last = i + 1 == layers.size();
    require(last == (layers[i]["kind"].text == "output"), "model: the output layer, and only it, comes last");
    require(i > 0 || layers[i]["kind"].text != "maxpool", "model: pooling comes first");
    before = read_layer(tensors, layers[i], name, before);
    for (const std::vector<Tap>& taps : before.taps) {
      const auto most = static_cast<std::int64_t>(taps.size()) * (i == 0 ? network.levels : 1);
      require(most < largest, "model: " + name + " adds up to more than 32 bits");
    }
    if (!last) network.hidden.push_back(before);
    if (last) network.bias = tensors.integers(name + ".bias", before.channels);
    if (last) network.shift = layers[i]["shift"].integer(0, 24);
  }
  require(!layers.empty(), "model: no layers");
  network.output = before;
  return network;
}

}  // namespace bnnhw::checker
