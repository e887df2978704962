// When a stage has to give up: a deadline and a flag that another thread, or a signal, may raise.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace bnnhw::engine {

class Stop {
 public:
  using Clock = std::chrono::steady_clock;

  Stop(std::optional<double> seconds, std::function<bool()> interrupted) : interrupted_(std::move(interrupted)) {
    if (seconds) deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                std::chrono::duration<double>(*seconds));
  }

  bool now() {
    if (!stopped_) stopped_ = (deadline_ && Clock::now() >= *deadline_) || (interrupted_ && interrupted_());
    return stopped_;
  }

 private:
  std::optional<Clock::time_point> deadline_;
  std::function<bool()> interrupted_;
  bool stopped_ = false;
};

}  // namespace bnnhw::engine
