// The test bench for Verilator. Streams inside are found by name, which streams.vlt makes possible.

#include <memory>

#include "Vbnn_top.h"
#include "bench.hpp"
#include "memory_signal.hpp"
#include "verilated.h"
#include "verilated_syms.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Waves = VerilatedFstC;
#elif VM_TRACE_VCD
#include "verilated_vcd_c.h"
using Waves = VerilatedVcdC;
#endif

namespace {

class Design {
 public:
  using Signal = bench::MemorySignal;

  explicit Design(const std::string& waves) {
#if VM_TRACE
    context_.traceEverOn(true);
#endif
    top_ = std::make_unique<Vbnn_top>(&context_);
#if VM_TRACE
    top_->trace(&trace_, 99);
    trace_.set_time_unit("1ns");
    trace_.set_time_resolution("1ns");
    trace_.open(waves.c_str());
#else
    (void)waves;
#endif
  }
  ~Design() {
    top_->final();
#if VM_TRACE
    trace_.close();
#endif
  }

  Signal signal(const std::string& name) {
    const std::pair<const char*, Signal> ports[] = {
        {"rst", at(top_->rst)},
        {"s_axis_tdata", at(top_->s_axis_tdata)},
        {"s_axis_tvalid", at(top_->s_axis_tvalid)},
        {"s_axis_tready", at(top_->s_axis_tready)},
        {"s_axis_tlast", at(top_->s_axis_tlast)},
        {"m_axis_tdata", at(top_->m_axis_tdata)},
        {"m_axis_tvalid", at(top_->m_axis_tvalid)},
        {"m_axis_tready", at(top_->m_axis_tready)},
        {"m_axis_tlast", at(top_->m_axis_tlast)},
        {"frame_error", at(top_->frame_error)},
    };
    for (const auto& [port, signal] : ports) {
      if (name == port) return signal;
    }
    const VerilatedScope* scope = context_.scopeFind("TOP.bnn_top");
    const VerilatedVar* variable = scope ? scope->varFind(name.c_str()) : nullptr;
    if (!variable) bench::fail(2, "bnn_top has no " + name);
    return {variable->datap(), variable->entBits(), variable->entSize()};
  }

  void clock(bool high) {
    top_->clk = high;
    top_->eval();
    // Inputs change while the clock is low, so both halves of it are shown.
#if VM_TRACE
    trace_.dump(time_++);
#endif
  }

 private:
  template <class Port>
  static Signal at(Port& port) {
    return {&port, 8 * sizeof port, sizeof port};
  }

  VerilatedContext context_;
  std::unique_ptr<Vbnn_top> top_;
#if VM_TRACE
  Waves trace_;
  std::uint64_t time_ = 0;
#endif
};

}  // namespace

int main(int argc, char** argv) { return bench::run<Design>(argc, argv); }
