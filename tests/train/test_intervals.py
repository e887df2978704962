"""Interval propagation: sound for every image of the box, tight where inputs are independent, with honest gradients."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from random_networks import random_network

from bnnhw.nn import BatchNorm, BinLinear, HiddenLayer, InputQuantizer, Network, OutputLayer, ScalarBatchNorm, build
from bnnhw.train.intervals import Affines, margin_loss, propagate, slack_loss, small_box, stored_affine


def affines_of(network: Network) -> list:
    return [stored_affine(layer.norm) for layer in network.layers]


@pytest.mark.parametrize("seed", range(12))
def test_no_image_of_the_box_leaves_the_intervals(seed: int) -> None:
    """Bits that differ between any two images are undecided; no score difference falls below its bound."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    with torch.no_grad():
        for layer in network.layers:
            layer.norm.var.clamp_(min=0.5)
            layer.norm.scale[layer.norm.scale.abs() < 1e-3] = 0.5
    clean = torch.from_numpy(rng.integers(0, 13, (1, *network.shape))).float()
    low, high = (clean - 2).clamp(min=0), (clean + 2).clamp(max=12)
    label = torch.tensor([1])
    reached = propagate(network, low, high, label, affines_of(network))
    images = low + torch.from_numpy(rng.random((300, *network.shape))) * (high - low + 1)
    images = torch.minimum(images.floor(), high).float()
    bits, logits = network.trace(images)
    for layer_bits, undecided in zip(bits, reached.undecided, strict=True):
        differs = (layer_bits != layer_bits[:1]).any(dim=0)
        assert not bool((differs & ~undecided[0]).any())
    leads = logits[:, 1:2] - logits
    # Intervals are float32, shifts go up to ten thousand.
    assert bool((leads >= -reached.logits[0] - 1e-6 * leads.abs() - 1e-4).all())


def tiny(gain: float = 1.0) -> Network:
    """Three one-bit inputs, two neurons ``a + b >= 2`` and ``b - c >= 1``, two classes that count one neuron each."""
    hidden = HiddenLayer(BinLinear(3, 2), BatchNorm(2))
    output = OutputLayer(BinLinear(2, 2), ScalarBatchNorm(2))
    network = Network(InputQuantizer((1,), (0, 1)), [hidden], output, (1, 1, 3)).eval()
    hidden.weighted.weights.latent.data = torch.tensor([[1.0, 1, 1], [1, 1, -1]])
    hidden.weighted.weights.mask.data = torch.tensor([[1.0, 1, -1], [-1, 1, 1]])
    hidden.norm.mean.copy_(torch.tensor([1.5, 0.5]))
    hidden.norm.scale.data.fill_(gain)
    output.weighted.weights.latent.data = torch.eye(2) * 2 - 1
    output.weighted.weights.mask.data = torch.eye(2) * 2 - 1
    for layer in network.layers:
        layer.norm.var.fill_(1 - 1e-5)
    return network


def test_a_tiny_network_by_hand() -> None:
    """Image (1, 1, free): neuron 1 is on with slack 0.5; neuron 2 sees 1 - c in 0..1 around its threshold of 0.5.

    Class 0 counts neuron 1, class 1 neuron 2: the difference of scores is 1 - (0 or 1), at least 0.
    """
    network = tiny()
    low, high = torch.tensor([[[[1.0, 1, 0]]]]), torch.tensor([[[[1.0, 1, 1]]]])
    reached = propagate(network, low, high, torch.tensor([0]), affines_of(network))
    assert reached.undecided[0].tolist() == [[False, True]]
    torch.testing.assert_close(reached.ranges[0].slack, torch.tensor([[0.5, -0.5]]))
    torch.testing.assert_close(reached.leads, torch.tensor([[0.0, 0.0]]))
    torch.testing.assert_close(slack_loss(reached, 1.0), torch.tensor((0.5 + 1.5) / 2))
    torch.testing.assert_close(margin_loss(reached, torch.tensor([0]), 2.0), torch.tensor(2.0))
    scaled = propagate(tiny(-4.0), low, high, torch.tensor([0]), affines_of(tiny(-4.0)))
    # A negative gain turns the comparisons around, and distances in steps do not change with it.
    torch.testing.assert_close(scaled.ranges[0].slack, torch.tensor([[0.5, -0.5]]))
    torch.testing.assert_close(scaled.leads, torch.tensor([[0.0, -1.0]]))


