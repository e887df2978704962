"""The steps of a compiled model: each holds a layer's packed constants and calls one kernel.

Between steps, an activation is a `PackedBits` of one bit string an image in height, width, channel order, or, before
the first thresholded layer of a model with several input levels, an array of levels [N, height, width, channels].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bnnhw import kernels
from bnnhw.kernels import LevelWeights, PackedBits, PixelThresholds, TernaryWeights, Thresholds, Window

Levels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.int16] | npt.NDArray[np.int32]
Activation: TypeAlias = PackedBits | Levels


@dataclass(frozen=True)
class Quantize:
    """Pixels [N, C, H, W] to levels, or to bits if there is one threshold."""

    thresholds: PixelThresholds

    def __call__(self, pixels: npt.NDArray[np.integer], threads: int) -> Activation:
        if self.thresholds.levels == 1:
            return kernels.quantize_bits(pixels, self.thresholds, threads)
        return kernels.quantize(pixels, self.thresholds, threads)


@dataclass(frozen=True)
class LevelLayer:
    """A hidden layer on levels; a dense one has the window that covers its whole input."""

    weights: LevelWeights
    thresholds: Thresholds
    window: Window

    def __call__(self, activation: Activation, threads: int) -> PackedBits:
        return kernels.level_conv_threshold(_levels(activation), self.weights, self.thresholds, self.window, threads)


@dataclass(frozen=True)
class BitDense:
    """A dense hidden layer on bits."""

    weights: TernaryWeights
    thresholds: Thresholds

    def __call__(self, activation: Activation, threads: int) -> PackedBits:
        return kernels.ternary_dense_threshold(_bits(activation), self.weights, self.thresholds, threads)


@dataclass(frozen=True)
class BitConv:
    """A convolutional hidden layer on bits."""

    weights: TernaryWeights
    thresholds: Thresholds
    window: Window

    def __call__(self, activation: Activation, threads: int) -> PackedBits:
        return kernels.ternary_conv_threshold(_bits(activation), self.weights, self.thresholds, self.window, threads)


@dataclass(frozen=True)
class Pool:
    """Max pooling of bits."""

    conjunctive: npt.NDArray[np.bool_]
    window: Window

    def __call__(self, activation: Activation, threads: int) -> PackedBits:
        return kernels.max_pool(_bits(activation), self.conjunctive, self.window, threads)


@dataclass(frozen=True)
class Score:
    """The output layer: integer scores and classes of bits, or of levels in a model without hidden layers."""

    weights: TernaryWeights | LevelWeights
    bias: npt.NDArray[np.int32]
    shift: int

    def __call__(self, activation: Activation, threads: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if isinstance(self.weights, TernaryWeights):
            sums = kernels.ternary_dense(_bits(activation), self.weights, threads)
        else:
            levels = _levels(activation)
            flat: Levels = levels.reshape(levels.shape[0], self.weights.inputs)
            sums = kernels.level_dense(flat, self.weights, threads)
        return kernels.scores_argmax(sums, self.bias, self.shift)


HiddenStep: TypeAlias = LevelLayer | BitDense | BitConv | Pool


def _bits(activation: Activation) -> PackedBits:
    if not isinstance(activation, PackedBits):
        raise TypeError("a layer on bits was given levels: the program was not made by compile()")
    return activation


def _levels(activation: Activation) -> Levels:
    if isinstance(activation, PackedBits):
        raise TypeError("a layer on levels was given bits: the program was not made by compile()")
    return activation
