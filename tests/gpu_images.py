"""Random packed images, filters and thresholds for the tests of GPU convolutions, and the shapes they are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from gpu_operands import POISON
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds
from bnnhw.kernels.gpu.conv_oracle import conv_oracle, conv_threshold_oracle
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.packed_images import PackedImages, pack_images
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds, position_thresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters, ternary_filters


@dataclass(frozen=True)
class Case:
    """A convolution's shape."""

    images: int
    channels: int
    side: tuple[int, int]
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    binary: bool

    @property
    def out(self) -> tuple[int, int]:
        p = (self.padding.vertical, self.padding.horizontal)
        y, x = ((self.side[i] + 2 * p[i] - self.kernel[i]) // self.stride[i] + 1 for i in (0, 1))
        return y, x

    def random(self, rng: np.random.Generator) -> tuple[PackedImages, TernaryFilters, PositionThresholds]:
        """Mostly mixed images, sometimes all ones or zeros; thresholds by position half of the time."""
        density = rng.choice([0.0, 0.3, 0.5, 1.0], p=[0.1, 0.2, 0.6, 0.1])
        images = pack_images(rng.random((self.images, self.channels, *self.side)) < density)
        choices = [-1, 1] if self.binary else [-1, 0, 0, 1]
        filters = ternary_filters(rng.choice(choices, (self.outputs, self.channels, *self.kernel)))
        by_position = rng.random() < 0.5
        largest = self.channels * self.kernel[0] * self.kernel[1]
        shape = (self.outputs, *self.out) if by_position else (self.outputs,)
        t = rng.integers(-largest // 4 - 1, largest // 4 + 2, shape).astype(np.int32)
        return images, filters, position_thresholds(Thresholds(t, rng.random(self.outputs) < 0.5))


@st.composite
def cases(draw: st.DrawFn, most_channels: int = 128) -> Case:
    """Odd channels, whole-image kernels, strides and paddings with zeros and ones."""
    channels = draw(st.sampled_from([c for c in (1, 3, 31, 32, 33, 64, 65, 96, 128) if c <= most_channels]))
    side = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    whole = draw(st.booleans())
    kernel = side if whole else (draw(st.integers(1, min(3, side[0]))), draw(st.integers(1, min(3, side[1]))))
    pads = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    return Case(
        images=draw(st.integers(1, 3)),
        channels=channels,
        side=side,
        outputs=draw(st.sampled_from([1, 10, 31, 32, 33, 70])),
        kernel=kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        padding=Padding(*pads, draw(st.integers(0, 1))),
        binary=draw(st.booleans()),
    )


GUARD = 64
"""Elements on either side of an output that must stay as they are."""


def check_conv(
    case: Case, seed: int, sums_of: Callable[..., torch.Tensor], bits_of: Callable[..., PackedImages], device: str
) -> None:
    """Sums of bits, sums of -1 and +1 and bits equal the oracles'; every element is written, and none beside."""
    images, filters, thresholds = case.random(np.random.default_rng(seed))
    walk, on = (case.stride, case.padding), (images.to(device), filters.to(device))
    sums = conv_oracle(images, filters, *walk)
    with guarded(sums, device) as out:
        assert sums_of(*on, *walk, out=out) is out
    # Any numbers do in place of the weights that count, by position as often as thresholds are.
    counted = torch.from_numpy(np.random.default_rng(seed).integers(-999, 999, thresholds.limits.shape, np.int32))
    side = case.out if len(counted) > 1 else (1, 1)
    with guarded(2 * sums - counted.reshape(*side, case.outputs), device) as out:
        assert sums_of(*on, *walk, out=out, counted=counted.to(device)) is out
    with guarded(conv_threshold_oracle(images, filters, thresholds, *walk).words, device) as out:
        packed = PackedImages(out, case.outputs)
        assert bits_of(*on, thresholds.to(device), *walk, out=packed) is packed


@contextmanager
def guarded(expected: torch.Tensor, device: str) -> Iterator[torch.Tensor]:
    """Poisoned memory that holds ``expected`` in the end, between some that nobody touches."""
    memory = torch.full((expected.numel() + 2 * GUARD,), POISON, dtype=torch.int32, device=device)
    out = memory[GUARD:-GUARD].view(expected.shape)
    yield out
    assert torch.equal(out.cpu(), expected)
    assert bool((torch.cat([memory[:GUARD], memory[-GUARD:]]) == POISON).all())
