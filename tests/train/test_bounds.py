"""Cardinality bounds: the batch norm's boundary, counted in true literals."""

from __future__ import annotations

import torch

from bnnhw.nn import BatchNorm, BinConv2d, HiddenLayer, build
from bnnhw.train import calibrate, lower
from bnnhw.train.bounds import BoundDecay, literal_bounds, stored_bounds


def test_the_bound_counts_literals_that_must_be_true() -> None:
    torch.manual_seed(0)
    layer = HiddenLayer(BinConv2d(3, 2, 2), BatchNorm(2)).eval()
    layer.norm.mean.copy_(torch.tensor([1.5, -2.5]))
    weights = layer.weighted.ternary().detach()
    inputs = torch.randint(0, 2, (64, 3, 2, 2)).float()
    literals = torch.where(weights > 0, inputs[:, None], 1 - inputs[:, None]) * (weights != 0)
    bounds = literal_bounds(layer, layer.norm.mean)
    expected = literals.flatten(2).sum(2) >= bounds
    assert torch.equal(layer(inputs)[:, :, 0, 0].bool(), expected)


def test_the_loss_sums_what_exceeds_the_slack_over_all_hidden_layers_but_the_first() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12))
    pixels = torch.randint(0, 17, (40, 1, 8, 8)).float()
    seen: list[torch.Tensor] = []
    network(pixels, lambda index, layer, sums: seen.append(sums.detach()))
    expected = 0.0
    for layer, sums in list(zip(network.layers, seen, strict=True))[1:-1]:
        bounds = literal_bounds(layer, layer.norm.boundary(sums))
        expected += (bounds - 30).clamp(min=0).sum().item()
    decay = BoundDecay(30)
    network(pixels, decay.observe)
    assert expected > 0
    torch.testing.assert_close(decay.loss.item(), expected)
    decay.loss.backward()
    assert network.hidden[1].norm.shift.grad.abs().sum() > 0
    assert network.hidden[1].weighted.weights.mask.grad.abs().sum() > 0
    assert network.hidden[0].norm.shift.grad.abs().sum() > 0


def test_the_smaller_side_is_what_exceeds_it_on_both() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12))
    pixels = torch.randint(0, 17, (40, 1, 8, 8)).float()
    network.hidden[1].norm.shift.data[:] = -3
    seen: list[torch.Tensor] = []
    network(pixels, lambda index, layer, sums: seen.append(sums.detach()))
    expected, true_side = 0.0, 0.0
    for layer, sums in list(zip(network.layers, seen, strict=True))[1:-1]:
        literals = (layer.weighted.ternary() != 0).flatten(1).sum(1)
        bounds = literal_bounds(layer, layer.norm.boundary(sums)).tolist()
        for bound, count in zip(bounds, literals.tolist(), strict=True):
            expected += max(0.0, min(bound, count - bound) - 30)
            true_side += max(0.0, bound - 30)
    decay = BoundDecay(30, smaller=True)
    network(pixels, decay.observe)
    torch.testing.assert_close(decay.loss.item(), expected, rtol=1e-5, atol=1e-3)
    assert 0 < expected < true_side
    decay.loss.backward()
    shift = network.hidden[1].norm.shift.grad
    # Above one half of its literals a bound is pushed up, so the shift, which lowers it, is pushed down.
    assert bool((shift[network.hidden[1].norm.shift.data < 0] > 0).all())


def test_stored_bounds_are_those_of_the_integer_model_before_rounding() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12))
    calibrate(network, torch.randint(0, 17, (50, 1, 8, 8)).to(torch.uint8).numpy())
    model = lower(network)
    for layer, bounds in zip(model.hidden[1:], stored_bounds(network), strict=True):
        negative = (layer.weights < 0).reshape(len(layer.weights), -1).sum(axis=1)
        counted = torch.from_numpy(layer.threshold + negative)
        assert bool(((bounds <= counted) & (counted < bounds + 1)).all())
