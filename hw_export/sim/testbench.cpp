// Runs images through the simulated accelerator: feeds the pixel stream, collects the score stream, counts cycles.
//
//   testbench STIMULUS RESPONSE SEED
//
// STIMULUS: binary uint32: images, values per image, beats per result, values per beat of the input, bits of a value in
// it, then every value of every image. RESPONSE: per
// image, binary int32 scores and class, then uint32 latency (first value accepted to last beat) and the cycle of its
// last beat. SEED 0: both streams always ready; otherwise both stall at random. Exit status 3: the accelerator hangs,
// 4: a stream rule is broken (TLAST misplaced, or a result withdrawn before it was taken).

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vbnn_top.h"
#include "verilated.h"

namespace {

std::uint64_t random_state;

// xorshift64* (Vigna 2016): true in one half of all cycles, or always when stalls are off.
bool ready_now() {
  if (random_state == 0) return true;
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return ((random_state * 0x2545F4914F6CDD1DULL) >> 63) != 0;
}

// The port's bits from `first` on; a value of 8 to 32 bits in lanes of whole bytes lies in one or two 32-bit words.
template <class Port>
void put(Port& port, std::uint64_t first, std::uint32_t value) {
  port = static_cast<Port>(port | std::uint64_t{value} << first);
}
template <std::size_t words>
void put(VlWide<words>& port, std::uint64_t first, std::uint32_t value) {
  const std::uint64_t placed = std::uint64_t{value} << first % 32;
  port[first / 32] |= static_cast<std::uint32_t>(placed);
  if (placed >> 32) port[first / 32 + 1] |= static_cast<std::uint32_t>(placed >> 32);
}
template <class Port>
void clear(Port& port) {
  port = 0;
}
template <std::size_t words>
void clear(VlWide<words>& port) {
  for (std::size_t i = 0; i < words; ++i) port[i] = 0;
}

int fail(int status, const char* message) {
  std::fprintf(stderr, "%s\n", message);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fail(2, "usage: testbench STIMULUS RESPONSE SEED");
  random_state = std::strtoull(argv[3], nullptr, 10);
  std::FILE* in = std::fopen(argv[1], "rb");
  std::FILE* out = std::fopen(argv[2], "wb");
  if (!in || !out) return fail(2, "cannot open the stimulus or the response file");
  std::uint32_t header[5];
  if (std::fread(header, 4, 5, in) != 5) return fail(2, "the stimulus file is too short");
  const std::uint64_t images = header[0], values = header[1], beats = header[2], together = header[3], lane = header[4];
  std::vector<std::uint32_t> stimulus(images * values);
  if (std::fread(stimulus.data(), 4, stimulus.size(), in) != stimulus.size()) {
    return fail(2, "the stimulus file is too short");
  }
  std::fclose(in);

  const auto context = std::make_unique<VerilatedContext>();
  const auto top = std::make_unique<Vbnn_top>(context.get());
  std::uint64_t cycle = 0, sent = 0, received = 0, last_progress = 0;
  std::vector<std::uint64_t> started(images);
  std::vector<std::uint32_t> result;
  bool offering = false, was_valid = false;
  std::uint32_t held = 0;

  const auto tick = [&]() {
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->eval();
    ++cycle;
  };
  top->clk = 0;
  top->rst = 1;
  top->s_axis_tvalid = 0;
  top->m_axis_tready = 0;
  top->eval();
  for (int i = 0; i < 4; ++i) tick();
  top->rst = 0;

  while (received < images * beats) {
    // A valid beat stays offered until it is taken, as AXI4-Stream demands; only its start is delayed at random.
    if (!offering && sent < stimulus.size()) offering = ready_now();
    top->s_axis_tvalid = offering;
    clear(top->s_axis_tdata);
    for (std::uint64_t i = 0; offering && i < together; ++i) put(top->s_axis_tdata, i * lane, stimulus[sent + i]);
    top->s_axis_tlast = offering && sent % values == values - together;
    top->m_axis_tready = ready_now();
    top->eval();
    const bool taken = offering && top->s_axis_tready;
    if (was_valid && (!top->m_axis_tvalid || top->m_axis_tdata != held)) {
      return fail(4, "the accelerator changed or withdrew a result before it was taken");
    }
    was_valid = top->m_axis_tvalid && !top->m_axis_tready;
    held = top->m_axis_tdata;
    if (top->m_axis_tvalid && top->m_axis_tready) {
      result.push_back(top->m_axis_tdata);
      if ((top->m_axis_tlast != 0) != (result.size() == beats)) {
        return fail(4, "TLAST does not mark the last beat of a result");
      }
      if (result.size() == beats) {
        const std::uint64_t image = received / beats;
        result.push_back(static_cast<std::uint32_t>(cycle - started[image]));
        result.push_back(static_cast<std::uint32_t>(cycle));
        std::fwrite(result.data(), 4, result.size(), out);
        result.clear();
      }
      ++received;
      last_progress = cycle;
    }
    if (taken) {
      if (sent % values == 0) started[sent / values] = cycle;
      sent += together;
      offering = false;
      last_progress = cycle;
    }
    tick();
    if (top->frame_error) return fail(4, "the accelerator reports a misplaced TLAST on its input");
    if (cycle - last_progress > 100000000ULL) return fail(3, "the accelerator makes no progress");
  }
  top->final();
  if (std::fclose(out) != 0) return fail(2, "cannot write the response file");
  return 0;
}
