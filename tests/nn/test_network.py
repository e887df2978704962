"""Whole networks: shapes, the named architectures, and what `frozen` promises."""

from __future__ import annotations

import pytest
import torch

from bnnhw.nn import (
    ARCHITECTURES,
    BatchNorm,
    BinConv2d,
    BinLinear,
    HiddenLayer,
    InputQuantizer,
    MaxPool,
    Network,
    OutputLayer,
    ScalarBatchNorm,
    build,
)

WEIGHTS = {
    ("mnist-mlp", (1, 28, 28)): 623_000,
    ("conv-small", (1, 28, 28)): 166_248,
    ("conv-small", (3, 32, 32)): 214_760,
    ("conv-large", (1, 28, 28)): 1_973_536,
    ("conv-large", (3, 32, 32)): 2_465_632,
    ("sfc", (1, 28, 28)): 334_336,
    ("lfc", (1, 28, 28)): 2_910_208,
    ("cnv", (3, 32, 32)): 1_542_848,
    ("vgg-small", (3, 32, 32)): 14_022_016,
}
SHAPE, TINY = (3, 32, 32), {"quantizer": (100,), "width": 0.05}


@pytest.mark.parametrize(("arch", "shape"), list(WEIGHTS))
def test_published_weight_counts(arch: str, shape: tuple[int, int, int]) -> None:
    network = build(arch, shape, (0, 255), 10, quantizer=0.61)
    assert sum(layer.weighted.weights.latent.numel() for layer in network.layers) == WEIGHTS[arch, shape]


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch != "cnv"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13)])
def test_any_image_shape_and_number_of_classes(arch: str, shape: tuple[int, int, int]) -> None:
    network = build(arch, shape, (0, 16), 7, quantizer=(4, 9), width=0.25)
    pixels = torch.randint(0, 17, (5, *shape)).float()
    assert network(pixels).shape == (5, 7)
    assert network(pixels).dtype == torch.float32
    assert network.eval()(pixels).dtype == torch.float64
    bits, logits = network.trace(pixels)
    assert len(bits) == len(network.layers) - 1
    assert logits.shape == (5, 7)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_width_scales_every_hidden_layer(arch: str) -> None:
    whole, half = (build(arch, (1, 32, 32), (0, 255), 10, quantizer=0.61, width=w).layers for w in (0.25, 0.125))
    for one, other in zip(whole[:-1], half[:-1], strict=True):
        assert other.norm.shift.numel() == round(one.norm.shift.numel() / 2)


def test_pooling_halves_the_image_where_the_published_networks_do() -> None:
    pools = {
        arch: [(layer.pool.kernel if layer.pool else 0) for layer in build(arch, SHAPE, (0, 255), 10, **TINY).hidden]
        for arch in ("conv-small-pool", "conv-large-pool", "cnv", "vgg-small")
    }
    assert pools["conv-small-pool"] == [2, 2, 0]
    assert pools["conv-large-pool"] == [0, 2, 0, 2, 0, 0]
    assert pools["cnv"] == [0, 2, 0, 2, 0, 0, 0, 0]
    assert pools["vgg-small"] == [0, 2, 0, 2, 0, 2, 0, 0]
    vgg = build("vgg-small", SHAPE, (0, 255), 10, **TINY)
    assert all(layer.pool_first for layer in vgg.hidden if layer.pool)
    cnv = build("cnv", SHAPE, (0, 255), 10, **TINY)
    assert not any(layer.pool_first for layer in cnv.hidden)
    assert all(layer.weighted.padding == 0 for layer in cnv.hidden[:6])


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="conv-small"):
        build("resnet", (1, 28, 28), (0, 255), 10, quantizer=0.61)
    with pytest.raises(ValueError, match="too small"):
        build("conv-small", (1, 1, 1), (0, 255), 10, quantizer=0.61)
    with pytest.raises(ValueError, match="28x28 are too small for cnv"):
        build("cnv", (1, 28, 28), (0, 255), 10, quantizer=0.61)
    hidden, output = [HiddenLayer(BinLinear(5, 3), BatchNorm(3))], OutputLayer(BinLinear(3, 2), ScalarBatchNorm(2))
    with pytest.raises(ValueError, match="do not fit"):
        Network(InputQuantizer((1,), (0, 1)), hidden, output, (1, 2, 2))
    wide, quantizer = [HiddenLayer(BinLinear(1 << 16, 3), BatchNorm(3))], InputQuantizer(range(1, 257), (0, 256))
    with pytest.raises(ValueError, match="float32"):
        Network(quantizer, wide, output, (1, 256, 256))
    with pytest.raises(ValueError, match="pooling"):
        HiddenLayer(BinLinear(5, 3), BatchNorm(3), pool=MaxPool(2))


def test_pooling_bits_is_their_or() -> None:
    torch.manual_seed(0)
    plain = HiddenLayer(BinConv2d(1, 4, 3, 1, 1), BatchNorm(4))
    pooled = HiddenLayer(plain.weighted, plain.norm, plain.binarize, MaxPool(2))
    values = torch.randint(0, 2, (6, 1, 8, 8)).float()
    bits = plain.eval()(values).bool()
    windows = bits.unfold(2, 2, 2).unfold(3, 2, 2)
    assert torch.equal(pooled.eval()(values).bool(), windows.any(-1).any(-1))


def test_frozen_passes_change_nothing_and_give_no_weight_gradients() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 9))
    pixels = torch.randint(0, 17, (9, 1, 8, 8)).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    outside = network(pixels)
    network.load_state_dict(before)
    with network.frozen():
        moving = pixels.clone().requires_grad_()
        inside = network(moving)
        (gradient,) = torch.autograd.grad(inside.square().sum(), moving)
    assert torch.equal(inside, outside)
    assert gradient.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    network(pixels).sum().backward()
    assert not torch.equal(network.layers[0].norm.mean, before["hidden.0.norm.mean"])


def test_frozen_ends_even_when_the_adversary_fails() -> None:
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 9))
    with pytest.raises(RuntimeError), network.frozen():
        raise RuntimeError
    assert all(layer.weighted.held is None and layer.norm.track for layer in network.layers)
    assert all(parameter.requires_grad for parameter in network.parameters())
