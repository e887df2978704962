"""Prove, part by part, that emitted hardware computes the model, from nothing but the files.

Each obligation says what was shown and how: `exhaustive` means that every case was looked at, `derived` that the text
was read by rules that keep its meaning (`extraction.py`), `same text` that a file is the package's own, `solver` that
`bnnhw.verify`'s decided what was left (a comparison; of a synthesized netlist, by sweeping: `sweeping.py`). The parts
are proven on gates that Yosys makes of the files (`netlist.py`, `parts/`), which is trusted to read SystemVerilog.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw.hw_export import extraction
from bnnhw.hw_export.emit import HardwareError, verify_manifest
from bnnhw.hw_export.extraction import Counters, NotUnderstood
from bnnhw.hw_export.folding import Plan, stated
from bnnhw.hw_export.memory import pixel_width, quantizer_shared
from bnnhw.hw_export.netlist import Netlist, Refuted, read_netlist
from bnnhw.hw_export.parts import Claim, claims
from bnnhw.hw_export.parts.part import Part
from bnnhw.hw_export.parts.registers import registers
from bnnhw.hw_export.refinement import Refinement, mapped_module
from bnnhw.hw_export.stage import Stage
from bnnhw.model import Conv, Dense, IntegerModel, Output, Quantizer, digest

INT32 = 1 << 32


@dataclass(frozen=True)
class Obligation:
    """Something that has to hold. how: exhaustive, derived, same text, solver, Yosys. holds: whether it was shown.
    detail: how many cases there were, or what is wrong."""

    part: str
    claim: str
    how: str
    holds: bool
    detail: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def prove_equivalence(directory: Path, netlist: bool = False) -> tuple[Obligation, ...]:
    """Every obligation of the export in ``directory``. Refuses files that its manifest does not state.

    netlist: also that what synthesis for Xilinx 7 series makes of it is the same (`refinement.py`).
    """
    directory = Path(directory).resolve()
    model, manifest = verify_manifest(directory)
    try:
        folded = stated(model, manifest["values"], manifest["stages"])
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise HardwareError(f"{directory / 'manifest.json'}: {error}: export the model again") from None
    made = []

    def oblige(part: str, claim: str, how: str, show: Callable[[], str]) -> None:
        begun = time.perf_counter()
        try:
            holds, detail = True, show()
        except (NotUnderstood, Refuted) as error:
            holds, detail = False, str(error)
        except (OSError, ValueError) as error:
            raise HardwareError(f"{directory}: {part} cannot be read ({error}): export the model again") from None
        made.append(Obligation(part, claim, how, holds, detail, time.perf_counter() - begun))

    found: list[Netlist] = []

    def elaborate() -> str:
        found.append(read_netlist(directory))
        return f"{len(found[0].gates)} gates, {len(found[0].following)} flip-flops"

    oblige("bnn_top", "is gates, flip-flops and memories on one clock", "Yosys", elaborate)
    for gates in found:
        for claim in claims(model, folded, gates):
            oblige(claim.part, claim.says, claim.how, partial(_cases, claim))
        oblige("memories", "hold their files' words", "exhaustive", partial(_memories, directory, gates))
    says = "reads and writes as documented, states this model, resets and counts"
    oblige("bnn_accelerator", says, "exhaustive", lambda: _registers(directory, digest(model)))
    oblige("quantizer.mem", "gives every pixel its level", "exhaustive", lambda: _quantizer(directory, model, folded))
    comparisons: dict[str, int] = {}
    if any(stage.unrolled for stage in folded.stages):
        oblige("bnn_delay.sv", "is this package's", "same text", lambda: _same_text(directory, "bnn_delay.sv"))
        says = "compare sums of their bits with their thresholds"
        oblige("bnn_at_least.sv", says, "derived", lambda: _comparisons(directory, comparisons))
    for index, stage in enumerate(folded.stages):
        if stage.counting is not None:
            how = "derived, exhaustive" if stage.unrolled else "exhaustive"
            says = "has this model's weights, and decides as it does for every sum"
            oblige(f"layer {index}", says, how, _layer_claim(directory, index, stage, comparisons))
    if netlist:
        cells: list[Refinement] = []

        def synthesized() -> str:
            cells.append(Refinement(read_netlist(directory, whole=True), mapped_module(directory)))
            return f"{sum(map(len, cells[0].parts.values()))} bits"

        oblige("netlist", "is cells on one clock; registers are found by their names", "Yosys", synthesized)
        for refinement in cells:
            for part in sorted(refinement.parts):
                says = "registers, memories and outputs become what the RTL makes them"
                oblige(f"netlist of {part}", says, "solver", partial(refinement.show, part))
    return tuple(made)


def _cases(claim: Claim) -> str:
    return f"{claim.show()} cases"


def _memories(directory: Path, netlist: Netlist) -> str:
    count = 0
    for name, memory in sorted(netlist.memories.items()):
        if memory.contents is None:
            continue
        part, _, kind = name.partition(".")
        written = {"weights": f"{part}_weights.mem", "limits": f"{part}_thresholds.mem"}
        written |= {"thresholds": "quantizer.mem", "bias": "bias.mem"}
        if (file := written.get(kind)) is None:
            raise Refuted(f"there is no file for {name}")
        if list(memory.contents) != extraction.words((directory / file).read_text()):
            raise Refuted(f"{name} does not hold {file}")
        count += len(memory.contents)
    return f"{count} words"


def _registers(directory: Path, model_digest: str) -> str:
    part = Part(read_netlist(directory, "bnn_accelerator"), "registers")
    registers(part, model_digest)
    return f"{part.tally[0]} cases"


def _same_text(directory: Path, name: str) -> str:
    if (directory / name).read_bytes() != (files("bnnhw.hw_export") / "rtl" / name).read_bytes():
        raise Refuted(f"{name} is not the package's")
    return "1 file"


def _comparisons(directory: Path, clocks: dict[str, int]) -> str:
    """Read the comparisons that unrolled layers share, and how many clocks each takes into `clocks`."""
    path = directory / "bnn_at_least.sv"
    bodies = extraction.modules(path.read_text()) if path.exists() else {}
    for name, body in bodies.items():
        clocks[name] = extraction.at_least(name, body)
    return f"{len(clocks)} modules"


def _quantizer(directory: Path, model: IntegerModel, folded: Plan) -> str:
    quantizer: Quantizer = model.quantizer
    width, levels = pixel_width(quantizer) + 1, quantizer.levels
    own = 1 if quantizer_shared(quantizer) else folded.values
    stored = extraction.fields(
        extraction.words((directory / "quantizer.mem").read_text()), width, own * levels
    ).reshape(-1, levels)
    span = quantizer.pixel_max - quantizer.pixel_min
    wanted = np.broadcast_to(quantizer.thresholds, (levels, *quantizer.shape)).transpose(2, 3, 1, 0).reshape(-1, levels)
    if quantizer_shared(quantizer):
        wanted = wanted[:1]
    if stored.shape != wanted.shape:
        raise Refuted(f"{stored.shape[0]} places, not {wanted.shape[0]}")
    limits = wanted.astype(np.int64) - quantizer.pixel_min
    # Pixels between two neighbouring thresholds, stored or wanted, are alike: one of each kind is looked at.
    kinds = np.unique(np.clip(np.concatenate([stored.ravel(), limits.ravel(), [0]]), 0, span))
    for pixel in kinds:
        if (place := np.argwhere((pixel >= stored).sum(1) != (pixel >= limits).sum(1))).size:
            raise Refuted(f"pixel {pixel + quantizer.pixel_min} in place {place[0][0]} gets another level")
    return f"{stored.size} thresholds, {len(kinds)} kinds of pixel values"


def _layer_claim(directory: Path, index: int, stage: Stage, comparisons: dict[str, int]) -> Callable[[], str]:
    def show() -> str:
        if stage.unrolled:
            text = (directory / f"bnn_layer{index}.sv").read_text()
            return _decides(stage, extraction.unrolled(index, stage, text, comparisons), None)
        weights = (directory / f"layer{index}_weights.mem").read_text()
        if isinstance(stage.layer, Output):
            bias = extraction.words((directory / "bias.mem").read_text())
            return _decides(stage, extraction.folded(stage, weights, None), bias)
        thresholds = (directory / f"layer{index}_thresholds.mem").read_text()
        return _decides(stage, extraction.folded(stage, weights, thresholds), None)

    return show


def _decides(stage: Stage, found: Counters, bias: list[int] | None) -> str:
    """Show that counters make the layer's bits, or with biases its scores, whatever the inputs."""
    layer = stage.layer
    assert isinstance(layer, (Conv, Dense, Output))
    weights = layer.weights.reshape(len(layer.weights), -1)
    cases = 0
    for neuron, (wanted, stored) in enumerate(zip(weights, found.weights, strict=True)):
        # A neuron that counts nothing gives the same bit always; the model's may be such a one with weights.
        if not stored.any() and found.threshold.shape[1] > 0:
            sign = 0
        elif np.array_equal(stored, wanted):
            sign = 1
        elif np.array_equal(stored, -wanted):
            sign = -1
        else:
            raise Refuted(f"neuron {neuron}: weights differ")
        # Every sum that levels 0..highest can make, and the count that it is.
        low, high = -stage.highest * int((wanted < 0).sum()), stage.highest * int((wanted > 0).sum())
        sums = np.arange(low, high + 1, dtype=np.int64)
        count = sign * sums + (stage.highest + found.surplus) * int((stored < 0).sum())
        if isinstance(layer, Output):
            assert bias is not None
            # 32-bit arithmetic: equal modulo 2^32 is equal, for the model's scores fit 32 bits.
            differs = (
                (count << layer.shift) + bias[neuron] - ((sums << layer.shift) + int(layer.bias[neuron]))
            ) % INT32
            if sign < 0 or differs.any() or (found.most is not None and int(count.max()) > found.most):
                raise Refuted(f"class {neuron}: scores differ")
            cases += len(sums)
            continue
        if found.most is not None:
            count = np.minimum(count, found.most)
        bits = (count[:, None] >= found.threshold[neuron]) != found.inverted[neuron]
        t = layer.threshold.reshape(len(weights), -1)[neuron].astype(np.int64)
        expected = sums[:, None] <= t if layer.less_equal[neuron] else sums[:, None] >= t
        if bits.shape != expected.shape or (wrong := np.argwhere(bits != expected)).size:
            where = f" for the sum {sums[wrong[0][0]]}" if bits.shape == expected.shape else ""
            raise Refuted(f"neuron {neuron}: decides otherwise{where}")
        cases += bits.size
    return f"{np.count_nonzero(weights)} weights, {cases} sums"
