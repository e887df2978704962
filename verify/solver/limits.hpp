// What may stop a search before it has an answer, and what it then reports. The limits are looked at after a fixed
// amount of propagation work, not at every step, and never change the path of the search: a run that is not stopped
// is the same with and without them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace bnnhw::solver {

enum class Status { satisfiable, unsatisfiable, unknown };
enum class StopReason { none, time, conflicts, memory, interrupted };

struct Outcome {
  Status status = Status::unknown;
  StopReason reason = StopReason::none;
};

struct Limits {
  std::optional<std::uint64_t> conflicts;
  std::optional<double> seconds;
  std::optional<std::uint64_t> memory_bytes;
  // Called about ten times a second; a true answer stops the search as interrupted.
  std::function<bool()> interrupted;
};

// The part of the limits that is read off a clock.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_ = Clock::now();
};

}  // namespace bnnhw::solver
