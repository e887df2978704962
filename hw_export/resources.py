"""What the hardware is made of, counted from its stages: memories, PE, SIMD, counters, clocks. No synthesis."""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.hw_export.folding import Style, plan
from bnnhw.hw_export.memory import quantizer_word_width, quantizer_words, threshold_places
from bnnhw.model import IntegerModel, Output


@dataclass(frozen=True)
class StageResources:
    """One stage. pe: neurons at once. simd: their inputs a clock. count_bits: of a folded neuron. weight_bits,
    threshold_bits: of its memories (two planes a weight). ring_bits: of the rows that its window keeps. cycles: clocks
    an image when its input comes in time and nothing stalls."""

    stage: str
    pe: int
    simd: int
    count_bits: int
    weight_bits: int
    threshold_bits: int
    ring_bits: int
    cycles: int


def resources(model: IntegerModel, target_cycles: int = 4096, style: Style = "auto") -> tuple[StageResources, ...]:
    """One row for the quantizer and one per layer, for the folding that ``export`` chooses."""
    quantizer = model.quantizer
    folded = plan(model, target_cycles, style)
    limits = len(quantizer_words(folded, quantizer)) * quantizer_word_width(folded, quantizer)
    rows = [StageResources("quantizer", folded.values, 1, 0, 0, limits, 0, folded.beats)]
    for stage in folded.stages:
        name = type(stage.layer).__name__.lower()
        ring = stage.ring_rows * stage.grid[1] * stage.channels * stage.width
        if stage.counting is None:
            rows.append(StageResources(name, stage.made[0], 1, 0, 0, 0, ring, stage.cycles))
            continue
        if stage.unrolled:
            inputs = stage.taps * stage.channels
            ring = 0 if stage.whole else ring
            rows.append(StageResources(name, stage.made[0], inputs, 0, 0, 0, ring, stage.cycles))
            continue
        bits, weights = stage.counting.width, 2 * stage.counting.weights.size
        thresholds = 0
        if not isinstance(stage.layer, Output):
            thresholds = threshold_places(stage) * stage.made[0] * (bits + 1)
        rows.append(StageResources(name, stage.pe, stage.simd, bits, weights, thresholds, ring, stage.cycles))
    return tuple(rows)
