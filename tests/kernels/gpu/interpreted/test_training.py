"""Thresholds of sums and the gradients of a layer equal their oracles in Triton's interpreter."""

import numpy as np
import pytest
import torch
from gpu_images import cases
from gpu_operands import interpreted, random_thresholds, same, seeds, sizes
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.kernels.gpu.conv_weight_gradient import conv_weight_gradient, conv_weight_gradient_oracle
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.norm_backward import Norm, norm_backward, norm_backward_oracle
from bnnhw.kernels.gpu.pack_threshold import pack_threshold, pack_threshold_oracle
from bnnhw.kernels.gpu.packed_images import pack_images


@interpreted(25)
@given(sizes, sizes, seeds)
def test_pack_threshold(rows, columns, seed):
    rng = np.random.default_rng(seed)
    sums = torch.from_numpy(rng.integers(-40, 41, (rows, columns + 3)).astype(np.int32))[:, :columns]
    thresholds = random_thresholds(rng, columns, 100)
    assert same(pack_threshold(sums, thresholds), pack_threshold_oracle(sums, thresholds))


def random_norm(rng: np.random.Generator, columns: int) -> Norm:
    def floats(low, high):
        return torch.from_numpy(rng.uniform(low, high, columns).astype(np.float32))

    return Norm(floats(-3, 3), floats(0.1, 1), floats(-2, 2), floats(-1, 1), torch.tensor([1.5]))


@interpreted(20)
@given(st.sampled_from([1, 2, 31, 33, 100]), st.sampled_from([1, 31, 32, 33]), seeds)
def test_norm_backward(rows, columns, seed):
    rng = np.random.default_rng(seed)
    accumulators = torch.from_numpy(rng.integers(-9, 10, (rows, columns)).astype(np.int32))
    gradients = torch.from_numpy(rng.normal(size=(rows, columns)).astype(np.float32))
    norm = random_norm(rng, columns)
    found = norm_backward(accumulators, gradients, norm)
    expected = norm_backward_oracle(accumulators, gradients, norm)
    for one, other in zip(found, expected, strict=True):
        # A sum of R terms, each of a few operations that round to 2^-24.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5 * rows**0.5)


def test_norm_backward_is_what_autograd_says():
    rng = np.random.default_rng(4)
    accumulators = torch.from_numpy(rng.integers(-9, 10, (50, 7)).astype(np.int32))
    scale = torch.from_numpy(rng.uniform(-2, 2, 7)).requires_grad_()
    shift = torch.from_numpy(rng.uniform(-1, 1, 7)).requires_grad_()
    a = accumulators.double().requires_grad_()
    z = torch.nn.functional.batch_norm(a, None, None, scale, shift, True, 0.1, 1e-5)
    g = torch.from_numpy(rng.normal(size=(50, 7)).astype(np.float32))
    # tanh(1.5 z) / 1.5 has the gradient that binarization is given.
    (torch.tanh(1.5 * z) / 1.5).backward(g.double())
    var, mean = torch.var_mean(accumulators.double(), 0, correction=0)
    norm = Norm(*(x.detach().float() for x in (mean, 1 / (var + 1e-5).sqrt(), scale, shift)), torch.tensor([1.5]))
    found = norm_backward_oracle(accumulators, g, norm)
    for one, other in zip(found, (a.grad, scale.grad, shift.grad), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


@interpreted(20)
@given(cases(), seeds, st.sampled_from([torch.float32, torch.float16]))
def test_weight_gradients(case, seed, dtype):
    rng = np.random.default_rng(seed)
    images, _, _ = case.random(rng)
    padding = Padding(case.padding.vertical, case.padding.horizontal)
    # Whole numbers, so that sums are exact and nothing has to be close.
    g = torch.from_numpy(rng.integers(-8, 9, (case.images, *case.out, case.outputs))).to(dtype)
    found = conv_weight_gradient(images, g, case.kernel, case.stride, padding)
    assert torch.equal(found, conv_weight_gradient_oracle(images, g, case.kernel, case.stride, padding))


def test_what_does_not_fit_is_refused():
    images = pack_images(np.zeros((1, 3, 4, 4), bool))
    g = torch.zeros(1, 3, 3, 5)
    with pytest.raises(ValueError, match="padded with zeros"):
        conv_weight_gradient(images, torch.zeros(1, 5, 5, 5), (2, 2), padding=Padding(1, 1, 1))
    with pytest.raises(ValueError, match=r"floats \[1, 2, 2, outputs\]"):
        conv_weight_gradient(images, g, (3, 3))
    norm = random_norm(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match=r"float32 \[R, 4\]"):
        norm_backward(torch.zeros(2, 4, dtype=torch.int32), torch.zeros(2, 5), norm)
    with pytest.raises(ValueError, match="unit stride"):
        pack_threshold(torch.zeros(4, 4, dtype=torch.int32).t(), random_thresholds(np.random.default_rng(1), 4, 9))
