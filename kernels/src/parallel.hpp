// Rows shared out over threads in contiguous ranges. Threads are started per call, so a call that has too little work
// to pay for them stays on the calling thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace bnnhw::kernels {

// Calls body(begin, end) on ranges that cover 0..rows. `cost` is about how many word operations a row takes. An
// exception of any range is thrown again here, after every range has ended.
template <class Body>
void parallel_rows(std::size_t rows, std::size_t threads, std::uint64_t cost, const Body& body) {
  constexpr std::uint64_t kCostPerThread = std::uint64_t{1} << 18;
  const std::uint64_t paying = std::max<std::uint64_t>(1, rows * cost / kCostPerThread);
  const std::size_t parts = std::min<std::uint64_t>({std::max<std::size_t>(1, threads), rows, paying});
  if (parts <= 1) {
    body(std::size_t{0}, rows);
    return;
  }
  std::vector<std::exception_ptr> failures(parts);
  const auto run = [&](std::size_t part) {
    try {
      body(rows * part / parts, rows * (part + 1) / parts);
    } catch (...) {
      failures[part] = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(parts - 1);
  for (std::size_t part = 1; part < parts; ++part) {
    try {
      workers.emplace_back(run, part);
    } catch (const std::system_error&) {  // The system gives no more threads: do this part here.
      run(part);
    }
  }
  run(0);
  for (std::thread& worker : workers) worker.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace bnnhw::kernels