def test_score_differences_are_tight_for_independent_bits() -> None:
    torch.manual_seed(0)
    network = tiny()
    network.output.norm.shift.data = torch.tensor([0.25, -1.0])
    network.output.norm.scale.data = torch.tensor(-1.5)
    low, high = torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1, 3)
    reached = propagate(network, low, high, torch.tensor([1]), affines_of(network))
    images = torch.tensor(list(product([0.0, 1.0], repeat=3))).view(8, 1, 1, 3)
    leads = [network(image[None])[0].detach() for image in images]
    worst = min(float(logits[1] - logits[0]) for logits in leads)
    torch.testing.assert_close(-reached.logits[0, 0].item(), worst)
    torch.testing.assert_close(reached.leads[0, 0].item(), worst / 1.5)


def test_gradients_of_the_slack_by_hand() -> None:
    """Neuron 2's interval 0..1 around 0.5: raising w_c's size widens it, and only the missing side pushes."""
    network = tiny()
    low, high = torch.tensor([[[[1.0, 1, 0]]]]), torch.tensor([[[[1.0, 1, 1]]]])
    reached = propagate(network, low, high, torch.tensor([0]), affines_of(network))
    slack_loss(reached, 1.0).backward()
    # slack 1 = z_low of neuron 1 = a + b - 1.5: each of its two present weights would raise it.
    gradient = network.hidden[0].weighted.weights.latent.grad
    assert gradient[0].tolist() == [-0.5, -0.5, 0.0]
    assert network.hidden[0].norm.shift.grad[0] == -0.5


def test_the_batch_affine_is_what_training_mode_computes() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12), width=0.5)
    pixels, labels = torch.randint(0, 17, (32, 1, 8, 8)).float(), torch.randint(0, 10, (32,))
    affines = Affines()
    logits = network(pixels, affines.observe)
    reached = propagate(network, pixels, pixels, labels, affines.found)
    assert not any(bool(undecided.any()) for undecided in reached.undecided)
    own = logits.gather(1, labels[:, None])
    torch.testing.assert_close(-reached.logits, own - logits, rtol=1e-3, atol=1e-4)
    wider = propagate(network, (pixels - 1).clamp(min=0), (pixels + 1).clamp(max=16), labels, affines.found)
    assert bool((wider.leads <= reached.leads + 1e-4).all())
    torch.nn.functional.cross_entropy(wider.logits, labels).backward()
    assert all(layer.weighted.weights.mask.grad.abs().sum() > 0 for layer in network.layers)


def test_a_small_box_lies_in_the_ball_and_holds_its_corner() -> None:
    torch.manual_seed(0)
    clean = torch.randint(0, 17, (50, 1, 8, 8)).float()
    corner = (clean + torch.rand(clean.shape) * 4 - 2).clamp(0, 16)
    generator = torch.Generator().manual_seed(3)
    low, high = small_box(clean, corner, 2, 0.3, (0, 16), generator)
    assert bool((low <= corner).all() and (corner <= high).all())
    assert bool((low >= (clean - 2).clamp(min=0)).all() and (high <= (clean + 2).clamp(max=16)).all())
    free = low != high
    assert abs(free.float().mean().item() - 0.3) < 0.03
    assert torch.equal(low[free], (clean - 2).clamp(min=0)[free])
    assert all(torch.equal(end, corner) for end in small_box(clean, corner, 2, 0.0, (0, 16)))
    whole = small_box(clean, corner, 2, 1.0, (0, 16))
    assert torch.equal(whole[0], (clean - 2).clamp(min=0))
