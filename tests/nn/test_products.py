"""Sums with gradients in bfloat16: forward the very integers of float32, backward the same up to 8 bits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.nn import build, variants
from bnnhw.nn.products import convolution, product
from bnnhw.nn.variants import set_speed

ROUNDING = 2.0**-8


def draws(*shape: int, low: int, high: int) -> Tensor:
    return torch.randint(low, high + 1, shape).float().requires_grad_()


@pytest.mark.parametrize(("levels", "stride", "padding"), [(1, 1, 0), (1, 2, 1), (255, 2, 1)])
def test_convolution(levels: int, stride: int, padding: int) -> None:
    torch.manual_seed(levels + stride)
    activations, weights = draws(4, 40, 9, 9, low=0, high=levels), draws(5, 40, 4, 4, low=-1, high=1)
    sums, exact = (
        convolution(activations, weights, stride, padding),
        F.conv2d(activations, weights, None, stride, padding),
    )
    assert torch.equal(sums, exact)
    # Sums above 256 are where activations rounded on the way forward would show.
    assert levels == 1 or float(sums.detach().abs().max()) > 256
    check_gradients(sums, exact, activations, weights)


def test_product() -> None:
    torch.manual_seed(0)
    activations, weights = draws(6, 700, low=0, high=1), draws(9, 700, low=-1, high=1)
    sums, exact = product(activations, weights), F.linear(activations, weights)
    assert torch.equal(sums, exact)
    check_gradients(sums, exact, activations, weights)


def check_gradients(sums: Tensor, exact: Tensor, activations: Tensor, weights: Tensor) -> None:
    upstream = torch.randn_like(sums)
    found = torch.autograd.grad(sums, (activations, weights), upstream)
    for one, other in zip(found, torch.autograd.grad(exact, (activations, weights), upstream), strict=True):
        # Each rounded factor is off by at most 2^-9 of itself, and so is what is handed back.
        assert float((one - other).norm()) <= 2 * ROUNDING * float(other.norm())
        assert not torch.equal(one, other)


def test_only_what_needs_a_gradient_gets_one() -> None:
    activations, weights = draws(2, 3, 5, 5, low=0, high=1), draws(4, 3, 3, 3, low=-1, high=1).detach()
    convolution(activations, weights, 1, 1).sum().backward()
    expected = torch.autograd.grad(F.conv2d(activations, weights, None, 1, 1).sum(), activations)[0]
    # Sums of at most 36 weights of one sign: bfloat16 holds them.
    assert torch.equal(activations.grad, expected)
    assert weights.grad is None
    dense = draws(9, 7, low=-1, high=1)
    product(torch.ones(2, 7), dense).sum().backward()
    assert torch.equal(dense.grad, torch.full((9, 7), 2.0))


@pytest.mark.parametrize("has_products", [False, True])
def test_a_mixed_network_computes_the_same_logits(monkeypatch: pytest.MonkeyPatch, has_products: bool) -> None:
    monkeypatch.setattr(variants, "fast", lambda device: has_products)
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12))
    pixels = torch.randint(0, 17, (16, 1, 8, 8)).float()
    before = network(pixels)
    set_speed(network, fused=False, mixed=True)
    assert {layer.weighted.mixed for layer in network.layers} == {has_products}
    assert torch.equal(network(pixels), before)
