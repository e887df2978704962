"""The input quantizer: integer thresholds are the round-to-step quantizer, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.nn import InputQuantizer, step_thresholds


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    numerator=st.integers(1, 60),
    denominator=st.integers(1, 60),
    low=st.integers(-9, 9),
    span=st.integers(1, 300),
)
def test_thresholds_count_what_rounding_half_to_even_gives(
    numerator: int, denominator: int, low: int, span: int
) -> None:
    step = Fraction(numerator, denominator)
    if step > 1 or round(1 / step) > span:
        with pytest.raises(ValueError):
            step_thresholds(step, (low, low + span))
        return
    thresholds = step_thresholds(step, (low, low + span))
    for pixel in range(low, low + span + 1):
        level = round(Fraction(pixel - low, span) / step)
        assert sum(pixel >= t for t in thresholds) == level


def test_the_step_of_the_mnist_networks() -> None:
    assert step_thresholds(0.61, (0, 255)) == (78, 234)
    assert step_thresholds("0.61", (0, 255)) == step_thresholds(Fraction(61, 100), (0, 255))


def test_a_pixel_with_a_fraction_is_worth_its_floor() -> None:
    quantizer = InputQuantizer((4, 9), (0, 16))
    pixels = torch.arange(0, 16, 0.25).reshape(1, 1, 8, 8)
    assert torch.equal(quantizer(pixels), quantizer(pixels.floor()))
    assert quantizer(torch.tensor([3.0, 4.0, 8.0, 9.0]).reshape(1, 1, 1, 4)).flatten().tolist() == [0, 1, 1, 2]


def test_thresholds_may_differ_by_pixel() -> None:
    thresholds = torch.tensor([[[[2, 5]]], [[[3, 9]]]])
    quantizer = InputQuantizer(thresholds, (0, 10))
    assert quantizer(torch.tensor([[[[3.0, 8.0]]]])).flatten().tolist() == [2, 1]


def test_the_gradient_is_the_mean_slope_of_the_staircase() -> None:
    quantizer = InputQuantizer((4, 9), (0, 16))
    pixels = torch.rand(1, 1, 2, 2, requires_grad=True)
    quantizer(pixels).sum().backward()
    assert torch.equal(pixels.grad, torch.full_like(pixels, 2 / 16))


@pytest.mark.parametrize("thresholds", [(), (3, 3), (5, 4), (0,), (17,), (1.5,)])
def test_thresholds_that_make_no_sense_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        InputQuantizer(thresholds, (0, 16))
