"""Thresholds from the histogram: the best of all choices, by exhaustion."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.train.thresholds import choose_thresholds, free_pixels


def test_a_pixel_is_free_when_its_ball_has_two_levels() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 17, 300)
    histogram = np.bincount(pixels, minlength=17)
    for thresholds in ((4,), (4, 9), (8, 9, 10)):
        for radius in (0, 1, 3):
            levels = [np.searchsorted(thresholds, pixels + d, side="right") for d in range(-radius, radius + 1)]
            changes = (np.min(levels, axis=0) != np.max(levels, axis=0)).sum()
            assert free_pixels(histogram, thresholds, radius) == changes


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), radius=st.integers(0, 5), low=st.integers(-3, 3))
def test_no_choice_has_fewer_free_pixels(seed: int, count: int, radius: int, low: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = low + np.minimum(12, (rng.gamma(1.0, 3.0, 200)).astype(np.int64))
    histogram = np.bincount(pixels - low, minlength=13)
    least = 0.1

    def fits(chosen: tuple[int, ...]) -> bool:
        ends = (0, *chosen, 13)
        return all(histogram[a:b].sum() >= least * 200 for a, b in pairwise(ends))

    possible = [chosen for chosen in combinations(range(1, 13), count) if fits(chosen)]
    if not possible:
        with pytest.raises(ValueError, match="fewer levels"):
            choose_thresholds(pixels, (low, low + 12), radius, count, least)
        return
    found = tuple(t - low for t in choose_thresholds(pixels, (low, low + 12), radius, count, least))
    assert fits(found)
    fewest = min(free_pixels(histogram, chosen, radius) for chosen in possible)
    assert free_pixels(histogram, found, radius) == fewest


def test_equal_choices_go_to_the_middle() -> None:
    assert choose_thresholds(np.repeat([0, 255], 50), (0, 255), 20, 1) == (128,)
