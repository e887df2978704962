"""Where a program first departs from the reference: the layer, image, channel and position of the first wrong value.

A program that differs from the reference anywhere has a defect; this names the place to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bnnhw.inference.program import Trace
from bnnhw.model import IntegerModel, reference
from bnnhw.model.layers import layer_name


@dataclass(frozen=True)
class Difference:
    """where: "quantizer" or a layer's name. index: (image, channel, row, column), or (image, class) for scores."""

    where: str
    index: tuple[int, ...]
    expected: int
    actual: int


class Traceable(Protocol):
    """A program for any processor: `bnnhw.inference.Program` and `bnnhw.inference.gpu_program.GpuProgram` are."""

    def trace(self, pixels: npt.ArrayLike) -> Trace: ...


def first_difference(model: IntegerModel, program: Traceable, pixels: npt.ArrayLike) -> Difference | None:
    """The first value, layer by layer, in which ``program`` differs from ``model`` on ``pixels``; None if none does."""
    expected, actual = reference.trace(model, pixels), program.trace(pixels)
    names = ["quantizer", *(layer_name(index, layer) for index, layer in enumerate(model.layers))]
    wanted = (expected.levels, *expected.bits, expected.scores)
    found = (actual.levels, *actual.bits, actual.scores)
    for name, right, given in zip(names, wanted, found, strict=True):
        places = np.argwhere(right != given)
        if len(places):
            index = tuple(int(i) for i in places[0])
            return Difference(name, index, int(right[index]), int(given[index]))
    return None
