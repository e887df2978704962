// The test bench for CXXRTL, around the C++ that Yosys writes (hardware.cpp).

#include "hardware.cpp"

#include <cxxrtl/cxxrtl_vcd.h>

#include "bench.hpp"
#include "memory_signal.hpp"

namespace {

class Design {
 public:
  // A net that the simulation does not keep is computed when it is looked at.
  struct Signal : bench::MemorySignal {
    cxxrtl::debug_outline* outline;
    void get(std::uint32_t* words) const {
      if (outline) outline->eval();
      MemorySignal::get(words);
    }
  };

  explicit Design(const std::string& waves) {
    top_.debug_info(&items_, nullptr, "bnn_top ");
    if (waves == "-") return;
    file_ = std::make_unique<bench::Writer>(waves);
    trace_.timescale(1, "ns");
    trace_.add_without_memories(items_);
  }
  ~Design() {
    if (file_) file_->close();
  }

  Signal signal(const std::string& name) {
    const std::string path = "bnn_top " + name;
    if (items_.count(path) != 1) bench::fail(2, "bnn_top has no " + name);
    const cxxrtl::debug_item& item = items_[path];
    return {{item.curr, item.width, 4 * bench::words(item.width)}, item.outline};
  }

  void clock(bool high) {
    top_.p_clk.set(high);
    top_.step();
    if (!file_) return;
    trace_.sample(time_++);
    file_->write(trace_.buffer);
    trace_.buffer.clear();
  }

 private:
  cxxrtl_design::p_bnn__top top_;
  cxxrtl::debug_items items_;
  cxxrtl::vcd_writer trace_;
  std::unique_ptr<bench::Writer> file_;
  std::uint64_t time_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run<Design>(argc, argv); }
