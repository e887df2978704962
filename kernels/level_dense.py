"""Dense layer on integer levels: ``sum[n, o] = sum over k of w[o, k] * v[n, k]``.

It is `level_conv` with a window of one position: every input is a channel of a 1x1 image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.kernels.level_conv import Levels, level_conv, level_conv_threshold
from bnnhw.kernels.packed_bits import PackedBits, pack
from bnnhw.kernels.thresholds import Thresholds, thresholds_oracle
from bnnhw.kernels.weights import LevelWeights
from bnnhw.kernels.window import Window


def _image(levels: Levels, weights: LevelWeights) -> tuple[Levels, Window]:
    if levels.ndim != 2 or levels.shape[1] != weights.inputs:
        raise ValueError(f"levels must have shape [N, {weights.inputs}], not {levels.shape}")
    return levels[:, None, None, :], Window(weights.inputs, 1, 1, (1, 1))


def level_dense(levels: Levels, weights: LevelWeights, threads: int = 1) -> npt.NDArray[np.int32]:
    """Sums int32[N, outputs] of levels uint8, int16 or int32 [N, inputs]; ValueError if they do not fit int32."""
    image, window = _image(levels, weights)
    return level_conv(image, weights, window, threads)[:, 0, 0]


def level_dense_oracle(levels: Levels, weights: LevelWeights) -> npt.NDArray[np.int32]:
    """`level_dense` as an integer matrix product."""
    return (levels.astype(np.int64) @ weights.weights.astype(np.int64).T).astype(np.int32)


def level_dense_threshold(
    levels: Levels, weights: LevelWeights, thresholds: Thresholds, threads: int = 1
) -> PackedBits:
    """Bits [N] of ``outputs`` bits: the sums of `level_dense`, compared; ValueError if shapes do not fit."""
    image, window = _image(levels, weights)
    return level_conv_threshold(image, weights, thresholds, window, threads)


def level_dense_threshold_oracle(levels: Levels, weights: LevelWeights, thresholds: Thresholds) -> PackedBits:
    """`level_dense_threshold` on the oracle's sums."""
    return pack(thresholds_oracle(level_dense_oracle(levels, weights), thresholds))
