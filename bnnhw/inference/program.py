"""A compiled model: calls the kernels layer by layer, a batch of images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.inference.steps import Activation, HiddenStep, Quantize, Score
from bnnhw.kernels import PackedBits
from bnnhw.model import Quantizer, Shape
from bnnhw.model.reference import check_pixels


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
    quantize: Quantize
    hidden: tuple[HiddenStep, ...]
    score: Score
    threads: int
    batch: int

    def __post_init__(self) -> None:
        if self.threads < 1 or self.batch < 1:
            raise ValueError(f"threads and batch must be 1 or more, not {self.threads} and {self.batch}")

    def __call__(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        return self._run(pixels)[0]

    def predict(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Classes int64[N]: the arg max of the scores, the lowest index on a tie."""
        return self._run(pixels)[1]

    def trace(self, pixels: npt.ArrayLike) -> Trace:
        """Run all pixels in one batch and keep every layer's result."""
        activation = self.quantize(check_pixels(self.quantizer, pixels), self.threads)
        levels = _unpack(activation, self.shapes[0]).astype(np.int64)
        bits: list[npt.NDArray[np.bool_]] = []
        for step, shape in zip(self.hidden, self.shapes[1:], strict=False):
            activation = step(activation, self.threads)
            bits.append(_unpack(activation, shape).astype(np.bool_))
        return Trace(levels, tuple(bits), self.score(activation, self.threads)[0])

    def _run(self, pixels: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        checked = check_pixels(self.quantizer, pixels)
        scores = np.empty((len(checked), *self.score.bias.shape), np.int64)
        classes = np.empty(len(checked), np.int64)
        for part in self._batches(len(checked)):
            activation = self.quantize(checked[part], self.threads)
            for step in self.hidden:
                activation = step(activation, self.threads)
            scores[part], classes[part] = self.score(activation, self.threads)
        return scores, classes

    def _batches(self, images: int) -> Iterator[slice]:
        for first in range(0, images, self.batch):
            yield slice(first, min(first + self.batch, images))


def _unpack(activation: Activation, shape: Shape) -> npt.NDArray[np.generic]:
    """An activation as an array [N, C, H, W]."""
    channels, height, width = shape
    values = activation.unpack() if isinstance(activation, PackedBits) else activation
    return values.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
