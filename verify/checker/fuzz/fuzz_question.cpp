// Questions about networks: an input is a question, a proof, and one model file or more. A proof that is accepted is held
// against every image of a small box, as the same checker evaluates counterexamples.
#include <algorithm>
#include <stdexcept>

#include "network.hpp"
#include "question.hpp"
#include "sections.hpp"

using namespace bnnhw::checker;

namespace {

constexpr std::int64_t most_outputs = 1 << 10, most_terms = 1 << 14, most_images = 64;

// Is setting up its formula a matter of milliseconds?
bool small(const Network& network) {
  std::int64_t outputs = network.pixels() * network.levels, terms = 0;
  const auto add = [&](const Layer& layer) {
    outputs += layer.size();
    terms += layer.size() * std::max<std::int64_t>(1, static_cast<std::int64_t>(layer.taps.size()) / layer.channels);
  };
  for (const Layer& layer : network.hidden) add(layer);
  add(network.output);
  return outputs < most_outputs && terms * network.levels < most_terms && network.bias.size() < 16;
}

// Two bytes a number, lowest first: condition, norm, flags, label, limit, then the lists, as long as the image.
Question read_question(std::string_view bytes, const Network& network) {
  const auto next = [&bytes] {
    std::uint16_t value = 0;
    for (unsigned shift = 0; shift < 16 && !bytes.empty(); shift += 8) {
      value = static_cast<std::uint16_t>(value | static_cast<unsigned char>(bytes.front()) << shift);
      bytes.remove_prefix(1);
    }
    return static_cast<std::int16_t>(value);
  };
  const auto list = [&] {
    std::vector<std::int64_t> all(static_cast<std::size_t>(network.pixels()));
    for (std::int64_t& one : all) one = next();
    return all;
  };
  Question question;
  question.shape = network.shape;
  question.kind = std::vector<std::string>{"keeps", "avoids", "not_unanimously_wrong", "agree", "none"}[next() % 5u];
  question.norm = std::vector<std::string>{"", "l0", "l1", "l2_squared", "none"}[next() % 5u];
  const std::int16_t flags = next();
  question.strictly = (flags & 1) != 0;
  question.label = next();
  question.limit = next();
  question.image = list(), question.low = list(), question.high = list();
  if ((flags & 2) != 0) question.weight = list();
  return question;
}

void no_image_may_violate(const std::vector<const Network*>& networks, const Question& question) {
  const std::vector<std::int64_t>&low = question.low, &high = question.high;
  std::int64_t images = 1;
  for (std::size_t i = 0; i < low.size() && images <= most_images; ++i) images *= high[i] - low[i] + 1;
  if (images > most_images) return;
  for (std::vector<std::int64_t> image = low;;) {
    bool violates = true;
    try {
      check_falsified(networks, question, image);
    } catch (const std::invalid_argument&) {
      violates = false;
    }
    if (violates) fuzz::wrong("robust, with a counterexample");
    std::size_t i = 0;
    for (; i < image.size() && image[i] == high[i]; ++i) image[i] = low[i];
    if (i == image.size()) return;
    ++image[i];
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string> parts = fuzz::split(data, size);
  if (parts.size() < 3 || parts.size() > 5) return 0;
  try {
    std::vector<Network> read;
    for (std::size_t i = 2; i < parts.size(); ++i) {
      read.push_back(read_network(parts[i]));
      if (!small(read.back())) return 0;
    }
    std::vector<const Network*> networks;
    for (const Network& network : read) networks.push_back(&network);
    const Question question = read_question(parts[0], read[0]);
    check_robust(networks, question, ProofBytes{parts[1]});
    no_image_may_violate(networks, question);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit, unsigned seed) {
  std::vector<std::string> parts = fuzz::split(data, size);
  if (parts.size() < 3) parts.resize(3);
  const std::size_t chosen = seed / 16 % (parts.size() + 2);
  if (chosen >= 4) {
    fuzz::mutate(parts[1]);
  } else if (chosen < 2) {
    fuzz::mutate(parts[chosen]);
  } else {
    fuzz::mutate_model(parts[std::min(chosen, parts.size() - 1)], seed);
  }
  return fuzz::hand_back(fuzz::joined(parts), data, limit);
}
