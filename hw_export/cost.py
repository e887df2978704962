"""How many lookup tables and block memories a layer takes on Xilinx 7 series: a model fitted on counts by Yosys.

    lookup tables = sum of coefficient * feature

A feature is something that one can count without synthesis: full adders of a lane's inputs, bits of counters, words
under the kernel, the six-input functions that a constant memory becomes, the counters of unrolled neurons that differ
(`alike.py`). Coefficients are at least 0 and stand in
cost.json, with the errors on layers that they were not fitted on; `benchmarks/hw_export/layers.py` makes both. Whether
a constant memory becomes lookup tables or block memory is told by `rom.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from math import ceil

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export import rom, unrolled
from bnnhw.hw_export.alike import different
from bnnhw.hw_export.memory import pixel_width, threshold_columns, threshold_places, weight_columns, weight_planes
from bnnhw.hw_export.stage import Stage
from bnnhw.model import IntegerModel, Output

Features = dict[str, float]

RAM_TABLE = 2.2
"""What Yosys reckons a lookup table that is written to cost, about, where half a block memory costs `rom.HALF`."""


def _ram_tables(words: int, bits: int) -> int:
    """Lookup tables of a memory with one write and one read: four of them hold 32 words of 6 bits or 64 of 3."""
    return 4 * min(ceil(words / 32) * ceil(bits / 6), ceil(words / 64) * ceil(bits / 3))


def _constant_tables(columns: npt.NDArray[np.bool_]) -> int:
    """Lookup tables of a constant memory [word, bit]."""
    return 0 if rom.in_block(columns) else rom.tables(columns)


def _joined(columns: npt.NDArray[np.bool_]) -> int:
    """Lookup tables that a constant memory [word, bit] takes beside its block memories."""
    return rom.block(*rom.varying(columns).shape)[1] if rom.in_block(columns) else 0


def neurons(stage: Stage) -> tuple[str, Features]:
    """The kind and features of a layer's neurons, or pooling."""
    if stage.counting is None:
        return "pool", {"channels": stage.made[0], "one": 1}
    if stage.unrolled:
        return "unrolled", _unrolled(stage)
    return "folded", _folded(stage)


def _folded(stage: Stage) -> Features:
    """A lane's inputs are weighed and added, the sum is added to the count and stops, the count is compared."""
    assert stage.counting is not None
    planes, bits = weight_planes(stage), stage.counting.width
    weights, thresholds = weight_columns(stage), threshold_columns(stage)
    used = np.asarray(planes.any(axis=0))
    # Where a weight is never 0 one bit tells its sign; synthesis sees that unless it comes from block memory.
    one_bit = (planes[:, 0] != planes[:, 1]).all(0) & (not rom.in_block(weights))
    both = used.all(0) & ~one_bit
    turned = used.all(0) & one_bit & (stage.highest != (1 << stage.width) - 1)
    terms = used.any(0).sum(axis=1)
    sums = np.array([(int(number) * stage.highest).bit_length() for number in terms])
    lanes = int((terms > 0).sum())
    compared = thresholds.reshape(len(thresholds), stage.pe, -1)[:, terms > 0]
    counters = [stage.slices, stage.taps, stage.groups, len(planes)]
    if not isinstance(stage.layer, Output):
        counters.append(threshold_places(stage) * stage.groups)
    steps = [((n - 1).bit_length(), n & (n - 1) == 0) for n in counters]
    return {
        # Each has three bits of a sum come in and two leave.
        "full adders": float((terms * stage.width - sums).clip(0).sum()),
        "inputs with both signs": float(both.sum()) * stage.width,
        "levels less than the highest": float(turned.sum()) * stage.width,
        "counts' bits": lanes * bits * (len(planes) > stage.groups),
        # Bits of thresholds that are the same in every word make the comparison one with constants.
        "compared bits": rom.varying(compared.reshape(len(thresholds), -1)).shape[1],
        "chosen inputs": stage.channels * stage.width * (stage.slices > 1),
        "counters' bits, a power of 2": sum(width for width, whole in steps if whole),
        "counters' bits, no power of 2": sum(width for width, whole in steps if not whole),
        "constant memories": _constant_tables(weights) + _constant_tables(thresholds),
        "joined block memories": sum(map(_joined, (weights, thresholds))),
        "one": 1,
    }


def _unrolled(stage: Stage) -> Features:
    made = different(unrolled.neurons(stage), stage.width)
    return {
        "first counters' lowest bits": made.first_lowest,
        "first counters": made.first,
        "further counters": made.further,
        "looked up": made.looked_up,
        "one": 1,
    }


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
    block, binary = _ram_in_block(words, word), columns & (columns - 1) == 0
    features: Features = {
        "one": 1,
        "memory": 0 if block else _ram_tables(words, word),
        "joined": 0 if block else word * (ceil(words / 64) - 1),
        "columns, no power of 2": columns.bit_length() * (not binary),
    }
    if stage.whole:
        return "whole", features | {"columns, a power of 2": (columns.bit_length() - 1) * binary}
    return "window", features | {
        "padded": padded,
        "padded word": word * padded,
        "taps' bits": sum(n.bit_length() for n in stage.window),
        "passes' bits": stage.groups.bit_length() if stage.groups > 1 else 0,
        "rows, no power of 2": stage.ring_rows & (stage.ring_rows - 1) != 0,
    }


def _ram_in_block(words: int, bits: int) -> bool:
    return RAM_TABLE * _ram_tables(words, bits) > rom.block(words, bits)[0] * rom.HALF


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
        made += rom.block(words, bits)[0]
    if stage.counting is not None:
        memories = weight_columns(stage), threshold_columns(stage)
        made += sum(rom.block(*rom.varying(memory).shape)[0] for memory in memories if rom.in_block(memory))
    return made / 2
