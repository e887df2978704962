// The test bench for Icarus, loaded by its run-time as a VPI module (IEEE 1800, clause 36): one call back a half clock.
// Icarus knows four values, so a bit that was never given one is an error as soon as it is used.

#include <vpi_user.h>

#include <memory>

#include "bench.hpp"

namespace {

class Design {
 public:
  struct Signal {
    vpiHandle handle;
    std::size_t bits;
    std::string name;

    void get(std::uint32_t* words) const {
      s_vpi_value value;
      value.format = vpiVectorVal;
      vpi_get_value(handle, &value);
      for (std::size_t i = 0; i < bench::words(bits); ++i) {
        if (value.value.vector[i].bval) bench::fail(4, name + " has bits without a value");
        words[i] = static_cast<std::uint32_t>(value.value.vector[i].aval);
      }
    }
    void put(const std::uint32_t* words) {
      std::vector<s_vpi_vecval> vector(bench::words(bits));
      for (std::size_t i = 0; i < vector.size(); ++i) {
        vector[i].aval = static_cast<PLI_INT32>(words[i]);
        vector[i].bval = 0;
      }
      s_vpi_value value;
      value.format = vpiVectorVal;
      value.value.vector = vector.data();
      vpi_put_value(handle, &value, nullptr, vpiNoDelay);
    }
  };

  Signal signal(const std::string& name) {
    const std::string path = "bnn_top." + name;
    vpiHandle handle = vpi_handle_by_name(const_cast<PLI_BYTE8*>(path.c_str()), nullptr);
    if (!handle) bench::fail(2, "bnn_top has no " + name);
    return {handle, static_cast<std::size_t>(vpi_get(vpiSize, handle)), name};
  }
};

struct Running {
  Design design;
  Design::Signal clock;
  bench::Bench<Design> bench;
  explicit Running(const std::vector<std::string>& arguments)
      : clock(design.signal("clk")), bench(arguments, design) {}
};

std::unique_ptr<Running> running;
bool high = true;

void call_after(PLI_INT32 reason, PLI_INT32 (*callback)(p_cb_data)) {
  s_vpi_time time = {vpiSimTime, 0, 1, 0};
  s_cb_data data = {};
  data.reason = reason;
  data.cb_rtn = callback;
  data.time = &time;
  vpi_free_object(vpi_register_cb(&data));
}

// Act, and come back half a clock later as long as it returns true.
PLI_INT32 go_on(bool (*act)());

PLI_INT32 half_clock(p_cb_data) {
  return go_on([] {
    high = !high;
    if (high) running->bench.sample();
    const std::uint32_t level = high;
    running->clock.put(&level);
    return high || running->bench.drive();
  });
}

PLI_INT32 start(p_cb_data) {
  return go_on([] {
    s_vpi_vlog_info told;
    vpi_get_vlog_info(&told);
    std::vector<std::string> arguments;
    // Options of the run-time begin with a dash or a plus; a lone dash is ours.
    for (int i = 1; i < told.argc; ++i) {
      const std::string text = told.argv[i];
      if (text == "-" || (text[0] != '-' && text[0] != '+')) arguments.push_back(text);
    }
    running = std::make_unique<Running>(arguments);
    return true;
  });
}

PLI_INT32 go_on(bool (*act)()) {
  bool more = false;
  const int status = bench::guarded([&] { more = act(); });
  if (more) {
    call_after(cbAfterDelay, half_clock);
  } else {
    vpip_set_return_value(status);
    vpi_control(vpiFinish, 0);
  }
  return 0;
}

void startup() { call_after(cbStartOfSimulation, start); }

}  // namespace

extern "C" {
void (*vlog_startup_routines[])() = {startup, nullptr};
}
