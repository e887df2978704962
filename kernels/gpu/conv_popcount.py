"""Ternary convolution of bits on any GPU's ordinary cores: ``popcount(a & p) - popcount(a & n)``, exact in int32.

An implicit matrix product: rows are output positions of all images, columns are outputs, and the words under the window
are gathered where they lie, so that no patch is ever stored. A program adds one word of the window at a time to a tile
of sums, as an outer product, as `gemm_popcount` does. Without zero weights one conjunction is enough, since then
``popcount(a & n) = popcount(a) - popcount(a & p)``. Oracle: `conv_oracle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.conv_oracle import NO_PADDING
from bnnhw.kernels.gpu.conv_window import Padding, Window, bits_of, by_position, sums_of, window_over
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.popcount import popcount
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters


@dataclass(frozen=True)
class Configuration:
    """A program's tile of sums, and how many warps share it. Both sides are powers of two, columns 32 or more."""

    rows: int
    columns: int
    warps: int = 4


CONFIGURATIONS = (Configuration(32, 32), Configuration(64, 32), Configuration(128, 32))


@triton.jit
def count_ones(words: tl.tensor) -> tl.tensor:
    """int32 population count of int32 words."""
    return popcount(words.to(tl.uint32, bitcast=True)).to(tl.int32)


