"""The other weights: ternary by a threshold, bits, and real ones; each against its formula."""

from __future__ import annotations

import pytest
import torch

from bnnhw.nn import Binarize, BinaryWeight, RealWeight, TernaryWeight, build, set_gradient, use_weights
from bnnhw.train import LoweringError, lower


def test_ternary_weights_are_the_sign_beyond_a_threshold() -> None:
    piece = TernaryWeight((2, 3), 0.617)
    piece.latent.data = torch.tensor([[0.5, -0.5, 0.0], [0.005, -0.004, -0.005]])
    assert piece().tolist() == [[1, -1, 0], [1, 0, -1]]
    upstream = torch.randn(2, 3)
    piece().backward(upstream)
    assert torch.equal(piece.latent.grad, upstream)
    piece.decay(0.25)
    torch.testing.assert_close(piece.latent.grad, upstream + 0.25 * piece().detach())
    piece.latent.data.mul_(1000)
    piece.clamp()
    assert piece.latent.abs().max() == 1


@pytest.mark.parametrize("density", [0.1, 0.617, 0.9])
def test_the_spread_of_ternary_weights_makes_the_density(density: float) -> None:
    torch.manual_seed(0)
    piece = TernaryWeight((200, 200), density)
    assert abs(piece().detach().abs().mean().item() - density) < 0.01
    if density == 0.617:
        assert abs(piece.latent.std().item() - 0.01) < 1e-4


def test_bits_keep_their_absent_places_and_pass_gradients_to_the_others() -> None:
    torch.manual_seed(0)
    piece = BinaryWeight((50, 50), 0.3)
    weights = piece()
    assert set(piece.latent.unique().tolist()) == {-1.0, 1.0}
    assert abs(weights.detach().abs().mean().item() - 0.3) < 0.03
    upstream = torch.randn(50, 50)
    weights.backward(upstream)
    assert torch.equal(piece.latent.grad, upstream * piece.present)


@pytest.mark.parametrize("kind", [TernaryWeight, BinaryWeight])
def test_an_impossible_density_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match="density"):
        kind((2, 2), 0.0)
    with pytest.raises(ValueError, match="density"):
        kind((2, 2), 1.5)


def test_the_hard_window_passes_what_lies_inside() -> None:
    z = torch.tensor([-0.6, -0.5, 0.0, 0.4, 0.51], requires_grad=True)
    bits = Binarize(2.0, hard=True)(z)
    assert bits.tolist() == [0, 0, 1, 1, 1]
    bits.backward(torch.full((5,), 3.0))
    assert z.grad.tolist() == [0, 3, 3, 3, 0]


@pytest.mark.parametrize("kind", ["ternary", "binary"])
def test_a_network_with_other_weights_is_lowered_as_it_computes(kind: str) -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12), width=0.5)
    use_weights(network, kind, 0.4)
    network.eval()
    for layer, integers in zip(network.hidden, lower(network).hidden, strict=True):
        assert layer.weighted.ternary().tolist() == integers.weights.tolist()
    assert all(abs(share - 0.4) < 0.1 for share in network.density())


def test_binmask_weights_are_kept() -> None:
    network = build("mnist-mlp", (1, 8, 8), (0, 16), 10, quantizer=(4,), width=0.1)
    before = [layer.weighted.weights for layer in network.layers]
    use_weights(network, "binmask", 0.5)
    assert all(layer.weighted.weights is kept for layer, kept in zip(network.layers, before, strict=True))


def test_a_real_network_computes_with_rectified_sums_and_has_no_integer_model() -> None:
    torch.manual_seed(0)
    network = build("mnist-mlp", (1, 8, 8), (0, 16), 10, quantizer=(4,), width=0.1)
    use_weights(network, "real", 1.0)
    network.eval()
    pixels = torch.randint(0, 17, (5, 1, 8, 8)).float()
    values = network.quantizer(pixels).flatten(1)
    for layer in network.hidden:
        assert isinstance(layer.weighted.weights, RealWeight)
        norm = layer.norm
        z = values.double() @ layer.weighted.weights.latent.double().T - norm.mean
        values = (z / (norm.var.double() + 1e-5).sqrt()).clamp(min=0).float()
    logits = values.double() @ network.output.weighted.weights.latent.double().T
    torch.testing.assert_close(network(pixels), logits / (1 + 1e-5) ** 0.5, rtol=1e-4, atol=1e-4)
    with pytest.raises(LoweringError, match="real weights"):
        lower(network)


def test_the_gradient_of_every_layer_is_set() -> None:
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4,))
    set_gradient(network, 2.5, hard=True)
    assert all(layer.binarize.hard and layer.binarize.scale == 2.5 for layer in network.hidden)
