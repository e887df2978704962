"""Which kernel computes a ternary convolution of bits: a pure function of GPU, shape and, if there is one, a table.

1-bit tensor cores where they are native and the window has words enough to fill an instruction's 256 bits half;
elsewhere population counts. An argument overrides the choice, and so does the environment variable BNNHW_GPU_CONV; each
choice is logged once, at level DEBUG. All give the same integers. Dense layers are convolutions too: their kernel
covers the image.
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
from bnnhw.kernels.gpu.conv_window import Padding, Window, bits_of, by_position, sums_of, window_over
from bnnhw.kernels.gpu.dispatch import (
    capability_of,
    check_compiles,
    compiles,
    configuration_of,
    log_once,
    logger,
    measured,
    multiprocessors,
)
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_tensor import WORD_BITS
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters

OVERRIDE = "BNNHW_GPU_CONV"
BACKENDS = ("tensor_core", "popcount", "oracle")
FEWEST_TAPS = 4


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
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs] of weights times bits, on the operands' device and in ``out`` if given.

    ``backend`` is one of BACKENDS; None is the choice of `select_conv` on a GPU and the oracle on the host. With
    ``counted`` int32[positions or 1, outputs], twice each sum less that: sums of values -1 and +1, see `bipolar_conv`.
    ValueError if anything does not fit, or if the backend cannot compute this.
    """
    window = window_over(images, filters, stride, padding)
    chosen, tile = _choose(images, filters, window, backend, "sums")
    if chosen == "oracle":
        sums = sums_of(images, filters, window, out, counted).copy_(conv_oracle(images, filters, stride, padding))
        side = (window.height, window.width) if by_position(None, counted) else (1, 1)
        return sums if counted is None else sums.mul_(2).sub_(counted.reshape(*side, filters.outputs))
    size = (images.count * window.positions, filters.outputs, multiprocessors(images.device))
    if chosen == "tensor_core":
        c = configuration_of(TENSOR_CORE, tile, *size)
        return conv_tensor_core(images, filters, stride, padding, out, c, counted)
    return conv_popcount(images, filters, stride, padding, out, configuration_of(POPCOUNT, tile, *size), counted)


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
    chosen, tile = _choose(images, filters, window, backend, "bits")
    if chosen == "oracle":
        made = conv_threshold_oracle(images, filters, thresholds, stride, padding)
        bits = bits_of(images, filters, window, thresholds, out)
        bits.words.copy_(made.words)
        return bits
    size = (images.count * window.positions, filters.outputs, multiprocessors(images.device))
    if chosen == "tensor_core":
        c = configuration_of(TENSOR_CORE, tile, *size)
        return conv_tensor_core_threshold(images, filters, thresholds, stride, padding, out, c)
    return conv_popcount_threshold(
        images, filters, thresholds, stride, padding, out, configuration_of(POPCOUNT, tile, *size)
    )


def _choose(
    images: PackedImages, filters: TernaryFilters, window: Window, backend: str | None, output: Literal["sums", "bits"]
) -> tuple[str, str]:
    """The backend, asked for, measured or selected, and its tile, "" for any; ValueError if it cannot compute this."""
    on_gpu = images.device.type == "cuda"
    capability = capability_of(images.device) if on_gpu else None
    given = backend or (os.environ.get(OVERRIDE) if on_gpu else None)
    rows, taps = images.count * window.positions, filters.planes.shape[1]
    tile = ""
    if given:
        chosen, why = given, "argument" if backend else OVERRIDE
    elif on_gpu:
        found = measured(images.device, "conv", output, rows, filters.outputs, taps * WORD_BITS)
        if found is not None and found.backend in BACKENDS and compiles(found.backend, capability):
            chosen, tile, why = found.backend, found.tile, "measured"
        else:
            chosen, why = select_conv(capability, rows, filters.outputs, taps), f"selected for {capability}"
    else:
        chosen, why = "oracle", "on the host"
    if logger.isEnabledFor(logging.DEBUG):
        log_once(f"conv {rows} x {filters.outputs} x {taps} words to {output}: {chosen}{tile and f' {tile}'} ({why})")
    if chosen not in BACKENDS:
        raise ValueError(f"no backend {chosen!r} ({why}): choose one of {', '.join(BACKENDS)}")
    if not on_gpu and chosen != "oracle" and (chosen == "tensor_core" or not knobs.runtime.interpret):
        raise ValueError(f"{chosen} needs its operands on a GPU, not on {images.device}")
    if on_gpu:
        check_compiles(chosen, capability, why)
    return chosen, tile
