"""How many lookup tables and block memories a layer takes on Xilinx 7 series: a model fitted on counts by Yosys.

    lookup tables = sum of coefficient * feature

A feature is something that one can count without synthesis: inputs that a lane has weights for, bits of counters,
words under the kernel, the six-input functions that a small memory becomes. Coefficients are at least 0 and stand in
cost.json, with the errors on layers that they were not fitted on; `benchmarks/hw_export/layers.py` makes both. Whether
a constant memory becomes lookup tables or block memory is told by `rom.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export import rom, sharing, unrolled
from bnnhw.hw_export.memory import pixel_width, threshold_columns, threshold_places, weight_columns, weight_planes
from bnnhw.hw_export.stage import Stage
from bnnhw.model import IntegerModel, Output

Features = dict[str, float]

RAM_TABLE = 2.2
"""What Yosys reckons a lookup table that is written to cost, about, where half a block memory costs `rom.HALF`."""


def _ram_tables(words: int, bits: int) -> int:
    """Lookup tables of a memory with one write and one read: four of them hold 32 words of 6 bits or 64 of 3."""
    return 4 * min(ceil(words / 32) * ceil(bits / 6), ceil(words / 64) * ceil(bits / 3))


def _functions(kind: str, columns: npt.NDArray[np.bool_]) -> Features:
    """What a constant memory [word, bit] is in logic. More than 64 words cost several times as much for each."""
    words, needed = len(columns), 0 if rom.in_block(columns) else rom.functions(columns)
    return {f"{kind} functions": needed * (words <= 64), f"{kind} functions of more": needed * (words > 64)}


def neurons(stage: Stage) -> tuple[str, Features]:
    """The kind and features of a layer's neurons, or pooling."""
    if stage.counting is None:
        return "pool", {"channels": stage.made[0], "one": 1}
    if stage.unrolled:
        return "unrolled", _unrolled(stage)
    width, bits = stage.width, stage.counting.width
    planes = weight_planes(stage)
    used = np.asarray(planes.any(axis=0))
    both, single = used.all(0), used.any(0) & ~used.all(0)
    lanes = int(used.any(axis=(0, 2)).sum())
    # With one or two words of weights next to nothing is left of an input.
    inputs = width * (len(planes) > 2)
    counters = [stage.slices, stage.taps, stage.groups, len(planes)]
    if not isinstance(stage.layer, Output):
        counters.append(threshold_places(stage) * stage.groups)
    features: Features = {
        "inputs with one sign": float(single.sum()) * inputs,
        "inputs with both signs": float(both.sum()) * inputs,
        "counts' bits": lanes * bits,
        "chosen inputs": stage.channels * width * (stage.slices > 1),
        "counters' bits": sum((n - 1).bit_length() for n in counters),
    }
    features |= _functions("weight", weight_columns(stage))
    features |= _functions("threshold", threshold_columns(stage))
    return "folded", features


def _unrolled(stage: Stage) -> Features:
    """First counters are made once for all neurons; what comes after them is a neuron's own."""
    assert stage.counting is not None
    cells = [cell for cell in unrolled.neurons(stage) if cell.at_least is not None]
    counters: set[tuple[tuple[int, int], ...]] = set()
    features: Features = {"looked up": 0, "added bits": 0, "further counts": 0, "compared": 0, "delayed": 0}
    shapes = [_shape(cell.at_least) for cell in cells if cell.at_least is not None]
    latest = max((shape.clocks for shape in shapes), default=1)
    for cell, shape in zip(cells, shapes, strict=True):
        features["looked up"] += shape.added == 0
        features["compared"] += shape.added > 0
        features["added bits"] += shape.added
        features["further counts"] += shape.further
        features["delayed"] += latest - shape.clocks > 1
        if len(cell.literals) > unrolled.LOOKED_UP:
            counters.update(sharing.counters(cell.inputs))
    lowest, others = sharing.tables(counters)
    return features | {"first counts' lowest bits": lowest * stage.width, "first counts": others * stage.width}


@dataclass(frozen=True)
class _Shape:
    """A comparison's tables of counters after the first, bits of the sum that is compared (0 if looked up), clocks."""

    further: int
    added: int
    clocks: int


