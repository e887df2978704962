#include "network.hpp"

#include <cstddef>
#include <string>

#include "text.hpp"

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

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The header's entries in the order in which they stand there, which is that of their names, and what they point to.
struct Tensors {
  Text header;
  std::string_view data;
  std::vector<std::int64_t> shape{};  // of the tensor read last

  std::string_view next(const std::string& name, const char* type) {
    header.need(",\"" + name + "\":{\"data_offsets\":");
    const std::vector<std::int64_t> at = header.list(0, static_cast<std::int64_t>(data.size()));
    header.need(std::string(",\"dtype\":\"") + type + "\",\"shape\":");
    shape = header.list(1, largest);
    header.need("}");
    require(at.size() == 2 && at[0] <= at[1], "model: where a tensor lies");
    return data.substr(static_cast<std::size_t>(at[0]), static_cast<std::size_t>(at[1] - at[0]));
  }
  std::vector<bool> bits(const std::string& name, std::int64_t count) {
    const std::string_view packed = next(name, "U8");
    require(packed.size() == static_cast<std::size_t>((count + 7) / 8), "model: a tensor of another size");
    std::vector<bool> all(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = (static_cast<unsigned char>(packed[i / 8]) >> i % 8 & 1) != 0;
    return all;
  }
  std::vector<std::int64_t> integers(const std::string& name) {
    const std::string_view bytes = next(name, "I32");
    require(bytes.size() == static_cast<std::size_t>(4 * product(shape)), "model: a tensor of another size");
    std::vector<std::int64_t> all;
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
      all.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(little_endian(bytes.substr(i, 4)))));
    }
    return all;
  }
};

void read_two(Text& text, std::int64_t (&two)[2], std::int64_t low) {
  const std::vector<std::int64_t> read = text.list(low, 65536);
  require(read.size() == 2, "model: two numbers are expected");
  two[0] = read[0], two[1] = read[1];
}

// Weights, and for a hidden layer thresholds, in the order of the tensors' names.
void read_tensors(Tensors& tensors, const std::string& name, bool hidden, Layer& layer) {
  const std::int64_t count = product({layer.channels, layer.in_channels, layer.kernel[0], layer.kernel[1]});
  const std::int64_t each = count / layer.channels;
  std::vector<bool> negated(static_cast<std::size_t>(layer.channels));
  if (hidden) negated = tensors.bits(name + ".less_equal", layer.channels);
  const std::vector<bool> mask = tensors.bits(name + ".mask", count), sign = tensors.bits(name + ".sign", count);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool negative = sign[at] != negated[static_cast<std::size_t>(i / each)];
    if (mask[at]) layer.add_tap(i % each / (layer.kernel[0] * layer.kernel[1]), i, negative);
    if ((i + 1) % each == 0) layer.begin.push_back(layer.taps.size());
  }
  if (!hidden) return;
  layer.thresholds = tensors.integers(name + ".threshold");
  const auto given = static_cast<std::int64_t>(layer.thresholds.size());
  require(given == layer.channels || given == layer.size(), "model: another number of thresholds");
  for (std::int64_t i = 0; i < given; ++i) {
    const bool flipped = negated[static_cast<std::size_t>(i / (given / layer.channels))];
    if (flipped) layer.thresholds[static_cast<std::size_t>(i)] *= -1;
  }
}

