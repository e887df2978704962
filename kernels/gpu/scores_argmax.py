"""The output layer on a GPU, from bits to scores and classes in one kernel: ``(sum << shift) + bias``, then the arg
max.

A program has some images and all classes, of which there are few, and counts ``popcount(a & p) - popcount(a & n)`` word
by word. The class is the lowest index among the largest scores, as everywhere in this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.conv_oracle import conv_oracle
from bnnhw.kernels.gpu.conv_popcount import count_ones
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters

MOST_CLASSES = 1024
WARPS = 4
ELEMENTS = 2048
"""Scores of a program, as long as that is at least one image."""


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """filters: a kernel as large as the images. bias: contiguous int32[classes]. Scores must fit int32 on every
    input."""

    filters: TernaryFilters
    bias: torch.Tensor
    shift: int

    def __post_init__(self) -> None:
        classes = self.filters.outputs
        if classes > MOST_CLASSES:
            raise ValueError(f"the output layer has at most {MOST_CLASSES} classes, not {classes}")
        b = self.bias
        if b.dtype != torch.int32 or tuple(b.shape) != (classes,) or not b.is_contiguous():
            raise ValueError(
                f"the bias must be contiguous int32 [{classes}], not {b.dtype} {tuple(b.shape)}, strides {b.stride()}"
            )
        if not 0 <= self.shift < 31:
            raise ValueError(f"the shift must be 0 to 30, not {self.shift}")

    def to(self, device: torch.device | str) -> OutputLayer:
        """A copy on ``device``, or views of this if it is there."""
        return OutputLayer(self.filters.to(device), self.bias.to(device), self.shift)


@triton.jit
def scores_argmax_kernel(
    images: tl.tensor,  # int32 words [count, taps]
    planes: tl.tensor,  # int32 words [2 or 1, taps, classes]
    bias: tl.tensor,  # int32[classes]
    scores: tl.tensor,  # int64[count, classes]
    winners: tl.tensor,  # int64[count]
    count: tl.tensor,
    classes: tl.tensor,
    taps: tl.tensor,
    shift: tl.tensor,
    IMAGES: tl.constexpr,
    CLASSES: tl.constexpr,
    BINARY: tl.constexpr,
) -> None:
    image = tl.program_id(0) * IMAGES + tl.arange(0, IMAGES)
    column = tl.arange(0, CLASSES)
    a_words = images + image.to(tl.int64) * taps
    positive = planes + column
    negative = planes + tl.cast(taps, tl.int64) * classes + column
    sums = tl.zeros([IMAGES, CLASSES], tl.int32)
    ones = tl.zeros([IMAGES], tl.int32)
    for tap in range(0, taps):
        a = tl.load(a_words + tap, mask=image < count, other=0)
        p = tl.load(positive, mask=column < classes, other=0)
        sums += count_ones(a[:, None] & p[None, :])
        if BINARY:
            ones += count_ones(a)
        else:
            q = tl.load(negative, mask=column < classes, other=0)
            sums -= count_ones(a[:, None] & q[None, :])
        positive += classes
        negative += classes
    if BINARY:
        sums = 2 * sums - ones[:, None]
    added = tl.load(bias + column, mask=column < classes, other=0)
    final = (sums << shift) + added[None, :]
    inside = (column < classes)[None, :]
    largest = tl.max(tl.where(inside, final, -2147483648), axis=1)
    among = tl.where(inside & (final == largest[:, None]), column[None, :], CLASSES)
    tl.store(winners + image, tl.min(among, axis=1).to(tl.int64), mask=image < count)
    place = scores + image.to(tl.int64)[:, None] * classes + column[None, :]
    tl.store(place, final.to(tl.int64), mask=(image < count)[:, None] & inside)


def scores_argmax(
    images: PackedImages, layer: OutputLayer, out: tuple[torch.Tensor, torch.Tensor] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores int64[N, classes] and classes int64[N], in ``out`` if given; ValueError if anything does not fit."""
    _check(images, layer)
    classes = layer.filters.outputs
    if out is None:
        scores = torch.empty(images.count, classes, dtype=torch.int64, device=images.device)
        winners = torch.empty(images.count, dtype=torch.int64, device=images.device)
    else:
        scores, winners = out
        fits = tuple(scores.shape) == (images.count, classes) and tuple(winners.shape) == (images.count,)
        whole = scores.is_contiguous() and winners.is_contiguous()
        there = scores.device == winners.device == images.device
        if not fits or not whole or not there or scores.dtype != torch.int64 or winners.dtype != torch.int64:
            raise ValueError(
                f"scores and classes must be contiguous int64 [{images.count}, {classes}] and [{images.count}] on "
                f"{images.device}, not {scores.dtype} {tuple(scores.shape)} on {scores.device} and {winners.dtype} "
                f"{tuple(winners.shape)} on {winners.device}"
            )
    columns = triton.next_power_of_2(classes)
    rows = max(1, min(32, ELEMENTS // columns))
    scores_argmax_kernel[(triton.cdiv(images.count, rows),)](
        images.words,
        layer.filters.planes,
        layer.bias,
        scores,
        winners,
        images.count,
        classes,
        layer.filters.planes.shape[1],
        layer.shift,
        IMAGES=rows,
        CLASSES=columns,
        BINARY=layer.filters.binary,
        num_warps=WARPS,
    )
    return scores, winners


def scores_argmax_oracle(images: PackedImages, layer: OutputLayer) -> tuple[torch.Tensor, torch.Tensor]:
    """The same on the host, by definition."""
    _check(images, layer)
    sums = conv_oracle(images.to("cpu"), layer.filters.to("cpu")).flatten(1).to(torch.int64)
    scores = (sums << layer.shift) + layer.bias.cpu()
    return scores, torch.from_numpy(scores.numpy().argmax(axis=1))


def _check(images: PackedImages, layer: OutputLayer) -> None:
    f = layer.filters
    if f.kernel != (images.height, images.width) or f.channels != images.channels:
        raise ValueError(
            f"the output layer takes {f.channels}x{f.kernel[0]}x{f.kernel[1]} bits, not "
            f"{images.channels}x{images.height}x{images.width}"
        )
    if f.device != images.device or layer.bias.device != images.device:
        raise ValueError(f"images and the output layer must be on one device, not {images.device} and {f.device}")
