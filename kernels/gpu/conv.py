"""Which kernel computes a ternary convolution of bits: a pure function of the GPU and the shape.

1-bit tensor cores where they are native and the window has words enough to fill an instruction's 256 bits half;
elsewhere population counts. An argument overrides the choice, and so does the environment variable BNNHW_GPU_CONV; each
choice is logged at level DEBUG. All give the same integers. Dense layers are convolutions too: their kernel covers the
image.
"""

from __future__ import annotations

import logging
import os
from typing import Literal

import torch
from triton import knobs

from bnnhw.kernels.gpu.conv_oracle import NO_PADDING, conv_oracle, conv_threshold_oracle
from bnnhw.kernels.gpu.conv_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.conv_popcount import conv_popcount, conv_popcount_threshold
from bnnhw.kernels.gpu.conv_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.conv_tensor_core import conv_tensor_core, conv_tensor_core_threshold
from bnnhw.kernels.gpu.conv_window import Padding, Window, bits_of, sums_of, window_over
from bnnhw.kernels.gpu.dispatch import capability_of, largest_that_fills, multiprocessors
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters

OVERRIDE = "BNNHW_GPU_CONV"
BACKENDS = ("tensor_core", "popcount", "oracle")
FEWEST_TAPS = 4

logger = logging.getLogger(__name__)


def select_conv(capability: tuple[int, int] | None, rows: int, outputs: int, taps: int) -> str:
    """The kernel for rows x outputs sums over ``taps`` words on a GPU of NVIDIA's compute capability, or None for
    another maker's."""
    if capability is not None and capability[0] in (8, 9) and taps >= FEWEST_TAPS:
        return "tensor_core"
    return "popcount"


def ternary_conv(
    images: PackedImages,
    filters: TernaryFilters,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    backend: str | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs] of weights times bits, on the operands' device and in ``out`` if given.

    ``backend`` is one of BACKENDS; None is the choice of `select_conv` on a GPU and the oracle on the host. ValueError
    if operands or ``out`` do not fit, or if the backend cannot compute this.
    """
    window = window_over(images, filters, stride, padding)
    chosen = _choose(images, filters, window, backend)
    if chosen == "oracle":
        return sums_of(images, filters, window, out).copy_(conv_oracle(images, filters, stride, padding))
    size = (images.count * window.positions, filters.outputs, multiprocessors(images.device))
    if chosen == "tensor_core":
        c = largest_that_fills(TENSOR_CORE, *size)
        return conv_tensor_core(images, filters, stride, padding, out, c)
    return conv_popcount(images, filters, stride, padding, out, largest_that_fills(POPCOUNT, *size))


def ternary_conv_threshold(
    images: PackedImages,
    filters: TernaryFilters,
    thresholds: PositionThresholds,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    backend: str | None = None,
    out: PackedImages | None = None,
) -> PackedImages:
    """Images [N, H', W', outputs] of ``(sum >= limit) xor flip`` of `ternary_conv`'s sums, which are never stored.

    ``backend``, ``out`` and errors as there.
    """
    window = window_over(images, filters, stride, padding)
    chosen = _choose(images, filters, window, backend)
    if chosen == "oracle":
        made = conv_threshold_oracle(images, filters, thresholds, stride, padding)
        bits = bits_of(images, filters, window, thresholds, out)
        bits.words.copy_(made.words)
        return bits
    size = (images.count * window.positions, filters.outputs, multiprocessors(images.device))
    if chosen == "tensor_core":
        c = largest_that_fills(TENSOR_CORE, *size)
        return conv_tensor_core_threshold(images, filters, thresholds, stride, padding, out, c)
    return conv_popcount_threshold(
        images, filters, thresholds, stride, padding, out, largest_that_fills(POPCOUNT, *size)
    )


def _choose(images: PackedImages, filters: TernaryFilters, window: Window, backend: str | None) -> str:
    """The backend, asked for or selected; ValueError if it cannot compute this."""
    on_gpu = images.device.type == "cuda"
    given = backend or (os.environ.get(OVERRIDE) if on_gpu else None)
    rows, taps = images.count * window.positions, filters.planes.shape[1]
    chosen: str
    why: Literal["argument", "environment", "selected", "on the host"]
    if given:
        chosen, why = given, "argument" if backend else "environment"
    elif on_gpu:
        chosen, why = select_conv(capability_of(images.device), rows, filters.outputs, taps), "selected"
    else:
        chosen, why = "oracle", "on the host"
    logger.debug("conv %d x %d x %d words: %s (%s)", rows, filters.outputs, taps, chosen, why)
    if chosen not in BACKENDS:
        raise ValueError(f"no backend {chosen!r} ({why}): choose one of {', '.join(BACKENDS)}")
    if not on_gpu and chosen != "oracle" and (chosen == "tensor_core" or not knobs.runtime.interpret):
        raise ValueError(f"{chosen} needs its operands on a GPU, not on {images.device}")
    return chosen
