"""Random packed images, filters and thresholds for the tests of GPU convolutions, and the shapes they are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds
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
def cases(draw: st.DrawFn, most_channels: int = 65) -> Case:
    """Odd channels, whole-image kernels, strides and paddings with zeros and ones."""
    channels = draw(st.sampled_from([c for c in (1, 3, 31, 32, 33, 64, 65) if c <= most_channels]))
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
