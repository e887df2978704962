"""The generated top module: the network's stages in a row, with AXI4-Stream in and out.

Only sizes and file names are generated; what a stage does stands in rtl/*.sv. Streams between stages are valid/ready,
so back-pressure on the output stops the input without losing a beat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnnhw.hw_export import rom
from bnnhw.hw_export.folding import Plan
from bnnhw.hw_export.memory import (
    lane_width,
    pixel_width,
    quantizer_shared,
    threshold_columns,
    threshold_places,
    weight_columns,
)
from bnnhw.hw_export.stage import Stage
from bnnhw.model import IntegerModel, MaxPool, Output

Parameters = dict[str, int | str]


@dataclass(frozen=True)
class Part:
    """A module between two streams. width: bits of a word that leaves. note: what it is, for a comment."""

    module: str
    name: str
    parameters: Parameters
    width: int
    note: str


def _window(index: int, stage: Stage) -> list[Part]:
    if stage.unrolled and stage.whole:
        return []
    (rows, columns), (kernel_h, kernel_w) = stage.grid, stage.window
    made = (1, 1) if stage.whole else stage.made[1:]
    parameters: Parameters = {"WIDTH": stage.channels * stage.width, "IN_H": rows, "IN_W": columns}
    parameters |= {"KERNEL_H": kernel_h, "KERNEL_W": kernel_w}
    parameters |= {"STRIDE_H": stage.stride[0], "STRIDE_W": stage.stride[1]}
    parameters |= {"PAD_H": stage.padding[0], "PAD_W": stage.padding[1], "OUT_H": made[0], "OUT_W": made[1]}
    word = stage.channels * stage.width
    if stage.unrolled:
        parameters |= {"ROWS": stage.ring_rows}
        return [Part("bnn_patch", f"window{index}", parameters, stage.taps * word, "all the words under the kernel")]
    parameters |= {"PASSES": stage.groups, "ROWS": stage.ring_rows}
    return [Part("bnn_window", f"window{index}", parameters, word, "the words under the kernel, one by one")]


def _compute(index: int, stage: Stage) -> Part:
    out = stage.made[0]
    if isinstance(stage.layer, MaxPool):
        mask = "".join("1" if bit else "0" for bit in reversed(stage.layer.conjunctive.tolist()))
        pooling: Parameters = {"CHANNELS": out, "TAPS": stage.taps, "CONJUNCTIVE": f"{out}'b{mask}"}
        return Part("bnn_pool", f"layer{index}", pooling, out, "OR or AND of each channel")
    if stage.unrolled:
        return Part(f"bnn_layer{index}", f"layer{index}", {}, out, "a bit a channel")
    assert stage.counting is not None
    parameters: Parameters = {"CHANNELS": stage.channels, "WIDTH": stage.width, "HIGHEST": stage.highest}
    parameters |= {"TAPS": stage.taps, "OUT_C": out, "PE": stage.pe, "SIMD": stage.simd}
    parameters |= {"COUNT_WIDTH": stage.counting.width, "WEIGHT_FILE": f'"layer{index}_weights.mem"'}
    parameters |= {"WEIGHT_STYLE": f'"{rom.style(weight_columns(stage))}"'}
    if isinstance(stage.layer, Output):
        width = out * stage.counting.width
        return Part("bnn_mvtu", f"layer{index}", parameters | {"THRESHOLD": 0}, width, "counts of the classes")
    parameters |= {"PLACES": threshold_places(stage), "THRESHOLD_FILE": f'"layer{index}_thresholds.mem"'}
    parameters |= {"THRESHOLD_STYLE": f'"{rom.style(threshold_columns(stage))}"'}
    return Part("bnn_mvtu", f"layer{index}", parameters | {"THRESHOLD": 1}, out, "a bit a channel")


def _quantize(model: IntegerModel, plan: Plan) -> Part:
    quantizer, level_width = model.quantizer, model.quantizer.levels.bit_length()
    used, lane = pixel_width(quantizer), lane_width(model)
    quantize: Parameters = {"VALUES": plan.values, "LANE": lane, "BEATS": plan.beats, "PIXEL_WIDTH": used}
    quantize |= {"LEVELS": quantizer.levels, "LEVEL_WIDTH": level_width, "SHARED": int(quantizer_shared(quantizer))}
    quantize |= {"THRESHOLD_FILE": '"quantizer.mem"'}
    return Part("bnn_quantize", "quantize", quantize, plan.values * level_width, "pixels to levels")


def _scores(model: IntegerModel, plan: Plan) -> Part:
    last = plan.stages[-1].counting
    assert last is not None
    scores: Parameters = {"CLASSES": model.classes, "COUNT_WIDTH": last.width}
    scores |= {"SHIFT": model.output.shift, "BIAS_FILE": '"bias.mem"'}
    return Part("bnn_scores", "scores", scores, 32, "counts to scores and the class")


def describe(stage: Stage) -> str:
    """A layer's shapes and folding, for comments."""
    kind = type(stage.layer).__name__.lower()
    source, made = ("x".join(map(str, shape)) for shape in (stage.source, stage.made))
    if stage.counting is None:
        return f"{kind}, {source} to {made}"
    if stage.unrolled:
        return f"{kind}, {source} to {made}, {stage.cycles} clocks"
    return f"{kind}, {source} to {made}: {stage.pe} neurons at once, {stage.simd} inputs a clock, {stage.cycles} clocks"


