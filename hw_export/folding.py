"""How a layer is spread over time: LANES output channels at once, the rest in turn.

A layer of P output positions, T kernel taps and G = channels / LANES passes takes ``P * (G * T + 2)`` clocks after its
frame is loaded. All layers work at the same time on successive images, so the slowest one sets the pace: a layer gets
just enough lanes not to be slower than the target, and no weight word wider than WIDEST_WORD bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.model import Conv, IntegerModel, MaxPool, Output, Shape
from bnnhw.model.layers import Hidden

WIDEST_WORD = 8192
"""Bits of one weight memory word at most (two planes of lanes x input channels), unless one lane needs more."""


@dataclass(frozen=True)
class Stage:
    """One layer as a hardware stage: geometry, number formats and folding.

    kernel, stride, padding: (vertical, horizontal). in_width: bits of one input activation. acc_width: bits of the
    signed accumulator, wide enough for every sum and every threshold. lanes: output channels computed at once.
    """

    layer: Hidden | Output
    source: Shape
    made: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    in_width: int
    acc_width: int
    lanes: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def groups(self) -> int:
        return self.made[0] // self.lanes

    @property
    def cycles(self) -> int:
        """Clocks an image takes when its input comes at a word a clock and its output is never stalled."""
        per_position = self.taps + 1 if isinstance(self.layer, MaxPool) else self.groups * self.taps + 2
        return self.source[1] * self.source[2] + self.made[1] * self.made[2] * per_position


def _acc_width(layer: Conv | Hidden | Output, highest: int) -> int:
    assert not isinstance(layer, MaxPool)
    flat = layer.weights.reshape(layer.weights.shape[0], -1)
    reach = int(np.abs(flat).sum(axis=1, dtype=np.int64).max()) * highest + 1
    return reach.bit_length() + 1


def _fewest_lanes(stage: Stage, target: int) -> int:
    """The smallest number of lanes that meets ``target`` clocks, or as near to it as the widest word allows."""
    channels = stage.made[0]
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    allowed = [n for n in divisors if n == 1 or 2 * n * stage.source[0] <= WIDEST_WORD]
    spent = stage.made[1] * stage.made[2]
    load = stage.source[1] * stage.source[2]
    for lanes in allowed:
        if load + spent * (channels // lanes * stage.taps + 2) <= target:
            return lanes
    return allowed[-1]


def stages(model: IntegerModel, target_cycles: int = 4096) -> tuple[Stage, ...]:
    """The stages of ``model``; each takes at most ``target_cycles`` clocks an image where folding allows."""
    if target_cycles < 1:
        raise ValueError(f"target of {target_cycles} cycles an image must be at least 1")
    made = []
    highest = model.quantizer.levels
    for layer, source, shape in zip(model.layers, model.shapes, model.shapes[1:], strict=False):
        width = highest.bit_length()
        if isinstance(layer, MaxPool):
            made.append(Stage(layer, source, shape, layer.kernel, layer.stride, (0, 0), 1, 1, shape[0]))
            continue
        if isinstance(layer, Conv):
            kernel = (layer.weights.shape[2], layer.weights.shape[3])
            stride, padding = layer.stride, layer.padding
        else:
            kernel, stride, padding = (source[1], source[2]), (1, 1), (0, 0)
        acc_width = max(_acc_width(layer, highest), width + 1)
        stage = Stage(layer, source, shape, kernel, stride, padding, width, acc_width, 1)
        lanes = _fewest_lanes(stage, target_cycles)
        made.append(Stage(layer, source, shape, kernel, stride, padding, width, acc_width, lanes))
        highest = 1
    return tuple(made)