// The next layer's entry in the description and its tensors; `layer` comes with its input's shape, and a kernel like it.
void read_layer(Text& text, Tensors& tensors, const std::string& name, Layer& layer, Network& network) {
  text.need("{");
  const bool pools = text.take("\"channels\":");
  if (pools) {
    require(text.number(1, largest) == layer.in_channels, "model: pooling of another number of channels");
    text.need(",\"kernel\":");
    read_two(text, layer.kernel, 1);
    text.need(",");
  }
  text.need("\"kind\":\"");
  const bool convolves = text.take("conv\",\"padding\":"), last = !pools && !convolves && text.take("output\",\"shift\":");
  if (pools) text.need("maxpool\"");
  if (convolves) read_two(text, layer.padding, 0);
  if (pools || convolves) text.need(",\"stride\":"), read_two(text, layer.stride, 1);
  if (last) network.shift = text.number(0, 24);
  if (!pools && !convolves && !last) text.need("dense\"");
  layer.channels = layer.in_channels;
  if (!pools) {
    text.need(",\"weights\":");
    const std::vector<std::int64_t> shape = text.list(1, largest);
    require(shape.size() == (convolves ? 4 : 2), "model: the weights' shape");
    if (convolves) layer.kernel[0] = shape[2], layer.kernel[1] = shape[3];
    layer.channels = shape[0];
    const std::int64_t inputs = convolves ? layer.in_channels : product({layer.in_channels, layer.kernel[0], layer.kernel[1]});
    require(shape[1] == inputs, "model: a layer does not fit its input");
  }
  text.need("}");
  const std::int64_t rows = layer.in_height + 2 * layer.padding[0], columns = layer.in_width + 2 * layer.padding[1];
  require(rows >= layer.kernel[0] && columns >= layer.kernel[1], "model: a kernel does not fit its input");
  layer.height = (rows - layer.kernel[0]) / layer.stride[0] + 1;
  layer.width = (columns - layer.kernel[1]) / layer.stride[1] + 1;
  product({layer.channels, layer.height, layer.width});
  if (pools) {
    for (const bool all : tensors.bits(name + ".conjunctive", layer.channels)) {
      const std::int64_t taps = layer.kernel[0] * layer.kernel[1], channel = static_cast<std::int64_t>(layer.thresholds.size());
      layer.thresholds.push_back(all ? taps : 1);
      for (std::int64_t i = 0; i < taps; ++i) layer.add_tap(channel, i, false);
      layer.begin.push_back(layer.taps.size());
    }
    require(!network.hidden.empty(), "model: pooling comes first");
    network.hidden.push_back(layer);
    return;
  }
  if (last) network.bias = tensors.integers(name + ".bias");
  require(!last || network.bias.size() == static_cast<std::size_t>(layer.channels), "model: another number of biases");
  read_tensors(tensors, name, !last, layer);
  if (!last) network.hidden.push_back(layer);
  if (last) network.output = layer;
}

// The description is JSON in a JSON string, with its quotation marks escaped.
std::string unescaped(Text& header) {
  std::string made;
  while (!header.take("\"")) {
    header.take("\\");
    require(!header.rest.empty(), "model: its description does not end");
    made.push_back(header.rest.front());
    header.rest.remove_prefix(1);
  }
  return made;
}

}  // namespace

Network read_network(std::string_view file) {
  require(file.size() >= 8 && little_endian(file.substr(0, 8)) <= file.size() - 8, "model: cut off");
  const std::size_t length = little_endian(file.substr(0, 8));
  Tensors tensors{{file.substr(8, length)}, file.substr(8 + length)};
  tensors.header.need("{\"__metadata__\":{\"bnnhw\":\"");
  const std::string description = unescaped(tensors.header);
  tensors.header.need("}");
  Text text{description};
  Network network;
  text.need("{\"format\":\"bnnhw-integer-model\",\"input\":{\"pixel_max\":");
  network.pixel_max = text.number(-largest, largest);
  text.need(",\"pixel_min\":");
  network.pixel_min = text.number(-largest, largest);
  text.need(",\"shape\":");
  network.shape = text.list(1, 65536);
  text.need("},\"layers\":[");
  require(network.shape.size() == 3, "model: an image has three sides");
  const std::vector<std::int64_t>& sides = network.shape;
  const std::int64_t pixels = product(sides);
  const std::vector<std::int64_t> thresholds = tensors.integers("input.threshold");
  const std::vector<std::int64_t> given = tensors.shape;
  require(given.size() == 4, "model: its thresholds");
  for (std::size_t i = 0; i < 3; ++i) require(given[i + 1] == 1 || given[i + 1] == sides[i], "model: its thresholds");
  network.levels = given[0];
  for (std::int64_t i = 0; i < product({network.levels, pixels}); ++i) {
    const std::int64_t c = i % pixels / (sides[1] * sides[2]), y = i % pixels / sides[2] % sides[1], x = i % sides[2];
    const std::int64_t row = (i / pixels * given[1] + c % given[1]) * given[2] + y % given[2];
    network.thresholds.push_back(thresholds[static_cast<std::size_t>(row * given[3] + x % given[3])]);
  }
  Layer layer;
  layer.channels = sides[0], layer.height = sides[1], layer.width = sides[2];
  for (std::size_t i = 0; network.bias.empty(); ++i) {
    require(i < 1000, "model: too many layers");
    if (i > 0) text.need(",");
    const std::int64_t highest = i == 0 ? network.levels : 1;
    require(layer.size() < largest / highest, "model: a sum may take more than 32 bits");
    Layer next;
    next.in_channels = layer.channels, next.in_height = layer.height, next.in_width = layer.width;
    next.kernel[0] = layer.height, next.kernel[1] = layer.width;
    const std::string number = std::to_string(i);
    read_layer(text, tensors, "layer" + std::string(3 - number.size(), '0') + number, next, network);
    layer = std::move(next);
  }
  text.need("],\"version\":1}");
  tensors.header.need("}");
  require(text.rest.empty() && tensors.header.rest.find_first_not_of(' ') == std::string_view::npos, "model: more than a model");
  return network;
}

}  // namespace bnnhw::checker
