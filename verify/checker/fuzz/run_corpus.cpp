// A driver for a harness where there is no libFuzzer: every file of the folder as it is, then so many seeded mutations of
// each. Finds less than a fuzzer that watches coverage; it keeps the harnesses and what they once found under test.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "random.hpp"
#include "sections.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t limit, unsigned seed);

namespace {

bnnhw::solver::Random source(20261128);

}  // namespace

// A byte changed, removed, doubled or drawn, up to four times.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t limit) {
  std::vector<std::uint8_t> bytes(data, data + size);
  for (std::uint64_t changes = 1 + source.below(4); changes > 0; --changes) {
    const auto at = static_cast<std::ptrdiff_t>(source.below(bytes.size() + 1));
    const std::uint64_t kind = bytes.empty() ? 0 : source.below(4);
    const auto drawn = static_cast<std::uint8_t>(source.next());
    if (kind == 0) bytes.insert(bytes.begin() + at, drawn);
    if (kind == 0 || at == static_cast<std::ptrdiff_t>(bytes.size())) continue;
    if (kind == 1) bytes.erase(bytes.begin() + at);
    if (kind == 2) bytes[static_cast<std::size_t>(at)] = drawn;
    if (kind == 3) bytes[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1u << source.below(8));
  }
  const std::size_t kept = std::min(bytes.size(), limit);
  std::copy_n(bytes.begin(), kept, data);
  return kept;
}

int main(int count, char** arguments) {
  if (count != 3) return std::fprintf(stderr, "usage: %s FOLDER MUTATIONS\n", arguments[0]), 2;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  const int mutations = std::atoi(arguments[2]);
  for (const std::filesystem::path& path : paths) {
    std::ifstream stream(path, std::ios::binary);
    const std::vector<std::uint8_t> seed{std::istreambuf_iterator<char>(stream), {}};
    LLVMFuzzerTestOneInput(seed.data(), seed.size());
    for (int i = 0; i < mutations; ++i) {
      std::vector<std::uint8_t> one = seed;
      one.resize(2 * seed.size() + 128);
      one.resize(LLVMFuzzerCustomMutator(one.data(), seed.size(), one.size(), static_cast<unsigned>(source.next())));
      LLVMFuzzerTestOneInput(one.data(), one.size());
    }
  }
  std::printf("%zu files, %d mutations of each\n", paths.size(), mutations);
  return paths.empty() ? 1 : 0;
}
