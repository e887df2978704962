"""How many lookup tables and block memories a layer takes on Xilinx 7 series: a model fitted on counts by Yosys.

    lookup tables = sum of coefficient * feature

A feature is something that one can count without synthesis: inputs that a lane has weights for, bits of counters,
words under the kernel, the six-input functions that a small memory becomes. Coefficients are at least 0 and stand in
cost.json, with the errors on layers that they were not fitted on; `benchmarks/hw_export/layers.py` makes both. Whether
a memory becomes lookup tables or block memories follows Yosys' own rule.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from math import ceil

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export import unrolled
from bnnhw.hw_export.memory import pixel_width, threshold_entries, threshold_places, weight_planes
from bnnhw.hw_export.stage import Stage
from bnnhw.model import IntegerModel, Output

Features = dict[str, float]

SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and their bits of half a block memory (18 Kbit)."""
HALF, RAM_TABLE = 129.0, 2.2
"""What Yosys reckons that half a block memory costs and, about, a lookup table that is written; a bit of a constant
memory in logic costs 1/64."""


def halves(words: int, bits: int) -> int:
    """Block memory halves that a memory takes."""
    return max(1, min(ceil(words / depth) * ceil(bits / width) for depth, width in SHAPES))


def _constant_in_logic(words: int, bits: int) -> bool:
    return words * bits / 64 <= halves(words, bits) * HALF


def _ram_tables(words: int, bits: int) -> int:
    """Lookup tables of a memory with one write and one read: four of them hold 32 words of 6 bits or 64 of 3."""
    return 4 * min(ceil(words / 32) * ceil(bits / 6), ceil(words / 64) * ceil(bits / 3))


def functions(kind: str, columns: npt.NDArray[np.bool_]) -> Features:
    """A constant memory [word, bit] as lookup tables: six-input functions of the address that are not constant, alike
    or opposite. They cost several times as much where there are more than 64 words, which Yosys maps badly."""
    words, bits = columns.shape
    features: Features = {f"{kind} functions": 0, f"{kind} functions of more": 0}
    if not bits or not _constant_in_logic(words, bits):
        return features
    columns = np.unique(columns ^ columns[:1], axis=1)
    columns = columns[:, columns.any(0)]
    padded = np.zeros((ceil(words / 64) * 64, columns.shape[1]), bool)
    padded[:words] = columns
    chunks = padded.reshape(ceil(words / 64), 64, columns.shape[1]).transpose(2, 0, 1)
    varying = (chunks != chunks[:, :, :1]).any(2)
    canonical = (chunks ^ chunks[:, :, :1])[varying]
    different = float(len(np.unique(canonical, axis=0)))
    return features | {f"{kind} functions" if words <= 64 else f"{kind} functions of more": different}


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
    features |= functions("weight", planes.reshape(len(planes), -1))
    columns = np.zeros((1, 0), bool)
    if not isinstance(stage.layer, Output):
        words = threshold_entries(stage)
        columns = ((words[:, :, None] >> np.arange(bits + 1)) & 1).astype(bool).reshape(len(words), -1)
    features |= functions("threshold", columns)
    return "folded", features


def _unrolled(stage: Stage) -> Features:
    """Counters of the first level that read the same inputs are one; a neuron of up to six bits is one function."""
    first: set[tuple[str, ...]] = set()
    features: Features = {"counts of three": 0, "single": 0, "summed bits": 0}
    for neuron in unrolled.neurons(stage):
        if neuron.at_least is None:
            continue
        if len(neuron.literals) <= 6:
            features["single"] += 1
            continue
        features["counts of three"] += _counts_of_three(neuron.at_least)
        features["summed bits"] += len(neuron.literals)
        column = 0
        for bits in neuron.at_least.bits:
            begin = column
            for size in unrolled.counter_sizes(bits):
                chunk = neuron.literals[begin : begin + size]
                if chunk in first:
                    features["counts of three"] -= size == 3
                    features["summed bits"] -= size
                first.add(chunk)
                begin += size
            column += bits
    return features


@cache
def _counts_of_three(at_least: unrolled.AtLeast) -> int:
    return unrolled.module(at_least)[0].count("= count3(")


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
    return RAM_TABLE * _ram_tables(words, bits) > halves(words, bits) * HALF


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
        made += halves(words, bits)
    if stage.counting is not None:
        memories = [(stage.groups * stage.taps * stage.slices, 2 * stage.pe * stage.simd)]
        if not isinstance(stage.layer, Output):
            memories.append((threshold_places(stage) * stage.groups, stage.pe * (stage.counting.width + 1)))
        made += sum(halves(*memory) for memory in memories if not _constant_in_logic(*memory))
    return made / 2
