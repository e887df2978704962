"""What the hardware is made of, counted from its stages: memories, lanes, popcount widths, clocks. No synthesis."""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.hw_export.folding import stages
from bnnhw.hw_export.memory import pixel_width, quantizer_places, threshold_places
from bnnhw.model import IntegerModel, MaxPool, Output


@dataclass(frozen=True)
class StageResources:
    """One stage. lanes: output channels at once. bits_per_clock: activations that enter the adders in a clock, over all
    lanes. weight_bits, threshold_bits: of its memories (two planes a weight). frame_bits: input buffer. cycles: clocks
    an image when its input comes at a word a clock and nothing stalls."""

    stage: str
    lanes: int
    bits_per_clock: int
    weight_bits: int
    threshold_bits: int
    frame_bits: int
    cycles: int


def resources(model: IntegerModel, target_cycles: int = 4096) -> tuple[StageResources, ...]:
    """One row for the quantizer and one per layer, for the folding that ``export`` chooses."""
    quantizer = model.quantizer
    channels, height, width = quantizer.shape
    limits = quantizer_places(quantizer) * quantizer.levels * (pixel_width(quantizer) + 1)
    rows = [StageResources("quantizer", 1, 0, 0, limits, 0, channels * height * width)]
    for stage in stages(model, target_cycles):
        name = type(stage.layer).__name__.lower()
        in_c, in_h, in_w = stage.source
        frame = in_c * in_h * in_w * stage.in_width
        if isinstance(stage.layer, MaxPool):
            rows.append(StageResources(name, stage.lanes, in_c, 0, 0, frame, stage.cycles))
            continue
        thresholds = 0
        if not isinstance(stage.layer, Output):
            thresholds = threshold_places(stage) * stage.made[0] * (stage.acc_width + 1)
        weights = 2 * stage.layer.weights.size
        rows.append(StageResources(name, stage.lanes, stage.lanes * in_c, weights, thresholds, frame, stage.cycles))
    return tuple(rows)
