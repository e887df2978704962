"""Forward values and gradients of the pieces, each against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.model import Conv, Dense
from bnnhw.model.reference import accumulate
from bnnhw.nn import BatchNorm, Binarize, BinConv2d, BinLinear, BinMask, ScalarBatchNorm


def test_binmask_is_the_sign_where_the_mask_is_not_negative() -> None:
    piece = BinMask((2, 3))
    piece.latent.data = torch.tensor([[0.5, -0.5, 0.0], [0.5, -0.5, 0.1]])
    piece.mask.data = torch.tensor([[0.1, 0.0, 0.3], [-0.1, -0.2, 0.0]])
    assert piece().tolist() == [[1, -1, 0], [0, 0, 1]]


def test_binmask_gradients_pass_straight_through() -> None:
    torch.manual_seed(0)
    piece = BinMask((4, 5), density=0.5)
    upstream = torch.randn(4, 5)
    piece().backward(upstream)
    present = (piece.mask >= 0).float()
    assert 0 < present.sum() < 20
    assert torch.equal(piece.latent.grad, upstream * present)
    assert torch.equal(piece.mask.grad, upstream * piece.latent.sign())


def test_mask_decay_pushes_present_weights_only_and_clamp_bounds_all() -> None:
    torch.manual_seed(0)
    piece = BinMask((4, 5), density=0.5)
    piece().sum().backward()
    before = piece.mask.grad.clone()
    piece.decay(0.25)
    assert torch.equal(piece.mask.grad, before + 0.25 * (piece.mask >= 0))
    piece.latent.data.mul_(1000)
    piece.mask.data.mul_(1000)
    piece.clamp()
    assert piece.latent.abs().max() == 1
    assert piece.mask.abs().max() == 1


def test_density_is_the_share_of_weights_present_at_the_start() -> None:
    torch.manual_seed(0)
    assert BinMask((100, 100))().abs().mean() == 1
    assert abs(BinMask((100, 100), density=0.3)().detach().abs().mean().item() - 0.3) < 0.02
    with pytest.raises(ValueError):
        BinMask((2, 2), density=0)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_binarize_is_a_step_with_the_gradient_of_tanh(scale: float) -> None:
    z = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    bits = Binarize(scale)(z)
    assert torch.equal(bits, (z >= 0).float())
    bits.backward(torch.full_like(bits, 2))
    torch.testing.assert_close(z.grad, 2 * (1 - torch.tanh(scale * z.detach()) ** 2))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), stride=st.integers(1, 3), padding=st.integers(0, 1), kernel=st.integers(2, 4))
def test_accumulators_equal_the_integer_reference(seed: int, stride: int, padding: int, kernel: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    levels = rng.integers(0, 256, (3, 2, 6, 5))
    piece = BinConv2d(2, 4, kernel, stride, padding, density=0.7).eval()
    weights = piece.ternary().detach().numpy().astype(np.int8)
    zeros, never = np.zeros(4, np.int32), np.zeros(4, bool)
    layer = Conv(weights, zeros, never, (stride, stride), (padding, padding))
    found = piece(torch.from_numpy(levels).float()).detach().numpy()
    assert np.array_equal(found, accumulate(layer, levels))
    dense = BinLinear(60, 4, density=0.7).eval()
    flat = Dense(dense.ternary().detach().numpy().astype(np.int8), zeros, never)
    sums = dense(torch.from_numpy(levels).float()).detach().numpy()
    assert np.array_equal(sums, accumulate(flat, levels)[:, :, 0, 0])


def test_rounding_in_eval_mode_keeps_the_gradient() -> None:
    piece = BinLinear(3, 2).eval()
    values = torch.tensor([[1.0, 0.0, 1.0]], requires_grad=True)
    piece(values).sum().backward()
    assert torch.equal(values.grad, piece.ternary().sum(dim=0, keepdim=True))


@pytest.mark.parametrize("shape", [(64, 5), (16, 5, 3, 2)])
def test_batch_norm_in_training_uses_the_batch_and_tracks_it_only_when_asked(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = BatchNorm(5)
    norm.scale.data = torch.tensor([1.0, -1.0, 0.5, 2.0, 1.0])
    norm.shift.data = torch.arange(5.0)
    values = torch.randint(-9, 9, shape).float()
    axes = [0, *range(2, len(shape))]
    side = (1, -1, *([1] * (len(shape) - 2)))
    mean, var = values.mean(axes), values.var(axes, correction=0)
    expected = (values - mean.view(side)) / (var + 1e-5).sqrt().view(side)
    expected = expected * norm.scale.view(side) + norm.shift.view(side)
    norm.track = False
    torch.testing.assert_close(norm(values), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(norm.mean, torch.zeros(5))
    norm.track = True
    norm(values)
    torch.testing.assert_close(norm.mean, 0.1 * mean)
    torch.testing.assert_close(
        norm.boundary(values), mean - norm.shift.detach() * (var + 1e-5).sqrt() / norm.scale.detach()
    )


def test_batch_norm_in_eval_is_double_precision_of_the_stored_state() -> None:
    norm = BatchNorm(2).eval()
    norm.mean.copy_(torch.tensor([0.1, -3.0]))
    norm.var.copy_(torch.tensor([2.0, 0.25]))
    out = norm(torch.tensor([[1.0, 2.0]]))
    assert out.dtype == torch.float64
    mean, var = norm.mean.double(), norm.var.double()
    torch.testing.assert_close(out, (torch.tensor([[1.0, 2.0]]).double() - mean) / (var + 1e-5).sqrt())


def test_the_scalar_norm_keeps_differences_of_accumulators() -> None:
    torch.manual_seed(0)
    norm = ScalarBatchNorm(4)
    values = torch.randint(0, 30, (50, 4)).float()
    out = norm(values)
    centred = values - values.mean(0)
    gain = 1 / (values.var(0, correction=0).mean() + 1e-5).sqrt()
    torch.testing.assert_close(out, centred * gain)
    torch.testing.assert_close(norm.mean, 0.1 * values.mean(0))
