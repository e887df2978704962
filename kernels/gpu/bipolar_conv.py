"""Convolutions of values -1 and +1, stored as bits, in terms of those of bits: ``sum w (2 a - 1) = 2 sum w a - sum w``.

The second sum goes over the weights whose pixel counts. Padding with -1 or +1 is padding with bit 0 or 1, and all
weights count; exact zeros count for nothing, so that at the border the sum depends on the position. Thresholds absorb
it: ``2 s - c >= t`` is ``s >= ceil((t + c) / 2)``, which no kernel needs to know; where sums are wanted, kernels
subtract it as they store them. Binary weights are ternary ones without 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.kernels.gpu.conv import ternary_conv
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters
from bnnhw.kernels.thresholds import LARGEST_SUM

PadValue = Literal[-1, 0, 1]


def padding_of(pads: tuple[int, int], value: PadValue) -> Padding:
    """The bits that pad in place of ``value``; ValueError for a value that is not -1, 0 or 1."""
    if value not in (-1, 0, 1):
        raise ValueError(f"padding is with -1, 0 or 1, not {value}")
    return Padding(*pads, int(value == 1))


def counted_weights(
    filters: TernaryFilters, height: int, width: int, stride: tuple[int, int], pads: tuple[int, int], value: PadValue
) -> npt.NDArray[np.int32]:
    """int32[positions or 1, outputs]: the sum of the weights that count, at each position of images height x width."""
    weights = filters.unpack().astype(np.int64)
    if value != 0 or pads == (0, 0):
        total: npt.NDArray[np.int32] = weights.sum(axis=(1, 2, 3)).astype(np.int32)
        return total[None, :]
    # Where all pixels are +1, a sum is that of the weights that count.
    ones = np.ones((1, filters.channels, height, width), np.int8)
    return bipolar_conv_oracle(ones, weights.astype(np.int8), stride, pads, 0).reshape(-1, filters.outputs)


def bipolar_conv(
    images: PackedImages,
    filters: TernaryFilters,
    counted: torch.Tensor,
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int] = (0, 0),
    value: PadValue = 0,
    backend: str | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs] of weights times -1 and +1, in ``out`` if given. counted: `counted_weights` on the
    images' device. ValueError as in `ternary_conv`."""
    return ternary_conv(images, filters, stride, padding_of(pads, value), backend, out, counted)


def bipolar_thresholds(thresholds: PositionThresholds, counted: npt.NDArray[np.int32]) -> PositionThresholds:
    """On the host: thresholds with which `ternary_conv_threshold`, padded as `padding_of` says, makes the bits
    ``(bipolar sum >= limit) xor flip``."""
    limits = thresholds.limits.cpu().numpy().astype(np.int64) + counted
    halves = np.clip(-(-limits // 2), -LARGEST_SUM - 1, LARGEST_SUM + 1).astype(np.int32)
    return PositionThresholds(torch.from_numpy(np.ascontiguousarray(halves)), thresholds.flips.cpu())


def bipolar_conv_oracle(
    values: npt.NDArray[np.int8],
    weights: npt.NDArray[np.int8],
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int] = (0, 0),
    value: PadValue = 0,
) -> npt.NDArray[np.int32]:
    """Sums int32[N, H', W', outputs] by definition, of values -1 and +1 [N, C, H, W] and weights [outputs, C, h, w]."""
    around = ((0, 0), (0, 0), (pads[0], pads[0]), (pads[1], pads[1]))
    padded = np.pad(values.astype(np.int64), around, constant_values=value)
    kernel_h, kernel_w = weights.shape[2:]
    height = (padded.shape[2] - kernel_h) // stride[0] + 1
    width = (padded.shape[3] - kernel_w) // stride[1] + 1
    sums = np.zeros((len(values), height, width, len(weights)), np.int64)
    for y in range(kernel_h):
        for x in range(kernel_w):
            under = padded[:, :, y :: stride[0], x :: stride[1]][:, :, :height, :width]
            sums += np.einsum("nchw,oc->nhwo", under, weights[:, :, y, x].astype(np.int64))
    return sums.astype(np.int32)
