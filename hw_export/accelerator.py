"""The network as a block for a processor system: a wrapper with AXI4-Lite registers, and what software needs to use it.

`bnn_accelerator` is `bnn_top` and `bnn_registers` with the port names that block design tools know. The C header states
the register map, the model and the streams' formats; `bnn_driver.py` is for a board that runs PYNQ. `vivado.tcl`
synthesizes the wrapper out of context for those who have Vivado; nobody has run it here.
"""

from __future__ import annotations

from importlib.resources import files

from bnnhw.hw_export.folding import Plan
from bnnhw.hw_export.memory import lane_width, pixel_width
from bnnhw.model import IntegerModel

REGISTERS = {
    "ID": 0x00,
    "VERSION": 0x04,
    "CONTROL": 0x08,
    "STATUS": 0x0C,
    "TAKEN": 0x10,
    "GIVEN": 0x14,
    "CLOCKS": 0x18,
    "STALLED": 0x1C,
    "DIGEST": 0x20,
}
"""Offsets in bytes, as rtl/bnn_registers.sv has them."""

LITE = {
    "awvalid": (1, "input"),
    "awready": (1, "output"),
    "awaddr": (6, "input"),
    "araddr": (6, "input"),
    "wdata": (32, "input"),
    "wstrb": (4, "input"),
    "wvalid": (1, "input"),
    "wready": (1, "output"),
    "bresp": (2, "output"),
    "bvalid": (1, "output"),
    "bready": (1, "input"),
    "arvalid": (1, "input"),
    "arready": (1, "output"),
    "rdata": (32, "output"),
    "rresp": (2, "output"),
    "rvalid": (1, "output"),
    "rready": (1, "input"),
}


def wrapper(model: IntegerModel, plan: Plan, model_digest: str) -> str:
    """SystemVerilog text of module ``bnn_accelerator``."""
    streams = {
        "s_axis_tdata": (plan.values * lane_width(model), "input"),
        "s_axis_tvalid": (1, "input"),
        "s_axis_tready": (1, "output"),
        "s_axis_tlast": (1, "input"),
        "m_axis_tdata": (32, "output"),
        "m_axis_tvalid": (1, "output"),
        "m_axis_tready": (1, "input"),
        "m_axis_tlast": (1, "output"),
    }
    ports = {"aclk": (1, "input"), "aresetn": (1, "input"), **streams}
    ports |= {f"s_axi_{name}": port for name, port in LITE.items()}
    declared = ",\n".join(
        f"    {way} wire {f'[{bits - 1}:0] ' if bits > 1 else ''}{name}" for name, (bits, way) in ports.items()
    )

    def pins(names: dict[str, str]) -> str:
        return ",\n".join(f"      .{name}({net})" for name, net in names.items())

    core = {"clk": "aclk", "rst": "core_reset", **{name: name for name in streams}, "frame_error": "frame_error"}
    lite = {"clk": "aclk", "rst": "reset", **{f"s_axi_{name}": f"s_axi_{name}" for name in LITE}}
    lite |= {"frame_error": "frame_error", "held": "held"}
    lite |= {"image_taken": "s_axis_tvalid && s_axis_tready && s_axis_tlast"}
    lite |= {"image_given": "m_axis_tvalid && m_axis_tready && m_axis_tlast"}
    lite |= {"answer_waits": "m_axis_tvalid && !m_axis_tready"}
    return f"""\
// The network with SHA-256 {model_digest} and its registers, made by bnnhw.
// Streams as bnn_top.sv says, registers as bnn_registers.sv says. Do not edit: the manifest binds this file.
module bnn_accelerator (
{declared}
);
  wire reset = !aresetn;
  wire held, frame_error;
  wire core_reset = reset || held;

  bnn_top core (
{pins(core)}
  );

  bnn_registers #(
      .DIGEST(256'h{model_digest})
  ) registers (
{pins(lite)}
  );
endmodule
"""


def header(model: IntegerModel, plan: Plan, model_digest: str) -> str:
    """Text of the C header ``bnn.h``."""
    channels, rows, columns = model.quantizer.shape
    constants: dict[str, int | str] = {f"BNN_REGISTER_{name}": f"0x{at:02x}" for name, at in REGISTERS.items()}
    constants |= {
        "BNN_ID": "0x424e4e48u",
        "BNN_CHANNELS": channels,
        "BNN_ROWS": rows,
        "BNN_COLUMNS": columns,
        "BNN_CLASSES": model.classes,
        "BNN_PIXEL_MIN": model.quantizer.pixel_min,
        "BNN_PIXEL_BITS": pixel_width(model.quantizer),
        "BNN_LANE_BYTES": lane_width(model) // 8,
        "BNN_VALUES_A_BEAT": plan.values,
        "BNN_BEATS_AN_IMAGE": plan.beats,
        "BNN_CLOCKS_AN_IMAGE": plan.cycles,
    }
    words = ", ".join(f"0x{model_digest[i : i + 8]}u" for i in range(0, 64, 8))
    defined = "\n".join(f"#define {name} {value}" for name, value in constants.items())
    return f"""\
/* The accelerator of the network with SHA-256
 * {model_digest}, made by bnnhw.
 *
 * An image is BNN_CHANNELS * BNN_ROWS * BNN_COLUMNS values, channels first, then columns, then rows, each
 * (pixel - BNN_PIXEL_MIN) in BNN_LANE_BYTES bytes, lowest first. The answer is BNN_CLASSES scores (int32_t) and the
 * class. Offsets are in bytes. */
#ifndef BNN_H
#define BNN_H

#include <stdint.h>

{defined}

static const uint32_t BNN_DIGEST[8] = {{{words}}};

#endif
"""


def vivado_script(sources: list[str]) -> str:
    """Text of ``vivado.tcl``."""
    listed = " ".join(sorted(sources))
    return f"""\
# Out-of-context synthesis of bnn_accelerator: vivado -mode batch -source vivado.tcl -tclargs PART NANOSECONDS
set part [expr {{$argc > 0 ? [lindex $argv 0] : "xc7z020clg400-1"}}]
set period [expr {{$argc > 1 ? [lindex $argv 1] : 5.0}}]
read_verilog -sv {{{listed}}}
synth_design -top bnn_accelerator -part $part -mode out_of_context
create_clock -name aclk -period $period [get_ports aclk]
opt_design
place_design
route_design
report_utilization -file utilization.txt
report_timing_summary -file timing.txt
"""


def driver() -> str:
    """Text of ``bnn_driver.py``: the same for every network, it reads the manifest beside it."""
    return (files("bnnhw.hw_export") / "driver" / "bnn_driver.py").read_text()
