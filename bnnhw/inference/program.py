"""A compiled model, and what it makes of images, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import PackedBits
from bnnhw.kernels._cpu import ImageLanes
from bnnhw.kernels._cpu import Program as NativeProgram
from bnnhw.model import Quantizer, Shape
from bnnhw.model.reference import check_pixels

LANES = 64
FEWEST_FULL_LANES = 28
"""With fewer images, lanes that stay empty cost more than tables save."""


@dataclass(frozen=True)
class Trace:
    """What a batch of N images makes inside a program, in the order and shapes of `bnnhw.model.reference.Trace`.

    levels: int64[N, C, H, W]. bits: per hidden layer bool[N, C, H, W]. scores: int64[N, classes].
    """

    levels: npt.NDArray[np.int64]
    bits: tuple[npt.NDArray[np.bool_], ...]
    scores: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Program:
    """A model ready to run; make one with `bnnhw.inference.compile`.

    Calling it gives the scores int64[N, classes] of integer pixels [N, C, H, W]; ModelError for pixels of another
    shape, type or range. A program holds no state, so threads may share it.
    """

    quantizer: Quantizer
    shapes: tuple[Shape, ...]
    native: NativeProgram
    lanes: ImageLanes | None
    """The same for many images with 8-bit pixels at once."""
    level_bytes: int
    """Bytes of a quantized pixel; 0: it is a bit of a string."""
    on_bytes: bool
    """Between layers a bit is a byte, not a bit of a string."""
    threads: int
    batch: int | None

    def __post_init__(self) -> None:
        if self.threads < 1 or (self.batch is not None and self.batch < 1):
            raise ValueError(f"threads and batch must be 1 or more, not {self.threads} and {self.batch}")

    def __call__(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        return self._run(pixels)[0]

    def predict(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Classes int64[N]: the arg max of the scores, the lowest index on a tie."""
        return self._run(pixels)[1]

    def trace(self, pixels: npt.ArrayLike) -> Trace:
        """Run all pixels and keep every layer's result."""
        checked = self._pixels(pixels)
        first, *hidden = self.native.trace(checked, len(checked))[:-1]
        levels = _unpack(first, self.shapes[0], self.level_bytes)
        bits = [_unpack(one, shape, int(self.on_bytes)) for one, shape in zip(hidden, self.shapes[1:], strict=False)]
        return Trace(levels.astype(np.int64), tuple(one.astype(np.bool_) for one in bits), self(pixels))

    def _run(self, pixels: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        checked = self._pixels(pixels)
        scores = np.empty((len(checked), *self.shapes[-1][:1]), np.int64)
        classes = np.empty(len(checked), np.int64)
        begun = 0
        if self.lanes is not None and checked.dtype == np.uint8 and len(checked) >= FEWEST_FULL_LANES:
            left = len(checked) % LANES
            begun = len(checked) - (left if left < FEWEST_FULL_LANES else 0)
            many = checked[:begun].astype(np.uint8, copy=False)
            self.lanes.run(many, begun, self.threads, scores[:begun], classes[:begun])
        if begun == 0 or begun < len(checked):
            rest = checked[begun:]
            self.native.run(rest, len(rest), self.threads, self.batch or 0, scores[begun:], classes[begun:])
        return scores, classes

    def _pixels(self, pixels: npt.ArrayLike) -> npt.NDArray[np.integer]:
        checked = check_pixels(self.quantizer, pixels)
        return np.ascontiguousarray(checked, np.uint8 if checked.dtype == np.uint8 else np.int32)


def _unpack(step: npt.NDArray[np.uint8], shape: Shape, value_bytes: int) -> npt.NDArray[np.generic]:
    """A step's bytes [N, ...], in height, width, channel order, as an array [N, C, H, W]; value_bytes 0: bits."""
    channels, height, width = shape
    values: npt.NDArray[np.generic]
    if value_bytes == 0:
        values = PackedBits(step.view(np.uint64), channels * height * width).unpack()
    else:
        values = step.view({1: np.uint8, 2: np.int16, 4: np.int32}[value_bytes])
    return values.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
