// The test bench, the same for every simulator: feeds the pixel stream, collects the score stream, counts clocks.
//
//   STIMULUS RESPONSE SEED WAVES [STREAM ...]
//
// STIMULUS: binary uint32: images, values per image, beats per result, values per beat of the input, bits of a value in
// it, clocks after which a stream that stands still is given up, then every value of every image. RESPONSE: per image,
// binary int32 scores and class, then uint32 latency (first value accepted to last beat) and the clock of its last beat.
// SEED 0: both streams always ready; otherwise both stall at random. WAVES: a file for the signals' changes, or "-".
// STREAM: inside bnn_top, such as layer0; every word that passes goes to the file RESPONSE.STREAM, as uint32, lowest
// first. Exit status 2: bad arguments or files, 3: the accelerator hangs, 4: a stream rule is broken (TLAST misplaced, a
// result withdrawn before it was taken, a bit without a value).
//
// Each simulator brings a Design: `Signal signal(name)` of bnn_top, whose `bits`, `get(words)` and `put(words)` are for
// 32-bit words, lowest first. It calls `drive` while the clock is low, lets the signals settle, calls `sample`, and
// raises the clock, until `drive` says that all is received.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace bench {

// Why a simulation ends early; an exception, so that waves are closed and can be looked at.
struct Failure {
  int status;
  std::string message;
};

[[noreturn]] inline void fail(int status, const std::string& message) { throw Failure{status, message}; }

// Calls act and returns 0, or says why it failed and returns the exit status for that.
template <class Act>
int guarded(Act act) {
  try {
    act();
    return 0;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.message.c_str());
    return failure.status;
  }
}

inline std::size_t words(std::size_t bits) { return (bits + 31) / 32; }

// A file; what cannot be written is told when it is closed.
class Writer {
 public:
  explicit Writer(const std::string& path) : file_(std::fopen(path.c_str(), "wb")) {
    if (!file_) fail(2, "cannot open " + path);
  }
  template <class Items>
  void write(const Items& some) {
    std::fwrite(some.data(), sizeof some[0], some.size(), file_);
  }
  void close() {
    if (std::ferror(file_) || std::fclose(file_) != 0) fail(2, "cannot write the response");
  }

 private:
  std::FILE* file_;
};

template <class Design>
class Bench {
 public:
  // arguments: those described above, without a program's name.
  Bench(const std::vector<std::string>& arguments, Design& design)
      : reset_(design.signal("rst")),
        in_data_(design.signal("s_axis_tdata")),
        in_valid_(design.signal("s_axis_tvalid")),
        in_ready_(design.signal("s_axis_tready")),
        in_last_(design.signal("s_axis_tlast")),
        out_data_(design.signal("m_axis_tdata")),
        out_valid_(design.signal("m_axis_tvalid")),
        out_ready_(design.signal("m_axis_tready")),
        out_last_(design.signal("m_axis_tlast")),
        frame_error_(design.signal("frame_error")),
        response_(arguments.at(1)),
        random_state_(std::strtoull(arguments.at(2).c_str(), nullptr, 10)),
        beat_(words(in_data_.bits)) {
    std::FILE* in = std::fopen(arguments[0].c_str(), "rb");
    std::uint32_t header[6];
    if (!in || std::fread(header, 4, 6, in) != 6) fail(2, "cannot read the stimulus");
    images_ = header[0], values_ = header[1], beats_ = header[2];
    together_ = header[3], lane_ = header[4], patience_ = header[5];
    stimulus_.resize(images_ * values_);
    if (std::fread(stimulus_.data(), 4, stimulus_.size(), in) != stimulus_.size()) fail(2, "the stimulus is too short");
    std::fclose(in);
    started_.resize(images_);
    for (std::size_t i = 4; i < arguments.size(); ++i) {
      const std::string& name = arguments[i];
      taps_.push_back({design.signal(name + "_data"), design.signal(name + "_valid"), design.signal(name + "_ready"),
                       Writer(arguments[1] + "." + name)});
    }
  }

