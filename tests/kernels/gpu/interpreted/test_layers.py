"""Quantizing, pooling, scores and batch-norm statistics equal their oracles in Triton's interpreter."""

from tempfile import TemporaryFile

import numpy as np
import pytest
import torch
from gpu_images import Case
from gpu_operands import interpreted, seeds
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.kernels.gpu.batch_norm_statistics import batch_norm_statistics, batch_norm_statistics_oracle
from bnnhw.kernels.gpu.conv_oracle import conv_oracle
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.max_pool import max_pool, max_pool_kernel, max_pool_oracle
from bnnhw.kernels.gpu.packed_images import channel_words, pack_images
from bnnhw.kernels.gpu.quantize_pack import (
    quantize_pack,
    quantize_pack_kernel,
    quantize_pack_oracle,
    repeat_for_levels,
)
from bnnhw.kernels.gpu.scores_argmax import OutputLayer, scores_argmax, scores_argmax_oracle
from bnnhw.kernels.gpu.ternary_filters import ternary_filters


@interpreted(30)
@given(st.integers(1, 3), st.sampled_from([1, 2, 3, 33]), st.sampled_from([1, 2, 15, 40]), seeds, st.booleans())
def test_quantize_pack(images, channels, levels, seed, own):
    rng = np.random.default_rng(seed)
    dtype, low, high = (np.uint8, 0, 256) if rng.random() < 0.5 else (np.int32, -(2**31), 2**31)
    pixels = torch.from_numpy(rng.integers(low, high, (images, channels, 3, 5)).astype(dtype))
    sides = (levels, channels, 3, 5) if own else (levels, 1, 1, 1)
    thresholds = torch.from_numpy(np.sort(rng.integers(low, high, sides), axis=0).astype(np.int32))
    made = quantize_pack(pixels, thresholds)
    assert torch.equal(made.words, quantize_pack_oracle(pixels, thresholds).words)
    reached = made.unpack().reshape(images, channels, levels, 3, 5).sum(2)
    assert np.array_equal(reached, (pixels.numpy()[None] >= np.broadcast_to(
        thresholds.numpy(), (levels, channels, 3, 5))[:, None]).sum(0))  # fmt: skip


def test_weights_on_bits_sum_what_they_do_on_levels():
    rng = np.random.default_rng(1)
    pixels = torch.from_numpy(rng.integers(0, 256, (2, 3, 4, 4)).astype(np.uint8))
    thresholds = torch.arange(20, 240, 20, dtype=torch.int32).reshape(-1, 1, 1, 1)
    weights = rng.integers(-1, 2, (6, 3, 2, 2)).astype(np.int8)
    bits = quantize_pack(pixels, thresholds)
    levels = (pixels[None] >= thresholds[:, None]).sum(0).double()
    expected = torch.nn.functional.conv2d(levels, torch.from_numpy(weights).double()).permute(0, 2, 3, 1)
    assert torch.equal(conv_oracle(bits, ternary_filters(repeat_for_levels(weights, 11))).double(), expected)


@interpreted(30)
@given(st.sampled_from([1, 31, 32, 33, 70]), st.integers(1, 5), st.integers(1, 6), seeds)
def test_max_pool(channels, height, width, seed):
    rng = np.random.default_rng(seed)
    images = pack_images(rng.random((2, channels, height, width)) < rng.choice([0.1, 0.5, 0.9]))
    kernel = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    conjunctive = torch.from_numpy(channel_words(rng.random(channels) < 0.4))
    made = max_pool(images, kernel, stride, conjunctive)
    assert torch.equal(made.words, max_pool_oracle(images, kernel, stride, conjunctive).words)


@interpreted(25)
@given(st.sampled_from([1, 2, 10, 33]), st.sampled_from([1, 33, 64]), seeds, st.booleans())
def test_scores_and_classes(classes, channels, seed, binary):
    rng = np.random.default_rng(seed)
    case = Case(5, channels, (2, 3), classes, (2, 3), (1, 1), Padding(), binary)
    images, filters, _ = case.random(rng)
    # Few different scores, so that ties are common.
    layer = OutputLayer(filters, torch.from_numpy(rng.integers(-2, 3, classes).astype(np.int32)), int(rng.integers(3)))
    scores, winners = scores_argmax(images, layer)
    expected_scores, expected_winners = scores_argmax_oracle(images, layer)
    assert torch.equal(scores, expected_scores)
    assert torch.equal(winners, expected_winners)
    assert winners.tolist() == [row.index(max(row)) for row in scores.tolist()]


