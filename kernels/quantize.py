"""Pixels to levels: ``level(p) = #{j : p >= t[j]}``, and to one bit each where there is a single threshold.

Pixels come in channel, height, width order, as images are stored; levels and bits leave in height, width, channel
order, as the other kernels take them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu
from bnnhw.kernels.level_conv import Levels
from bnnhw.kernels.packed_bits import PackedBits, empty_bits, pack
from bnnhw.kernels.threads import check_threads


@dataclass(frozen=True, eq=False)
class PixelThresholds:
    """thresholds: int32[levels, c, h, w], each of c, h, w the pixels' size or 1 (shared by all of that axis)."""

    thresholds: npt.NDArray[np.int32]
    ascending: npt.NDArray[np.int32] = field(init=False, repr=False)
    """int32[c, h, w, levels], sorted along the last axis."""

    def __post_init__(self) -> None:
        t = self.thresholds
        if t.dtype != np.int32 or t.ndim != 4 or t.size == 0:
            raise ValueError(f"pixel thresholds must be int32 [levels, c, h, w], not {t.dtype} of shape {t.shape}")
        object.__setattr__(self, "ascending", np.ascontiguousarray(np.sort(t, axis=0).transpose(1, 2, 3, 0)))

    @property
    def levels(self) -> int:
        """The highest level: levels run from 0 to it."""
        return int(self.thresholds.shape[0])


def _check(
    pixels: npt.NDArray[np.integer], thresholds: PixelThresholds
) -> npt.NDArray[np.uint8] | npt.NDArray[np.int32]:
    if pixels.ndim != 4 or pixels.dtype.kind not in "iu" or 0 in pixels.shape[1:]:
        raise ValueError(f"pixels must be integers [N, channels, height, width], not {pixels.dtype} of {pixels.shape}")
    sides = thresholds.thresholds.shape[1:]
    if any(side not in (1, size) for side, size in zip(sides, pixels.shape[1:], strict=True)):
        raise ValueError(f"thresholds for {sides} (1 is shared) do not fit pixels of {pixels.shape[1:]}")
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, np.uint8)
    narrow = np.ascontiguousarray(pixels, np.int32)
    if not np.array_equal(narrow, pixels):
        raise ValueError("pixels must fit int32")
    return narrow


def quantize(pixels: npt.NDArray[np.integer], thresholds: PixelThresholds, threads: int = 1) -> Levels:
    """Levels [N, height, width, channels]: uint8 up to 255 levels, int16 up to 32767, else int32.

    pixels: integers [N, channels, height, width] within int32. ValueError if the thresholds do not fit them.
    """
    ready = _check(pixels, thresholds)
    n, c, h, w = ready.shape
    dtype = np.uint8 if thresholds.levels <= 255 else np.int16 if thresholds.levels <= 32767 else np.int32
    levels = cast("Levels", np.empty((n, h, w, c), dtype))
    _cpu.quantize(ready, (n, c, h, w), thresholds.ascending, levels, check_threads(threads))
    return levels


def quantize_oracle(pixels: npt.NDArray[np.integer], thresholds: PixelThresholds) -> npt.NDArray[np.int64]:
    """`quantize` by counting, int64[N, height, width, channels]."""
    reached = pixels.astype(np.int64)[:, None] >= thresholds.thresholds
    levels: npt.NDArray[np.int64] = reached.sum(axis=1, dtype=np.int64).transpose(0, 2, 3, 1)
    return levels


def quantize_bits(pixels: npt.NDArray[np.integer], thresholds: PixelThresholds, threads: int = 1) -> PackedBits:
    """Bits [N] of height * width * channels: the levels of `quantize` for a single threshold each."""
    if thresholds.levels != 1:
        raise ValueError(f"levels are bits only with one threshold, not {thresholds.levels}")
    ready = _check(pixels, thresholds)
    n, c, h, w = ready.shape
    bits = empty_bits(n, c * h * w)
    _cpu.quantize_bits(ready, (n, c, h, w), thresholds.ascending, bits, check_threads(threads))
    return PackedBits(bits, c * h * w)


def quantize_bits_oracle(pixels: npt.NDArray[np.integer], thresholds: PixelThresholds) -> PackedBits:
    """`quantize_bits` from the oracle's levels."""
    levels = quantize_oracle(pixels, thresholds)
    return pack(levels.reshape(len(levels), int(np.prod(levels.shape[1:]))))
