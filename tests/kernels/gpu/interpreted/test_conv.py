"""The portable convolution equals the oracle in Triton's interpreter, and the oracle equals torch's convolution."""

from functools import partial

import numpy as np
import pytest
import torch
from gpu_images import Case, cases, check_conv, guarded
from gpu_operands import interpreted, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds
from bnnhw.kernels.gpu.bipolar_conv import (
    bipolar_conv,
    bipolar_conv_oracle,
    bipolar_thresholds,
    counted_weights,
    padding_of,
)
from bnnhw.kernels.gpu.conv import select_conv, ternary_conv, ternary_conv_threshold
from bnnhw.kernels.gpu.conv_oracle import conv_oracle
from bnnhw.kernels.gpu.conv_popcount import CONFIGURATIONS, conv_popcount, conv_popcount_threshold
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.packed_images import pack_images
from bnnhw.kernels.gpu.position_thresholds import position_thresholds


@settings(derandomize=True, deadline=None, max_examples=100)
@given(cases(), seeds)
def test_the_oracle_equals_torch(case, seed):
    images, filters, _ = case.random(np.random.default_rng(seed))
    p = case.padding
    around = (p.horizontal, p.horizontal, p.vertical, p.vertical)
    bits = torch.nn.functional.pad(torch.from_numpy(images.unpack()).double(), around, value=p.bit)
    weights = torch.from_numpy(filters.unpack()).double()
    expected = torch.nn.functional.conv2d(bits, weights, stride=case.stride).permute(0, 2, 3, 1)
    assert torch.equal(conv_oracle(images, filters, case.stride, p).double(), expected)


@interpreted(25)
@given(cases(), seeds, st.sampled_from(CONFIGURATIONS))
def test_sums_and_bits_equal_the_oracle(case, seed, configuration):
    with_it = (partial(of, configuration=configuration) for of in (conv_popcount, conv_popcount_threshold))
    check_conv(case, seed, *with_it, "cpu")


@pytest.mark.parametrize("channels", [33, 65])
def test_ones_around_an_image_are_of_its_channels_only(channels):
    # Binary weights, since only then are the activations' own bits counted.
    case = Case(1, channels, (3, 2), 5, (2, 3), (1, 1), Padding(2, 1, 1), True)
    check_conv(case, 3, conv_popcount, conv_popcount_threshold, "cpu")


def test_a_flipped_bit_shows_exactly_under_its_windows():
    case = Case(1, 33, (5, 5), 20, (2, 3), (1, 1), Padding(1, 0), True)
    images, filters, _ = case.random(np.random.default_rng(2))
    bits = images.unpack()
    bits[0, 32, 2, 4] ^= True
    sums = conv_popcount(pack_images(bits), filters, case.stride, case.padding)
    different = (sums != conv_oracle(images, filters, case.stride, case.padding))[0]
    assert different.all(-1).nonzero().tolist() == different.any(-1).nonzero().tolist() == [[2, 2], [3, 2]]


@pytest.mark.parametrize("backend", ["popcount", "oracle"])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_values_of_plus_and_minus_one(value, backend):
    rng = np.random.default_rng(value + 7)
    values = rng.choice(np.array([-1, 1], np.int8), (2, 5, 4, 5))
    case = Case(2, 5, (4, 5), 7, (3, 2), (1, 2), padding_of((2, 1), value), False)
    _, filters, _ = case.random(rng)
    images, pads = pack_images(values > 0), (2, 1)
    expected = bipolar_conv_oracle(values, filters.unpack(), case.stride, pads, value)
    counted = counted_weights(filters, 4, 5, case.stride, pads, value)
    with guarded(torch.from_numpy(expected), "cpu") as out:
        assert bipolar_conv(images, filters, torch.from_numpy(counted), case.stride, pads, value, backend, out) is out
    with pytest.raises(ValueError, match=r"weights that count must be contiguous int32 \[\d+ or 1, 7\]"):
        bipolar_conv(images, filters, torch.from_numpy(counted[:, :6]), case.stride, pads, value, backend)
    for t in range(-6, 7):
        thresholds = position_thresholds(Thresholds(np.full(7, t, np.int32), np.arange(7) % 2 == 0))
        mapped = bipolar_thresholds(thresholds, counted)
        bits = ternary_conv_threshold(images, filters, mapped, case.stride, case.padding, backend)
        wanted = np.where(np.arange(7) % 2 == 0, expected <= t, expected >= t)
        assert np.array_equal(bits.unpack().transpose(0, 2, 3, 1), wanted)


def test_which_kernel():
    assert select_conv((9, 0), 10**6, 64, 18) == select_conv((8, 0), 1, 10, 4) == "tensor_core"
    assert select_conv((9, 0), 10**6, 64, 3) == select_conv((10, 0), 10**6, 64, 18) == "popcount"
    assert select_conv(None, 10**6, 64, 18) == select_conv((7, 5), 10**6, 64, 18) == "popcount"
    images, filters, _ = Case(1, 3, (4, 4), 5, (2, 2), (1, 1), Padding(), False).random(np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs its operands on a GPU"):
        ternary_conv(images, filters, backend="tensor_core")
    with pytest.raises(ValueError, match="no backend 'magic'"):
        ternary_conv(images, filters, backend="magic")
