"""Bop flips exactly what its rule says, on worked examples; schedules may change its rates between steps."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from bnnhw.train import Bop, SecondOrderBop


def run(optimizer: Bop, weights: nn.Parameter, gradients: list[list[float]]) -> list[list[float]]:
    seen = []
    for gradient in gradients:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        seen.append(weights.tolist())
    return seen


def test_bop_flips_where_the_average_agrees_in_sign_and_exceeds_the_threshold() -> None:
    """gamma 0.5, threshold 0.3. Averages of weight 1: 0.5, 0.25, 0.625; weight 2: -0.5 (speaks for it), -0.25, 0.375.

    Weight 1 (+1) flips at 0.5 to -1; 0.25 and 0.625 then speak for -1. Weight 2 (+1) is only spoken for until 0.375,
    which flips it. Weight 3 (-1) sees -0.25, too weak, then -0.375, which flips it to +1; -0.4375 speaks for +1.
    """
    weights = nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
    optimizer = Bop([weights], gamma=0.5, threshold=0.3)
    seen = run(optimizer, weights, [[1.0, -1.0, -0.5], [0.0, 0.0, -0.5], [1.0, 1.0, -0.5]])
    assert seen == [[-1, 1, -1], [-1, 1, 1], [-1, -1, 1]]
    assert optimizer.state[weights]["gradient"].tolist() == [0.625, 0.375, -0.4375]


def test_a_threshold_is_exceeded_not_reached() -> None:
    weights = nn.Parameter(torch.tensor([1.0]))
    optimizer = Bop([weights], gamma=0.5, threshold=0.5)
    assert run(optimizer, weights, [[1.0]]) == [[1]]
    optimizer.param_groups[0]["threshold"] = 0.49
    optimizer.param_groups[0]["gamma"] = 1.0
    assert run(optimizer, weights, [[0.495]]) == [[-1]]


def test_the_second_order_divides_by_the_root_of_the_average_square() -> None:
    """gamma 0.5, sigma 0.75, g = 0.1 then 0.2: m = 0.05, 0.125; v = 0.0075, 0.031875; m / sqrt(v) = 0.577, 0.700."""
    weights = nn.Parameter(torch.tensor([1.0]))
    optimizer = SecondOrderBop([weights], gamma=0.5, threshold=0.69, sigma=0.75)
    assert run(optimizer, weights, [[0.1], [0.2]]) == [[1], [-1]]
    torch.testing.assert_close(optimizer.state[weights]["square"], torch.tensor([0.031875]))
    small = nn.Parameter(torch.tensor([1.0]))
    # A gradient a thousand times smaller leads to the same flips.
    assert run(SecondOrderBop([small], gamma=0.5, threshold=0.69, sigma=0.75), small, [[1e-4], [2e-4]]) == [[1], [-1]]


def test_unbiased_averages_count_the_first_gradient_fully() -> None:
    """After one step m / (1 - (1 - gamma)) = g and v likewise g^2: the evidence is sign(g), whatever the rates."""
    for gamma, sigma in ((1e-4, 1e-3), (0.5, 0.1)):
        weights = nn.Parameter(torch.tensor([1.0, 1.0]))
        optimizer = SecondOrderBop([weights], gamma=gamma, threshold=0.99, sigma=sigma, unbiased=True)
        assert run(optimizer, weights, [[0.3, -0.3]]) == [[-1, 1]]
    weights = nn.Parameter(torch.tensor([1.0]))
    biased = SecondOrderBop([weights], gamma=1e-4, threshold=0.99, sigma=1e-3)
    assert run(biased, weights, [[0.3]]) == [[1]]


@pytest.mark.parametrize("make", [Bop, SecondOrderBop])
def test_weights_stay_bits_and_a_saved_state_goes_on_alike(make: type[Bop]) -> None:
    torch.manual_seed(0)
    one, other = (nn.Parameter(torch.where(torch.arange(50) % 3 == 0, -1.0, 1.0)) for _ in range(2))
    first, second = make([one], gamma=0.1, threshold=0.01), make([other], gamma=0.1, threshold=0.01)
    gradients = torch.randn(8, 50).tolist()
    run(first, one, gradients[:4])
    other.data.copy_(one.data)
    second.load_state_dict(deepcopy(first.state_dict()))
    assert run(first, one, gradients[4:]) == run(second, other, gradients[4:])
    assert set(one.tolist()) == {-1.0, 1.0}


def test_impossible_rates_are_refused() -> None:
    weights = nn.Parameter(torch.ones(1))
    for wrong in ({"gamma": 0.0}, {"threshold": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Bop([weights], **wrong)
    with pytest.raises(ValueError, match="sigma"):
        SecondOrderBop([weights], sigma=0.0)