def parts(model: IntegerModel, plan: Plan) -> list[Part]:
    """Everything between the quantizer and the scores, in the order of the stream."""
    made = []
    width, level_width = plan.values * plan.stages[0].width, plan.stages[0].width
    for index, stage in enumerate(plan.stages):
        wanted = stage.channels * stage.width
        if wanted != width:
            packing: Parameters = {"WIDTH": width, "PACK": wanted // width}
            made.append(Part("bnn_pack", f"pack{index}", packing, wanted, f"{wanted // level_width} values a word"))
        made += [*_window(index, stage), _compute(index, stage)]
        width, level_width = made[-1].width, 1
    return made


def alone(model: IntegerModel, plan: Plan, prefix: str = "") -> dict[str, str]:
    """SystemVerilog text, for each part, of a module ``<prefix><part>`` that synthesis keeps apart. The names of memory
    files in it begin with ``prefix``."""
    chain = [_quantize(model, plan), *parts(model, plan), _scores(model, plan)]
    texts, width = {}, plan.values * lane_width(model)
    for part in chain:
        ports = {"clk": (1, "input"), "rst": (1, "input"), "s_data": (width, "input"), "s_valid": (1, "input")}
        ports |= {"s_ready": (1, "output"), "m_data": (part.width, "output"), "m_valid": (1, "output")}
        ports |= {"m_ready": (1, "input")}
        if part is chain[0]:
            ports |= {"s_last": (1, "input"), "frame_error": (1, "output")}
        if part is chain[-1]:
            ports |= {"m_last": (1, "output")}
        header = ",\n".join(f"    {way} wire [{bits - 1}:0] {name}" for name, (bits, way) in ports.items())
        named = {
            key: f'"{prefix}{str(value)[1:]}' if key.endswith("_FILE") else value
            for key, value in part.parameters.items()
        }
        instance = _instance(replace(part, parameters=named), {name: name for name in ports})
        texts[part.name] = (
            f"(* keep, keep_hierarchy *)\nmodule {prefix}{part.name} (\n{header}\n);\n{instance}endmodule\n"
        )
        width = part.width
    return texts


def _instance(part: Part, ports: dict[str, str]) -> str:
    values = ",\n".join(f"      .{key}({value})" for key, value in part.parameters.items())
    wires = ",\n".join(f"      .{key}({value})" for key, value in ports.items())
    chosen = f" #(\n{values}\n  )" if values else ""
    return f"  {part.module}{chosen} {part.name} (\n{wires}\n  );\n"


def generate(model: IntegerModel, plan: Plan, model_digest: str) -> str:
    """SystemVerilog text of module ``bnn_top``."""
    quantizer = model.quantizer
    used, lane = pixel_width(quantizer), lane_width(model)
    channels, height, columns = quantizer.shape
    level_width = quantizer.levels.bit_length()
    chain = parts(model, plan)
    lines = [
        f"// The network with SHA-256 {model_digest}, made by bnnhw. Do not edit: the manifest binds this file.",
        "//",
        f"// In:  {channels}x{height}x{columns} pixel values, {plan.values} a beat, the first lowest: channels first,",
        f"//      then columns, then rows; each (pixel - {quantizer.pixel_min}), unsigned, {used} bits in {lane}.",
        "//      TLAST with an image's last beat.",
        f"// Out: {model.classes} scores (signed, 32 bits), then the class; TLAST with the class.",
        "// frame_error rises when TLAST comes at another beat than an image's last, and stays until reset.",
        f"// An image every {plan.cycles} clocks when neither stream stalls.",
        "module bnn_top (",
        "    input wire clk,",
        "    input wire rst,",
        f"    input wire [{plan.values * lane - 1}:0] s_axis_tdata,",
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
    names = ["level", *(part.name for part in chain)]
    for name, bits in zip(names, [plan.values * level_width, *(part.width for part in chain)], strict=True):
        lines.append(f"  wire [{bits - 1}:0] {name}_data;")
        lines.append(f"  wire {name}_valid, {name}_ready;")
    text = "\n".join(lines) + "\n\n"
    clocked = {"clk": "clk", "rst": "rst"}
    axis_in = {"s_data": "s_axis_tdata", "s_last": "s_axis_tlast"}
    axis_in |= {"s_valid": "s_axis_tvalid", "s_ready": "s_axis_tready"}
    text += "  // Pixels to levels.\n"
    text += _instance(
        _quantize(model, plan),
        clocked | axis_in | _out("level") | {"frame_error": "frame_error"},
    )
    before = "level"
    for part in chain:
        if part.name.startswith("layer"):
            stage = plan.stages[int(part.name.removeprefix("layer"))]
            text += f"\n  // {part.name}: {describe(stage)}; {part.note}.\n"
        else:
            text += f"\n  // {part.name}: {part.note}.\n"
        text += _instance(part, clocked | _in(before) | _out(part.name))
        before = part.name
    axis_out = {"m_data": "m_axis_tdata", "m_valid": "m_axis_tvalid", "m_last": "m_axis_tlast"}
    text += "\n  // Counts to scores and the class.\n"
    text += _instance(_scores(model, plan), clocked | _in(before) | axis_out | {"m_ready": "m_axis_tready"})
    return text + "endmodule\n"


def _in(name: str) -> dict[str, str]:
    return {"s_data": f"{name}_data", "s_valid": f"{name}_valid", "s_ready": f"{name}_ready"}


def _out(name: str) -> dict[str, str]:
    return {"m_data": f"{name}_data", "m_valid": f"{name}_valid", "m_ready": f"{name}_ready"}
