"""Where a convolution's window goes: stride, padding and the output they make; and what its operands must be.

Shared by every convolution here, so that all of them refuse the same inputs with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters

LARGEST_ROWS = 2**31 - 1024
"""The last program counts on to the end of its tile, in 32 bits."""


@dataclass(frozen=True)
class Padding:
    """Pixels around the image (vertical, horizontal), and the bit that all their channels have."""

    vertical: int = 0
    horizontal: int = 0
    bit: int = 0


@dataclass(frozen=True)
class Window:
    """A kernel's walk over images: one row of the product for each image and output position."""

    stride: tuple[int, int]
    padding: Padding
    height: int
    width: int

    @property
    def positions(self) -> int:
        return self.height * self.width


def window_of(side: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> Window:
    """The window of a kernel over images of ``side``; ValueError if it does not fit."""
    if min(stride) < 1 or min(padding.vertical, padding.horizontal) < 0 or padding.bit not in (0, 1):
        raise ValueError(f"strides are 1 or more, paddings 0 or more and their bit 0 or 1, not {stride} and {padding}")
    height = (side[0] + 2 * padding.vertical - kernel[0]) // stride[0] + 1
    width = (side[1] + 2 * padding.horizontal - kernel[1]) // stride[1] + 1
    if height < 1 or width < 1:
        raise ValueError(f"a kernel of {kernel[0]}x{kernel[1]} does not fit images of {side[0]}x{side[1]}")
    return Window(stride, padding, height, width)


def window_over(images: PackedImages, filters: TernaryFilters, stride: tuple[int, int], padding: Padding) -> Window:
    """The window of ``filters`` over ``images``; ValueError if they do not fit each other or are not on one device."""
    if images.channels != filters.channels:
        raise ValueError(f"the filters take {filters.channels} channels, but the images have {images.channels}")
    if images.device != filters.device:
        raise ValueError(f"images and filters must be on one device, not {images.device} and {filters.device}")
    window = window_of((images.height, images.width), filters.kernel, stride, padding)
    padded = (images.height + 2 * padding.vertical) * (images.width + 2 * padding.horizontal) * images.words.shape[-1]
    if padded >= 2**31:
        raise ValueError(f"an image of {padded} words with its padding is too large: split it")
    if images.count * window.positions > LARGEST_ROWS:
        raise ValueError(f"{images.count} images of {window.positions} positions are too many for one call: split them")
    return window


def sums_of(
    images: PackedImages,
    filters: TernaryFilters,
    window: Window,
    out: torch.Tensor | None,
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """``out``, or new int32[N, H', W', outputs]; ValueError unless ``out`` is contiguous and has that dtype and
    shape, and ``counted``, if given, is contiguous int32[positions or 1, outputs]."""
    shape = (images.count, window.height, window.width, filters.outputs)
    if counted is not None:
        fits = tuple(counted.shape) in ((1, filters.outputs), (window.positions, filters.outputs))
        if not fits or counted.dtype != torch.int32 or counted.device != images.device or not counted.is_contiguous():
            raise ValueError(
                f"the weights that count must be contiguous int32 [{window.positions} or 1, {filters.outputs}] on "
                f"{images.device}, not {counted.dtype} of shape {tuple(counted.shape)} on {counted.device}"
            )
    if out is None:
        return torch.empty(shape, dtype=torch.int32, device=images.device)
    if out.dtype != torch.int32 or tuple(out.shape) != shape or out.device != images.device or not out.is_contiguous():
        raise ValueError(
            f"the sums must be contiguous int32 {list(shape)} on {images.device}, not {out.dtype} of shape "
            f"{tuple(out.shape)}, strides {out.stride()} on {out.device}"
        )
    return out


def by_position(thresholds: PositionThresholds | None, counted: torch.Tensor | None) -> bool:
    """Whether what a kernel does to its sums, if anything, differs by position."""
    at_the_end = counted if thresholds is None else thresholds.limits
    return at_the_end is not None and at_the_end.shape[0] > 1


def bits_of(
    images: PackedImages,
    filters: TernaryFilters,
    window: Window,
    thresholds: PositionThresholds,
    out: PackedImages | None,
) -> PackedImages:
    """``out``, or new images [N, H', W', outputs]; ValueError unless they and the thresholds fit."""
    if thresholds.outputs != filters.outputs or thresholds.positions not in (1, window.positions):
        raise ValueError(
            f"the layer makes {filters.outputs} channels at {window.positions} positions, but its thresholds are "
            f"{list(thresholds.limits.shape)}"
        )
    if thresholds.limits.device != images.device:
        raise ValueError(f"the thresholds must be on {images.device}, not {thresholds.limits.device}")
    shape = (images.count, window.height, window.width, -(-filters.outputs // 32))
    if out is None:
        return PackedImages(torch.empty(shape, dtype=torch.int32, device=images.device), filters.outputs)
    if tuple(out.words.shape) != shape or out.channels != filters.outputs or out.device != images.device:
        raise ValueError(
            f"the bits must be {list(shape)} of {filters.outputs} channels on {images.device}, not "
            f"{list(out.words.shape)} of {out.channels} on {out.device}"
        )
    return out
