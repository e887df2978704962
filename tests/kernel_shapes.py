"""Random shapes, weights and thresholds for the kernel tests, weighted towards word and block boundaries."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds, Window, instruction_set

INT32 = np.iinfo(np.int32)

counts = st.sampled_from([1, 2, 7, 8, 9, 31, 63, 64, 65, 127, 128, 129, 200, 320]) | st.integers(1, 150)
outputs = st.sampled_from([1, 7, 8, 9, 16, 63, 64, 65, 72]) | st.integers(1, 40)
images = st.sampled_from([0, 1, 2, 3, 67])
seeds = st.integers(0, 2**32 - 1)
instructions = st.sampled_from(instruction_set.available())
threads = st.sampled_from([1, 2, 5])


@st.composite
def windows(draw: st.DrawFn, padded: bool = True, largest: int = 7) -> Window:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = (draw(st.integers(0, kernel[0])), draw(st.integers(0, kernel[1]))) if padded else (0, 0)
    height = draw(st.integers(max(1, kernel[0] - 2 * padding[0]), largest))
    width = draw(st.integers(max(1, kernel[1] - 2 * padding[1]), largest))
    channels = draw(st.sampled_from([1, 2, 3, 8, 16, 33, 63, 64, 65, 130]) | st.integers(1, 12))
    return Window(channels, height, width, kernel, (draw(st.integers(1, 3)), draw(st.integers(1, 3))), padding)


def random_weights(rng: np.random.Generator, outs: int, ins: int) -> np.ndarray:
    """Now and then no weight is zero, or all are."""
    density = rng.choice([0.0, 0.2, 1.0])
    return (rng.choice([-1, 1], (outs, ins)) * (rng.random((outs, ins)) < density)).astype(np.int8)


def random_thresholds(rng: np.random.Generator, shape: tuple[int, ...], highest: int = 1) -> Thresholds:
    """Mostly near zero, where the sums are, with the extremes of int32 now and then."""
    near = rng.integers(-4 * highest, 4 * highest + 1, shape)
    extreme = rng.choice([INT32.min, INT32.min + 1, -1, 0, 1, INT32.max - 1, INT32.max], shape)
    threshold = np.where(rng.random(shape) < 0.8, near, extreme).astype(np.int32)
    return Thresholds(threshold, rng.random(shape[0]) < 0.5)


def threshold_shape(rng: np.random.Generator, window: Window, outs: int) -> tuple[int, ...]:
    return (outs,) if rng.random() < 0.5 else (outs, window.rows, window.columns)