@cache
def _shape(at_least: unrolled.AtLeast) -> _Shape:
    text, clocks = unrolled.module(at_least)
    further = sum(
        3 if size == "6" else 2 for level, size in re.findall(r" n(\d+)_\d+ = count(\d)", text) if level != "1"
    )
    added = sum(bit != "1'b0" for line in re.findall(r" second = \{([^}]*)\}", text) for bit in line.split())
    return _Shape(further, added, clocks)


def window(stage: Stage) -> tuple[str, Features] | None:
    """The kind and features of what is before the neurons, if anything."""
    if stage.unrolled and stage.whole:
        return None
    (rows, columns), word = stage.grid, stage.channels * stage.width
    padded = float(any(stage.padding))
    if stage.unrolled:
        tables = stage.ring_rows * _ram_tables(columns, word)
        return "patch", {
            "padded": padded,
            "sizes' bits": rows.bit_length() + columns.bit_length(),
            "memory": tables,
            "chosen": stage.window[0] * word * ceil(stage.ring_rows / 4),
            "rows": stage.window[0],
        }
    words = stage.ring_rows * columns
    block = _ram_in_block(words, word)
    tables = 0 if block else _ram_tables(words, word)
    joined = 0 if block else word * (ceil(words / 64) - 1)
    if stage.whole:
        return "whole", {
            "one": 1,
            "memory": tables,
            "joined": joined,
            "word": 0 if block else word,
            "word of a block": word if block else 0,
            "columns, a power of 2": (columns.bit_length() - 1) * float(columns & (columns - 1) == 0),
            "columns, no power of 2": columns.bit_length() * float(columns & (columns - 1) != 0),
        }
    return "window", {
        "padded": padded,
        "memory": tables,
        "joined": joined,
        "word": word,
        "taps' bits": sum(n.bit_length() for n in stage.window),
        "passes' bits": stage.groups.bit_length() if stage.groups > 1 else 0,
        "address' bits": words.bit_length() * float(columns & (columns - 1) != 0),
    }


def _ram_in_block(words: int, bits: int) -> bool:
    return RAM_TABLE * _ram_tables(words, bits) > rom.halves(words, bits) * rom.HALF


@cache
def coefficients() -> dict[str, dict[str, float]]:
    """kind -> feature -> lookup tables."""
    stored = json.loads((files("bnnhw.hw_export") / "cost.json").read_text())
    table: dict[str, dict[str, float]] = stored["coefficients"]
    return table


def _tables(part: tuple[str, Features]) -> float:
    kind, features = part
    chosen = coefficients()[kind]
    return sum(chosen[name] * value for name, value in features.items())


def ends(model: IntegerModel, values: int, bits: int) -> dict[str, tuple[str, Features]]:
    """The kinds and features of the quantizer, `values` pixel values a beat, and of scores from counts of `bits`."""
    quantizer = model.quantizer
    quantize: Features = {"one": 1, "compared": values * quantizer.levels * pixel_width(quantizer)}
    scores: Features = {"one": 1, "counts' bits": model.classes * bits, "classes": model.classes}
    return {"quantize": ("quantize", quantize), "scores": ("scores", scores)}


def ends_tables(model: IntegerModel, values: int, bits: int) -> float:
    """Lookup tables of the quantizer and the scores."""
    return sum(map(_tables, ends(model, values, bits).values()))


def lookup_tables(stage: Stage) -> float:
    """Lookup tables of a layer: its window and its neurons."""
    before = window(stage)
    return _tables(neurons(stage)) + (_tables(before) if before is not None else 0.0)


def block_memories(stage: Stage) -> float:
    """Block memories (36 Kbit; halves count a half) of a layer."""
    if stage.unrolled:
        return 0.0
    made = 0
    words, bits = stage.ring_rows * stage.grid[1], stage.channels * stage.width
    if _ram_in_block(words, bits):
        made += rom.halves(words, bits)
    if stage.counting is not None:
        memories = weight_columns(stage), threshold_columns(stage)
        made += sum(rom.halves(*rom.varying(memory).shape) for memory in memories if rom.in_block(memory))
    return made / 2
