"""Convolution of bits with ternary weights, zero padding contributing nothing.

``sum[n, y, x, o] = sum over i, j, c of w[o, i, j, c] * a[n, y * stride_h + i - pad_h, x * stride_w + j - pad_w, c]``.
Activations are bit strings in height, width, channel order; so are the thresholded results.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu
from bnnhw.kernels.level_conv import level_conv_oracle
from bnnhw.kernels.packed_bits import PackedBits, empty_bits, images_of, pack
from bnnhw.kernels.threads import check_threads
from bnnhw.kernels.thresholds import Thresholds, thresholds_oracle
from bnnhw.kernels.weights import LevelWeights, TernaryWeights
from bnnhw.kernels.window import Window


def _check(activations: PackedBits, weights: TernaryWeights, window: Window) -> int:
    if weights.inputs != window.patch:
        raise ValueError(f"a window of {window.patch} values needs as many weights an output, not {weights.inputs}")
    return images_of(activations, window.image, "activations")


def ternary_conv(
    activations: PackedBits, weights: TernaryWeights, window: Window, threads: int = 1
) -> npt.NDArray[np.int32]:
    """Sums int32[N, rows, columns, outputs].

    activations: [N] strings of ``window.image`` bits. weights: inputs in window order (`window_order`).
    ValueError if they do not fit.
    """
    images = _check(activations, weights, window)
    sums = np.empty((images, window.rows, window.columns, weights.outputs), np.int32)
    _cpu.ternary_conv(
        activations.words,
        images,
        window.geometry,
        weights.planes,
        weights.outputs,
        sums,
        None,
        None,
        check_threads(threads),
    )
    return sums


def ternary_conv_oracle(activations: PackedBits, weights: TernaryWeights, window: Window) -> npt.NDArray[np.int32]:
    """`ternary_conv` on unpacked bits and weights."""
    images = activations.unpack().reshape(-1, window.height, window.width, window.channels)
    return level_conv_oracle(images.astype(np.uint8), LevelWeights(weights.unpack()), window)


def ternary_conv_threshold(
    activations: PackedBits, weights: TernaryWeights, thresholds: Thresholds, window: Window, threads: int = 1
) -> PackedBits:
    """Bits [N] of rows * columns * outputs: the sums of `ternary_conv`, compared per channel or per position."""
    images = _check(activations, weights, window)
    thresholds.check(weights.outputs, window.rows, window.columns)
    count = window.positions * weights.outputs
    bits = empty_bits(images, count)
    _cpu.ternary_conv(
        activations.words,
        images,
        window.geometry,
        weights.planes,
        weights.outputs,
        None,
        bits,
        (thresholds.limits, thresholds.flips),
        check_threads(threads),
    )
    return PackedBits(bits, count)


def ternary_conv_threshold_oracle(
    activations: PackedBits, weights: TernaryWeights, thresholds: Thresholds, window: Window
) -> PackedBits:
    """`ternary_conv_threshold` on the oracle's sums."""
    bits = thresholds_oracle(ternary_conv_oracle(activations, weights, window), thresholds)
    return pack(bits.reshape(len(bits), window.positions * weights.outputs))
