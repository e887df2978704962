"""Convolution of integer levels with ternary weights: the first layer of a model with several input levels.

``sum[n, y, x, o] = sum over i, j, c of w[o, i, j, c] * v[n, y * stride_h + i - pad_h, x * stride_w + j - pad_w, c]``,
a padded tap contributing nothing. Levels are uint8, int16 or int32 in height, width, channel order.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu
from bnnhw.kernels.packed_bits import PackedBits, empty_bits, pack
from bnnhw.kernels.threads import check_threads
from bnnhw.kernels.thresholds import LARGEST_SUM, Thresholds, thresholds_oracle
from bnnhw.kernels.weights import LevelWeights
from bnnhw.kernels.window import Window

Levels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.int16] | npt.NDArray[np.int32]


def _check(levels: Levels, weights: LevelWeights, window: Window) -> Levels:
    shape = (window.height, window.width, window.channels)
    if levels.dtype not in (np.uint8, np.int16, np.int32) or levels.ndim != 4 or levels.shape[1:] != shape:
        raise ValueError(
            f"levels must be uint8, int16 or int32 [N, {', '.join(map(str, shape))}], "
            f"not {levels.dtype} of shape {levels.shape}"
        )
    if weights.inputs != window.patch:
        raise ValueError(f"a window of {window.patch} values needs as many weights an output, not {weights.inputs}")
    largest = max(-int(np.iinfo(levels.dtype).min), int(np.iinfo(levels.dtype).max))
    if largest * window.patch > LARGEST_SUM and levels.size:
        largest = max(-int(levels.min()), int(levels.max()))
        if largest * weights.fan_in > LARGEST_SUM:
            raise ValueError(f"{weights.fan_in} levels of up to {largest} can sum to more than {LARGEST_SUM}")
    return cast("Levels", np.ascontiguousarray(levels))


def level_conv(levels: Levels, weights: LevelWeights, window: Window, threads: int = 1) -> npt.NDArray[np.int32]:
    """Sums int32[N, rows, columns, outputs].

    levels: uint8, int16 or int32 [N, height, width, channels]. weights: inputs in window order (`window_order`).
    ValueError if they do not fit or a sum could leave +-(2**31 - 2).
    """
    levels = _check(levels, weights, window)
    images = levels.shape[0]
    sums = np.empty((images, window.rows, window.columns, weights.outputs), np.int32)
    _cpu.level_conv(
        levels,
        images,
        window.geometry,
        weights.pairs,
        weights.outputs,
        sums,
        None,
        None,
        check_threads(threads),
    )
    return sums


def level_conv_oracle(levels: Levels, weights: LevelWeights, window: Window) -> npt.NDArray[np.int32]:
    """`level_conv` as a sum of shifted images, one kernel tap at a time, in int64."""
    (stride_h, stride_w), (pad_h, pad_w) = window.stride, window.padding
    padded = np.pad(levels.astype(np.int64), ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    taps = weights.weights.astype(np.int64).reshape(-1, *window.kernel, window.channels)
    sums = np.zeros((levels.shape[0], window.rows, window.columns, weights.outputs), np.int64)
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            rows = padded[:, i : i + stride_h * window.rows : stride_h]
            sums += rows[:, :, j : j + stride_w * window.columns : stride_w] @ taps[:, i, j].T
    return sums.astype(np.int32)


def level_conv_threshold(
    levels: Levels, weights: LevelWeights, thresholds: Thresholds, window: Window, threads: int = 1
) -> PackedBits:
    """Bits [N] of rows * columns * outputs: the sums of `level_conv`, compared per channel or per position."""
    levels = _check(levels, weights, window)
    thresholds.check(weights.outputs, window.rows, window.columns)
    images, count = levels.shape[0], window.positions * weights.outputs
    bits = empty_bits(images, count)
    _cpu.level_conv(
        levels,
        images,
        window.geometry,
        weights.pairs,
        weights.outputs,
        None,
        bits,
        (thresholds.limits, thresholds.flips),
        check_threads(threads),
    )
    return PackedBits(bits, count)


def level_conv_threshold_oracle(
    levels: Levels, weights: LevelWeights, thresholds: Thresholds, window: Window
) -> PackedBits:
    """`level_conv_threshold` on the oracle's sums."""
    bits = thresholds_oracle(level_conv_oracle(levels, weights, window), thresholds)
    return pack(bits.reshape(len(bits), window.positions * weights.outputs))