@triton.jit
def conv_popcount_kernel(
    images: tl.tensor,  # int32 words [N, height, width, words]
    planes: tl.tensor,  # int32 words [2 or 1, kernel_h * kernel_w * words, n]
    pads: tl.tensor,  # int32[kernel_h * kernel_w * words]: what a word of padding holds, with PAD_ONES, else None
    out: tl.tensor,  # int32 sums [m, n], or words [m, ceil(n / 32)] with THRESHOLD
    limits: tl.tensor,  # int32[positions or 1, n] with THRESHOLD, else None
    flips: tl.tensor,  # int32[n] with THRESHOLD, else None
    counted: tl.tensor,  # int32[positions or 1, n] with BIPOLAR, for sums of -1 and +1, else None
    m: tl.tensor,  # N * out_height * out_width
    n: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    words: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    kernel_h: tl.tensor,
    kernel_w: tl.tensor,
    stride_h: tl.tensor,
    stride_w: tl.tensor,
    pad_h: tl.tensor,
    pad_w: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BINARY: tl.constexpr,
    PAD_ONES: tl.constexpr,
    THRESHOLD: tl.constexpr,
    BIPOLAR: tl.constexpr,
    POSITIONS: tl.constexpr,
) -> None:
    # Rows along the second axis, so that a thread has few of them, each with its place in an image, and many columns.
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    position = row % (out_height * out_width)
    image = row // (out_height * out_width)
    first_y = position // out_width * stride_h - pad_h
    first_x = position % out_width * stride_w - pad_w
    corner = images + ((image.to(tl.int64) * height + first_y) * width + first_x) * words
    positive = planes + column
    negative = planes + tl.cast(kernel_h * kernel_w * words, tl.int64) * n + column
    tap = 0
    sums = tl.zeros([COLUMNS, ROWS], tl.int32)
    ones = tl.zeros([ROWS], tl.int32)
    for y in range(0, kernel_h):
        inside_y = (row < m) & (first_y + y >= 0) & (first_y + y < height)
        for x in range(0, kernel_w):
            inside = inside_y & (first_x + x >= 0) & (first_x + x < width)
            under = corner + tl.cast(y * width + x, tl.int64) * words
            for word in range(0, words):
                around = tl.load(pads + tap) if PAD_ONES else 0
                a = tl.load(under + word, mask=inside, other=around)
                p = tl.load(positive, mask=column < n, other=0)
                sums += count_ones(p[:, None] & a[None, :])
                if BINARY:
                    ones += count_ones(a)
                else:
                    q = tl.load(negative, mask=column < n, other=0)
                    sums -= count_ones(q[:, None] & a[None, :])
                # Pointers are 64 bits wide; tap * n may not fit 32.
                positive += n
                negative += n
                tap += 1
    if BINARY:
        sums = 2 * sums - ones[None, :]
    if THRESHOLD:
        if POSITIONS:
            place = limits + position.to(tl.int64)[None, :] * n + column[:, None]
            limit = tl.load(place, mask=(column < n)[:, None] & (row < m)[None, :], other=0)
        else:
            limit = tl.load(limits + column, mask=column < n, other=0)[:, None]
        flip = tl.load(flips + column, mask=column < n, other=0)
        bits = ((sums >= limit).to(tl.int32) ^ flip[:, None]) & (column < n).to(tl.int32)[:, None]
        placed = tl.reshape(bits, [COLUMNS // 32, 32, ROWS]) << tl.arange(0, 32)[None, :, None]
        out_words = tl.cdiv(n, 32)
        word = tl.program_id(1) * (COLUMNS // 32) + tl.arange(0, COLUMNS // 32)
        to = out + row.to(tl.int64)[None, :] * out_words + word[:, None]
        tl.store(to, tl.sum(placed, axis=1), mask=(word < out_words)[:, None] & (row < m)[None, :])
    else:
        inside = (row < m)[:, None] & (column < n)[None, :]
        values = tl.trans(sums)
        if BIPOLAR:
            at = position.to(tl.int64)[:, None] * n + column[None, :] if POSITIONS else column[None, :]
            values = 2 * values - tl.load(counted + at, mask=inside, other=0)
        tl.store(out + row.to(tl.int64)[:, None] * n + column[None, :], values, mask=inside)


def conv_popcount(
    images: PackedImages,
    filters: TernaryFilters,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    out: torch.Tensor | None = None,
    configuration: Configuration = CONFIGURATIONS[1],
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs], in ``out`` if given; with ``counted`` as in `ternary_conv`. ValueError if
    anything does not fit."""
    window = window_over(images, filters, stride, padding)
    sums = sums_of(images, filters, window, out, counted)
    _launch(images, filters, window, sums, None, counted, configuration)
    return sums


def conv_popcount_threshold(
    images: PackedImages,
    filters: TernaryFilters,
    thresholds: PositionThresholds,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    out: PackedImages | None = None,
    configuration: Configuration = CONFIGURATIONS[1],
) -> PackedImages:
    """Images of ``(sum >= limit) xor flip``, in ``out`` if given; ValueError if anything does not fit."""
    window = window_over(images, filters, stride, padding)
    bits = bits_of(images, filters, window, thresholds, out)
    _launch(images, filters, window, bits.words, thresholds, None, configuration)
    return bits


def _launch(
    images: PackedImages,
    filters: TernaryFilters,
    window: Window,
    out: torch.Tensor,
    thresholds: PositionThresholds | None,
    counted: torch.Tensor | None,
    configuration: Configuration,
) -> None:
    rows = images.count * window.positions
    ones = window.padding.bit == 1
    conv_popcount_kernel[(-(-rows // configuration.rows), -(-filters.outputs // configuration.columns))](
        images.words,
        filters.planes,
        filters.taps[3] if ones else None,
        out,
        None if thresholds is None else thresholds.limits,
        None if thresholds is None else thresholds.flips,
        counted,
        rows,
        filters.outputs,
        images.height,
        images.width,
        images.words.shape[-1],
        window.height,
        window.width,
        *filters.kernel,
        *window.stride,
        window.padding.vertical,
        window.padding.horizontal,
        ROWS=configuration.rows,
        COLUMNS=configuration.columns,
        BINARY=filters.binary,
        PAD_ONES=ones,
        THRESHOLD=thresholds is not None,
        BIPOLAR=counted is not None,
        POSITIONS=by_position(thresholds, counted),
        num_warps=configuration.warps,
    )
