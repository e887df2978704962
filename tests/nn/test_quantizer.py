"""The input quantizer: levels by integer thresholds, and their gradient."""

from __future__ import annotations

import pytest
import torch

from bnnhw.nn import InputQuantizer


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
