"""How a layer is spread over time.

Folded: PE neurons at once, SIMD inputs a clock (the field's names, from FINN). Unrolled: all neurons and inputs at
once, a result a clock, each neuron with only the inputs it has weights for (`unrolled.py`).

A folded layer with P output positions, N channels and T words of C levels under its kernel takes ``P * (N / PE) * T *
(C / SIMD)`` clocks an image, while the next image's words, one a clock at most, already come in. All layers work at the
same time on successive images, so the slowest one sets the pace: each layer gets just enough PE and SIMD to meet the
target. A dense layer may read several positions of its input as one word (`pack`), because a word is what SIMD divides.

Umuroglu et al., "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", FPGA 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

import numpy as np

from bnnhw.hw_export.counting import Counting, counting
from bnnhw.model import Conv, IntegerModel, MaxPool, Output, Shape
from bnnhw.model.layers import Hidden

Style = Literal["auto", "folded", "unrolled"]

WIDEST_INPUT = 512
"""Bits of the input stream's TDATA at most."""
WIDEST_WORD = 8192
"""Bits of one weight memory word at most (two planes of PE x SIMD)."""


@dataclass(frozen=True)
class Stage:
    """One layer as a hardware stage: geometry, number formats and folding.

    kernel, stride, padding: (vertical, horizontal). highest: largest input level, of `width` bits. counting: what its
    neurons count (None for pooling). pack: input positions joined to a word. pe, simd: neurons at once, inputs a clock.
    unrolled: all of them.
    """

    layer: Hidden | Output
    source: Shape
    made: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    highest: int
    counting: Counting | None
    pack: int = 1
    pe: int = 1
    simd: int = 1
    unrolled: bool = False

    @property
    def width(self) -> int:
        return self.highest.bit_length()

    @property
    def channels(self) -> int:
        """Levels of a word."""
        return self.source[0] * self.pack

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of words that come in: a dense layer's are one row."""
        rows, columns = self.source[1:]
        return (1, rows * columns // self.pack) if self.whole else (rows, columns)

    @property
    def whole(self) -> bool:
        """Whether the one window covers all the input."""
        return not isinstance(self.layer, (Conv, MaxPool))

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of words under the kernel."""
        return self.grid if self.whole else self.kernel

    @property
    def taps(self) -> int:
        return prod(self.window)

    @property
    def groups(self) -> int:
        return 1 if self.counting is None or self.unrolled else self.made[0] // self.pe

    @property
    def slices(self) -> int:
        return 1 if self.counting is None or self.unrolled else self.channels // self.simd

    @property
    def ring_rows(self) -> int:
        """Rows of words that the window keeps: those under the kernel, and those of its next step down."""
        if self.whole:
            return 2
        return max(self.kernel[0], self.stride[0]) + self.stride[0]

    @property
    def positions(self) -> int:
        return self.made[1] * self.made[2]

    @property
    def can_unroll(self) -> bool:
        """Whether its neurons have one threshold each, and give bits."""
        return self.counting is not None and self.counting.threshold.shape[1] == 1

    @property
    def lookup_tables(self) -> float:
        """A rough count, to choose among foldings."""
        if self.counting is None:
            return float(self.made[0])
        if self.unrolled:
            return float(np.count_nonzero(self.counting.weights)) * self.width + 4 * self.made[0]
        lanes = self.pe * (1.3 * self.simd * self.width + 3 * self.counting.width + 6)
        return lanes + self.channels * self.width * (self.slices > 1) / 4 + 60

    @property
    def cycles(self) -> int:
        """Clocks an image takes when words always come in time and its output is never stalled."""
        if self.unrolled:
            swept = 1 if self.whole else (self.made[2] - 1) * self.stride[1] + self.kernel[1]
            return max(prod(self.grid), self.made[1] * swept)
        return max(prod(self.grid), self.positions * self.groups * self.taps * self.slices)


@dataclass(frozen=True)
class Plan:
    """How a network is folded. values: pixel values that come in a clock. stages: one for each layer."""

    values: int
    stages: tuple[Stage, ...]
    beats: int

    @property
    def cycles(self) -> int:
        """Clocks from one image to the next when nothing outside stalls: those of the slowest part."""
        classes = self.stages[-1].made[0]
        return max(self.beats, classes + 1, *(stage.cycles for stage in self.stages))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def foldings(stage: Stage, style: Style) -> Iterator[Stage]:
    """Every pack, PE and SIMD that divide the layer and keep its weight words narrow enough, and all unrolled."""
    positions = stage.source[1] * stage.source[2]
    if stage.can_unroll and style != "folded":
        yield replace(stage, pack=positions if stage.whole else 1, unrolled=True)
        if style == "unrolled":
            return
    for pack in _divisors(positions) if stage.whole else [1]:
        packed = replace(stage, pack=pack)
        for simd in _divisors(packed.channels):
            # A word of which more than one slice remains could be narrower.
            if pack > 1 and simd <= packed.channels // 2 and packed.channels // simd > 1:
                continue
            for pe in _divisors(stage.made[0]):
                if 2 * pe * simd <= WIDEST_WORD or pe * simd == 1:
                    yield replace(packed, pe=pe, simd=simd)


def _fold(stage: Stage, target: int, style: Style) -> Stage:
    """The smallest folding that meets ``target`` clocks, or the fastest there is."""
    if stage.counting is None:
        return stage

    def rank(folded: Stage) -> tuple[int, float, int]:
        return (max(0, folded.cycles - target), folded.lookup_tables, folded.channels)

    return min(foldings(stage, style), key=rank)


def stages(model: IntegerModel) -> list[Stage]:
    """The stages before anything is folded."""
    made = []
    highest = model.quantizer.levels
    for layer, source, shape in zip(model.layers, model.shapes, model.shapes[1:], strict=False):
        if isinstance(layer, MaxPool):
            made.append(Stage(layer, source, shape, layer.kernel, layer.stride, (0, 0), 1, None))
            continue
        if isinstance(layer, Conv):
            kernel, stride, padding = layer.weights.shape[2:], layer.stride, layer.padding
        else:
            kernel, stride, padding = source[1:], (1, 1), (0, 0)
        made.append(Stage(layer, source, shape, kernel, stride, padding, highest, counting(layer, highest)))
        highest = 1
    return made


def plan(model: IntegerModel, target_cycles: int = 4096, style: Style = "auto") -> Plan:
    """A folding of ``model`` that takes at most ``target_cycles`` clocks an image where that is possible.

    style: "folded" or "unrolled" for all layers that can be, or "auto", whichever is smaller for each.
    """
    if style not in get_args(Style):
        raise ValueError(f"style {style!r} must be one of {', '.join(get_args(Style))}")
    if target_cycles < 1:
        raise ValueError(f"target of {target_cycles} cycles an image must be at least 1")
    folded = tuple(_fold(stage, target_cycles, style) for stage in stages(model))
    total = prod(model.quantizer.shape)
    lane = (int(model.quantizer.pixel_max - model.quantizer.pixel_min).bit_length() + 7) // 8 * 8
    choices = [n for n in _divisors(folded[0].channels) if n == 1 or n * lane <= WIDEST_INPUT]
    values = next((n for n in choices if total // n <= target_cycles), choices[-1])
    return Plan(values, folded, total // values)
