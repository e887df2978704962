"""What every convolution here must equal, by definition: sums of weights times the bits under a window.

numpy, int64, one kernel position after the other, no packing tricks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.kernels.gpu.conv_window import Padding, bits_of, window_over
from bnnhw.kernels.gpu.packed_images import PackedImages, pack_images
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters

NO_PADDING = Padding()


def conv_oracle(
    images: PackedImages, filters: TernaryFilters, stride: tuple[int, int] = (1, 1), padding: Padding = NO_PADDING
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs] on the host; ValueError if images and filters do not fit."""
    window = window_over(images, filters, stride, padding)
    around = ((0, 0), (0, 0), (padding.vertical, padding.vertical), (padding.horizontal, padding.horizontal))
    bits = np.pad(images.unpack().astype(np.int64), around, constant_values=padding.bit)
    weights = filters.unpack().astype(np.int64)
    sums: npt.NDArray[np.int64] = np.zeros((images.count, window.height, window.width, filters.outputs), np.int64)
    for y in range(filters.kernel[0]):
        for x in range(filters.kernel[1]):
            under = bits[:, :, y :: stride[0], x :: stride[1]][:, :, : window.height, : window.width]
            sums += np.einsum("nchw,oc->nhwo", under, weights[:, :, y, x])
    return torch.from_numpy(sums.astype(np.int32))


def conv_threshold_oracle(
    images: PackedImages,
    filters: TernaryFilters,
    thresholds: PositionThresholds,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
) -> PackedImages:
    """Images of ``(sum >= limit) xor flip`` on the host; ValueError if operands or thresholds do not fit."""
    window = window_over(images, filters, stride, padding)
    bits_of(images, filters, window, thresholds, None)
    sums = conv_oracle(images, filters, stride, padding)
    side = (window.height, window.width) if thresholds.positions > 1 else (1, 1)
    limits = thresholds.limits.cpu().reshape(*side, thresholds.outputs)
    bits = (sums >= limits) ^ thresholds.flips.cpu().bool()
    return pack_images(bits.permute(0, 3, 1, 2).numpy())
