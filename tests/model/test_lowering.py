"""Integer thresholds and biases decide as the exact real parameters do, for every pixel and every accumulator."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.model import Output
from bnnhw.model.lowering import integer_biases, integer_threshold, step_thresholds
from bnnhw.model.reference import scores_of

F = Fraction
exact = settings(derandomize=True, deadline=None)


@settings(exact, max_examples=200)
@given(
    numerator=st.integers(1, 60),
    denominator=st.integers(1, 60),
    low=st.integers(-9, 9),
    span=st.integers(1, 300),
)
def test_thresholds_count_what_rounding_half_to_even_gives(
    numerator: int, denominator: int, low: int, span: int
) -> None:
    step = F(numerator, denominator)
    if step > 1 or round(1 / step) > span:
        with pytest.raises(ValueError):
            step_thresholds(step, (low, low + span))
        return
    thresholds = step_thresholds(step, (low, low + span))
    for pixel in range(low, low + span + 1):
        level = round(F(pixel - low, span) / step)
        assert sum(pixel >= t for t in thresholds) == level


def test_the_step_of_the_mnist_networks() -> None:
    assert step_thresholds(0.61, (0, 255)) == (78, 234)
    assert step_thresholds("0.61", (0, 255)) == step_thresholds(F(61, 100), (0, 255))


@settings(exact, max_examples=400)
@given(
    scale=st.fractions(-3, 3, max_denominator=8),
    shift=st.fractions(-9, 9, max_denominator=8),
    mean=st.fractions(-9, 9, max_denominator=4),
    root=st.fractions(F(1, 8), 4, max_denominator=8),
    low=st.integers(-8, 0),
    high=st.integers(0, 8),
)
def test_thresholds_decide_exactly_where_the_deviation_is_rational(
    scale: Fraction, shift: Fraction, mean: Fraction, root: Fraction, low: int, high: int
) -> None:
    t, less_equal = integer_threshold(scale, shift, mean, root * root, low, high)
    assert low - 1 <= t <= high + 1
    for acc in range(low, high + 1):
        assert (acc <= t if less_equal else acc >= t) == (scale * (acc - mean) / root + shift >= 0)


def test_a_boundary_on_a_whole_number_belongs_to_the_one_side() -> None:
    assert integer_threshold(F(1), F(0), F(3), F(2), -9, 9) == (3, False)
    assert integer_threshold(F(-1), F(0), F(3), F(2), -9, 9) == (3, True)
    assert integer_threshold(F(1), F(-2), F(3), F(4), -9, 9) == (7, False)
    assert integer_threshold(F(-1), F(-2), F(3), F(4), -9, 9) == (-1, True)


def test_dead_channels_are_clipped_to_their_reach() -> None:
    tiny = F(1, 10**40)
    assert integer_threshold(tiny, F(1), F(0), F(1), -4, 6) == (-4, False)
    assert integer_threshold(tiny, F(-1), F(0), F(1), -4, 6) == (7, False)
    assert integer_threshold(-tiny, F(1), F(0), F(1), -4, 6) == (6, True)
    assert integer_threshold(-tiny, F(-1), F(0), F(1), -4, 6) == (-5, True)
    assert integer_threshold(F(0), F(0), F(5), F(1), -4, 6) == (-4, False)
    assert integer_threshold(F(0), -tiny, F(5), F(1), -4, 6) == (7, False)


@settings(exact, max_examples=200)
@given(
    mean=st.lists(st.fractions(-5, 5, max_denominator=3), min_size=2, max_size=4),
    slopes=st.data(),
    root=st.fractions(F(1, 3), 3, max_denominator=3),
    reach=st.integers(0, 3),
)
def test_the_highest_scores_are_those_of_the_exact_logits(
    mean: list[Fraction], slopes: st.DataObject, root: Fraction, reach: int
) -> None:
    slope = slopes.draw(st.lists(st.fractions(-5, 5, max_denominator=3), min_size=len(mean), max_size=len(mean)))
    bias, shift = integer_biases(mean, slope, root * root, reach)
    offsets = [s * root - m for s, m in zip(slope, mean, strict=True)]
    assert shift <= max(1, (len(mean) - 1).bit_length())
    layer = Output(np.zeros((len(mean), 1), np.int8), bias, shift)
    accs = np.array(list(product(range(-reach, reach + 1), repeat=len(mean))))
    scores = scores_of(layer, accs[:, :, None, None])
    for row, found in zip(accs.tolist(), scores.tolist(), strict=True):
        wanted = [a + b for a, b in zip(row, offsets, strict=True)]
        assert [s == max(found) for s in found] == [s == max(wanted) for s in wanted]