@interpreted(25)
@given(st.sampled_from([1, 31, 33, 100]), st.sampled_from([1, 31, 32, 33]), seeds)
def test_batch_norm_statistics(rows, columns, seed):
    rng = np.random.default_rng(seed)
    wide = torch.from_numpy(rng.integers(-(2**27), 2**27, (rows, columns + 2)).astype(np.int32))
    accumulators = wide[:, :columns]
    sums = batch_norm_statistics(accumulators)
    assert torch.equal(sums, batch_norm_statistics_oracle(accumulators))
    assert sums.tolist() == [
        [sum(c) for c in accumulators.T.tolist()],
        [sum(v * v for v in c) for c in accumulators.T.tolist()],
    ]


def far(elements: int) -> torch.Tensor:
    """int32 zeros of a file without content, in the middle of as many, so that a wrong address is one of them."""
    with TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, np.int32, "w+", shape=3 * elements))[elements : 2 * elements]


def test_thresholds_past_2_31():
    """The first 100 pixels of one large image, of whose 32 levels the last half are that far away."""
    height, width, levels = 2**13, 2**14, 32
    thresholds = far(levels * height * width).view(levels, height * width)
    pixels = torch.zeros(height * width, dtype=torch.uint8)
    near = torch.from_numpy(np.random.default_rng(1).integers(0, 4, (levels, 100)).astype(np.int32))
    thresholds[:, :100], pixels[:100] = near, 2
    out = torch.zeros(128, dtype=torch.int32)
    sides = 100, 1, height, width, levels, 1
    quantize_pack_kernel[(1,)](
        *(pixels, thresholds, out, *sides, height * width, 0, width, 1), PIXELS=128, BITS=32, CHUNK=8
    )
    expected = ((near <= 2).long() << torch.arange(32)[:, None]).sum(0).to(torch.int32)
    assert torch.equal(out[:100], expected)
    assert not out[100:].any()


def test_pooling_past_2_31():
    """Windows whose third row is that far away."""
    width = 2**30
    images = far(3 * width).view(3, width)
    below = torch.from_numpy(np.random.default_rng(2).integers(-(2**31), 2**31, 100).astype(np.int32))
    images[2, :100] = below
    out = torch.zeros(256, dtype=torch.int32)
    sides = 100, 3, width, 1, 1, width
    max_pool_kernel[(1,)](images, torch.zeros(1, dtype=torch.int32), out, *sides, 3, 1, 1, 1, WORDS=256)
    assert torch.equal(out[:100], below)
    assert not out[100:].any()


def test_what_does_not_fit_is_refused():
    images = pack_images(np.zeros((1, 3, 4, 4), bool))
    directions = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(ValueError, match="does not fit images 4x4"):
        max_pool(images, (5, 1), (1, 1), directions)
    with pytest.raises(ValueError, match=r"int32 words \[1\]"):
        max_pool(images, (2, 2), (1, 1), directions[:0])
    with pytest.raises(ValueError, match=r"contiguous int32 words \[2\].*strides \(2,\)"):
        max_pool(pack_images(np.zeros((1, 33, 4, 4), bool)), (2, 2), (1, 1), torch.zeros(4, dtype=torch.int32)[::2])
    with pytest.raises(ValueError, match="4100 levels of 1 channels"):
        quantize_pack(torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.zeros(4100, 1, 1, 1, dtype=torch.int32))
    with pytest.raises(ValueError, match="fit pixels"):
        quantize_pack(torch.zeros(1, 2, 1, 1, dtype=torch.uint8), torch.zeros(1, 3, 1, 1, dtype=torch.int32))
    filters = ternary_filters(np.ones((4, 3, 4, 4), np.int8))
    with pytest.raises(ValueError, match="3x4x4 bits, not 3x2x2"):
        scores_argmax(
            pack_images(np.zeros((1, 3, 2, 2), bool)), OutputLayer(filters, torch.zeros(4, dtype=torch.int32), 0)
        )
    with pytest.raises(ValueError, match=r"int32 \[4\]"):
        OutputLayer(filters, torch.zeros(5, dtype=torch.int32), 0)
    with pytest.raises(ValueError, match=r"contiguous int32 \[4\].*strides \(2,\)"):
        OutputLayer(filters, torch.zeros(8, dtype=torch.int32)[::2], 0)
    layer = OutputLayer(filters, torch.zeros(4, dtype=torch.int32), 0)
    out = torch.zeros(1, 4, dtype=torch.int64, device="meta"), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"int64 \[1, 4\] and \[1\] on cpu"):
        scores_argmax(images, layer, out)
    with pytest.raises(ValueError, match="unit stride"):
        batch_norm_statistics(torch.zeros(4, 4, dtype=torch.int32).t()[::2])
