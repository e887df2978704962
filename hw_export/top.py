"""The generated top module: the network's stages in a row, with AXI4-Stream in and out.

Only sizes and file names are generated; what a stage does stands in rtl/*.sv. Streams between stages are valid/ready,
so back-pressure on the output stops the input without losing a beat.
"""

from __future__ import annotations

from bnnhw.hw_export.folding import Stage
from bnnhw.hw_export.memory import pixel_width, quantizer_places, threshold_places
from bnnhw.model import IntegerModel, MaxPool, Output

Parameters = dict[str, int | str]


def axis_width(model: IntegerModel) -> int:
    """Bits of the input's TDATA: a pixel value, rounded up to whole bytes."""
    return (pixel_width(model.quantizer) + 7) // 8 * 8


def _instance(module: str, name: str, parameters: Parameters, ports: dict[str, str]) -> str:
    values = ",\n".join(f"      .{key}({value})" for key, value in parameters.items())
    wires = ",\n".join(f"      .{key}({value})" for key, value in ports.items())
    return f"  {module} #(\n{values}\n  ) {name} (\n{wires}\n  );\n"


def _stage_parameters(index: int, stage: Stage) -> tuple[str, Parameters]:
    (in_c, in_h, in_w), (out_c, out_h, out_w) = stage.source, stage.made
    common: Parameters = {"IN_H": in_h, "IN_W": in_w}
    geometry: Parameters = {
        "KERNEL_H": stage.kernel[0],
        "KERNEL_W": stage.kernel[1],
        "STRIDE_H": stage.stride[0],
        "STRIDE_W": stage.stride[1],
        "OUT_H": out_h,
        "OUT_W": out_w,
    }
    if isinstance(stage.layer, MaxPool):
        mask = "".join("1" if bit else "0" for bit in reversed(stage.layer.conjunctive.tolist()))
        return "bnn_pool", common | {"CHANNELS": in_c} | geometry | {"CONJUNCTIVE": f"{out_c}'b{mask}"}
    parameters = common | {"IN_C": in_c, "IN_WIDTH": stage.in_width} | geometry
    parameters |= {"PAD_H": stage.padding[0], "PAD_W": stage.padding[1], "OUT_C": out_c, "LANES": stage.lanes}
    parameters |= {"ACC_WIDTH": stage.acc_width, "WEIGHT_FILE": f'"layer{index}_weights.mem"'}
    if isinstance(stage.layer, Output):
        return "bnn_layer", parameters | {"THRESHOLD": 0}
    places: Parameters = {"PLACES": threshold_places(stage), "THRESHOLD_FILE": f'"layer{index}_thresholds.mem"'}
    return "bnn_layer", parameters | {"THRESHOLD": 1} | places


def _out_width(stage: Stage) -> int:
    return stage.made[0] * (stage.acc_width if isinstance(stage.layer, Output) else 1)


def generate(model: IntegerModel, stages: tuple[Stage, ...], model_digest: str) -> str:
    """SystemVerilog text of module ``bnn_top``."""
    quantizer = model.quantizer
    width = axis_width(model)
    level_width = quantizer.levels.bit_length()
    channels, height, columns = quantizer.shape
    lines = [
        f"// The network with SHA-256 {model_digest}, made by bnnhw. Do not edit: the manifest binds this file.",
        "//",
        f"// In:  {channels}x{height}x{columns} pixel values, one a beat: channels fastest, then columns, rows; each",
        f"//      (pixel - {quantizer.pixel_min}), unsigned, {pixel_width(quantizer)} bits. TLAST with the last one.",
        f"// Out: {model.classes} scores (signed, 32 bits), then the class; TLAST with the class.",
        "// frame_error rises when TLAST comes at another value than an image's last, and stays until reset.",
        "module bnn_top (",
        "    input wire clk,",
        "    input wire rst,",
        f"    input wire [{width - 1}:0] s_axis_tdata,",
        "    input wire s_axis_tvalid,",
        "    output wire s_axis_tready,",
        "    input wire s_axis_tlast,",
        "    output wire [31:0] m_axis_tdata,",
        "    output wire m_axis_tvalid,",
        "    input wire m_axis_tready,",
        "    output wire m_axis_tlast,",
        "    output wire frame_error",
        ");",
    ]
    widths = [channels * level_width, *(_out_width(stage) for stage in stages)]
    for index, bits in enumerate(widths):
        lines.append(f"  wire [{bits - 1}:0] data{index};")
        lines.append(f"  wire valid{index}, ready{index};")
    used = pixel_width(quantizer)
    if used < width:
        lines.append("  // TDATA's unused high bits are ignored, as AXI4-Stream allows.")
        lines.append("  /* verilator lint_off UNUSEDSIGNAL */")
        lines.append(f"  wire [{width - used - 1}:0] unused = s_axis_tdata[{width - 1}:{used}];")
        lines.append("  /* verilator lint_on UNUSEDSIGNAL */")
    text = "\n".join(lines) + "\n\n"
    text += _instance(
        "bnn_quantize",
        "quantize",
        {
            "CHANNELS": channels,
            "POSITIONS": height * columns,
            "PIXEL_WIDTH": used,
            "LEVELS": quantizer.levels,
            "LEVEL_WIDTH": level_width,
            "PLACES": quantizer_places(quantizer),
            "THRESHOLD_FILE": '"quantizer.mem"',
        },
        {
            "clk": "clk",
            "rst": "rst",
            "s_data": f"s_axis_tdata[{used - 1}:0]",
            "s_last": "s_axis_tlast",
            "s_valid": "s_axis_tvalid",
            "s_ready": "s_axis_tready",
            "m_data": "data0",
            "m_valid": "valid0",
            "m_ready": "ready0",
            "frame_error": "frame_error",
        },
    )
    for index, stage in enumerate(stages):
        module, parameters = _stage_parameters(index, stage)
        ports = {"clk": "clk", "rst": "rst"}
        ports |= {"s_data": f"data{index}", "s_valid": f"valid{index}", "s_ready": f"ready{index}"}
        after = index + 1
        ports |= {"m_data": f"data{after}", "m_valid": f"valid{after}", "m_ready": f"ready{after}"}
        text += "\n" + _instance(module, f"layer{index}", parameters, ports)
    last = len(stages)
    text += "\n" + _instance(
        "bnn_scores",
        "scores",
        {
            "CLASSES": model.classes,
            "ACC_WIDTH": stages[-1].acc_width,
            "SHIFT": model.output.shift,
            "BIAS_FILE": '"bias.mem"',
        },
        {
            "clk": "clk",
            "rst": "rst",
            "s_data": f"data{last}",
            "s_valid": f"valid{last}",
            "s_ready": f"ready{last}",
            "m_data": "m_axis_tdata",
            "m_valid": "m_axis_tvalid",
            "m_last": "m_axis_tlast",
            "m_ready": "m_axis_tready",
        },
    )
    return text + "endmodule\n"