  // Sets the inputs for the clock that comes; false when every result was received.
  bool drive() {
    if (clock_ < RESET) {
      put(reset_, 1);
      put(in_valid_, 0);
      put(in_last_, 0);
      put(out_ready_, 0);
      in_data_.put(beat_.data());
      return true;
    }
    if (clock_ > RESET && get(frame_error_)) fail(4, "the accelerator reports a misplaced TLAST on its input");
    if (clock_ - last_progress_ > patience_) fail(3, "the accelerator makes no progress");
    if (received_ == images_ * beats_) {
      response_.close();
      for (Tap& tap : taps_) tap.file.close();
      return false;
    }
    put(reset_, 0);
    // A valid beat stays offered until it is taken, as AXI4-Stream demands; only its start is delayed at random.
    if (!offering_ && sent_ < stimulus_.size()) offering_ = ready_now();
    put(in_valid_, offering_);
    for (std::uint32_t& word : beat_) word = 0;
    for (std::uint64_t i = 0; offering_ && i < together_; ++i) place(i * lane_, stimulus_[sent_ + i]);
    in_data_.put(beat_.data());
    put(in_last_, offering_ && sent_ % values_ == values_ - together_);
    put(out_ready_, accepting_ = ready_now());
    return true;
  }

  // Looks at the settled outputs before the clock rises.
  void sample() {
    if (clock_ < RESET) {
      last_progress_ = ++clock_;
      return;
    }
    const bool valid = get(out_valid_);
    const std::uint32_t result = valid ? get(out_data_) : 0;
    if (waited_ && (!valid || result != held_)) {
      fail(4, "the accelerator changed or withdrew a result before it was taken");
    }
    waited_ = valid && !accepting_;
    held_ = result;
    if (valid && accepting_) receive(result);
    if (offering_ && get(in_ready_)) {
      if (sent_ % values_ == 0) started_[sent_ / values_] = clock_;
      sent_ += together_;
      offering_ = false;
      last_progress_ = clock_;
    }
    for (Tap& tap : taps_) {
      if (!get(tap.valid) || !get(tap.ready)) continue;
      word_.resize(words(tap.data.bits));
      tap.data.get(word_.data());
      tap.file.write(word_);
    }
    ++clock_;
  }

 private:
  using Signal = typename Design::Signal;
  struct Tap {
    Signal data, valid, ready;
    Writer file;
  };
  static constexpr std::uint64_t RESET = 4;

  static std::uint32_t get(const Signal& signal) {
    std::uint32_t value = 0;
    signal.get(&value);
    return value;
  }
  static void put(Signal& signal, std::uint32_t value) { signal.put(&value); }

  // xorshift64* (Vigna 2016): true in one half of all clocks, or always when stalls are off.
  bool ready_now() {
    if (random_state_ == 0) return true;
    random_state_ ^= random_state_ >> 12;
    random_state_ ^= random_state_ << 25;
    random_state_ ^= random_state_ >> 27;
    return ((random_state_ * 0x2545F4914F6CDD1DULL) >> 63) != 0;
  }

  // A value of 8 to 32 bits in lanes of whole bytes lies in one or two 32-bit words.
  void place(std::uint64_t first, std::uint32_t value) {
    const std::uint64_t placed = std::uint64_t{value} << first % 32;
    beat_[first / 32] |= static_cast<std::uint32_t>(placed);
    if (placed >> 32) beat_[first / 32 + 1] |= static_cast<std::uint32_t>(placed >> 32);
  }

  void receive(std::uint32_t beat) {
    result_.push_back(beat);
    if ((get(out_last_) != 0) != (result_.size() == beats_)) fail(4, "TLAST does not mark the last beat of a result");
    if (result_.size() == beats_) {
      result_.push_back(static_cast<std::uint32_t>(clock_ - started_[received_ / beats_]));
      result_.push_back(static_cast<std::uint32_t>(clock_));
      response_.write(result_);
      result_.clear();
    }
    ++received_;
    last_progress_ = clock_;
  }

  Signal reset_, in_data_, in_valid_, in_ready_, in_last_;
  Signal out_data_, out_valid_, out_ready_, out_last_, frame_error_;
  Writer response_;
  std::vector<Tap> taps_;
  std::uint64_t random_state_;
  std::vector<std::uint32_t> beat_, word_, stimulus_, result_;
  std::uint64_t images_, values_, beats_, together_, lane_, patience_;
  std::uint64_t clock_ = 0, sent_ = 0, received_ = 0, last_progress_ = 0;
  std::vector<std::uint64_t> started_;
  bool offering_ = false, accepting_ = false, waited_ = false;
  std::uint32_t held_ = 0;
};

// The whole of a program whose Design makes its own time: Design(waves), `clock(high)` sets the clock and settles.
template <class Design>
int run(int argc, char** argv) {
  return guarded([=] {
    if (argc < 5) fail(2, "usage: STIMULUS RESPONSE SEED WAVES [STREAM ...]");
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    Design design(arguments[3]);
    Bench<Design> bench(arguments, design);
    while (bench.drive()) {
      design.clock(false);
      bench.sample();
      design.clock(true);
    }
  });
}

}  // namespace bench
