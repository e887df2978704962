"""What convolutions take and make: packed images, ternary filters and thresholds by position."""

import logging

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from gpu_images import Case
from gpu_operands import POISON
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds
from bnnhw.kernels.gpu import conv, dispatch
from bnnhw.kernels.gpu.conv_oracle import conv_oracle
from bnnhw.kernels.gpu.conv_window import LARGEST_ROWS, Padding, window_over
from bnnhw.kernels.gpu.fragments import b_fragments
from bnnhw.kernels.gpu.packed_images import PackedImages, channel_words, pack_images
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds, position_thresholds
from bnnhw.kernels.gpu.ternary_filters import NO_TAP, ternary_filters

channels = st.sampled_from([1, 2, 31, 32, 33, 63, 64, 65, 96, 255, 256, 257])
sides = st.integers(1, 4)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(channels, sides, sides, st.integers(0, 2**32))
def test_images_keep_every_bit(count, height, width, seed):
    bits = np.random.default_rng(seed).random((2, count, height, width)) < 0.5
    packed = pack_images(bits)
    assert np.array_equal(packed.unpack(), bits)
    assert (packed.count, packed.height, packed.width, packed.channels) == (2, height, width, count)
    words = packed.words.numpy().view(np.uint32)
    # Each bit where the definition has it, and nothing else anywhere.
    assert np.bitwise_count(words).sum() == bits.sum()
    for c in {0, count // 2, count - 1}:
        assert np.array_equal((words[..., c // 32] >> (c % 32)) & 1, bits[:, c])
    for given_bits in (bits.astype(np.uint8), torch.from_numpy(bits), torch.from_numpy(bits).long()):
        assert torch.equal(pack_images(given_bits).words, packed.words)


def test_images_that_are_none_are_refused():
    with pytest.raises(ValueError, match="0 or 1"):
        pack_images(np.full((1, 1, 1, 1), 2))
    for wrong in (np.zeros((1, 1, 1)), np.zeros((1, 1, 1, 1)), np.zeros((1, 0, 1, 1), bool)):
        with pytest.raises(ValueError, match="non-empty array"):
            pack_images(wrong)
    words = torch.zeros(2, 3, 4, 2, dtype=torch.int32)
    turned = words.transpose(1, 2)
    for given_words, count in ((words, 32), (words, 65), (words.long(), 64), (turned, 64), (words[0], 64)):
        with pytest.raises(ValueError, match="contiguous int32 words"):
            PackedImages(given_words, count)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(channels, sides, sides, st.sampled_from([1, 15, 16, 17, 33]), st.booleans(), st.integers(0, 2**32))
def test_filters_keep_every_weight(count, height, width, outputs, binary, seed):
    rng = np.random.default_rng(seed)
    weights = rng.choice([-1, 1] if binary else [-1, 0, 1], (outputs, count, height, width)).astype(np.int8)
    weights[0, 0, 0, 0] = 1 if binary else 0
    filters = ternary_filters(weights)
    assert filters.binary == binary
    assert np.array_equal(filters.unpack(), weights)
    assert (filters.outputs, filters.channels, filters.kernel) == (outputs, count, (height, width))
    places = filters.taps[:3].numpy()
    inside = places[0] != NO_TAP
    assert sorted(map(tuple, places.T[inside])) == list(np.ndindex(height, width, -(-count // 32)))
    assert np.bitwise_count(filters.taps[3].numpy().view(np.uint32)).sum() == height * width * count
    for plane, marked in zip(filters.fragments.numpy(), (weights > 0, weights >= 0), strict=False):
        last = channel_words(marked.transpose(0, 2, 3, 1)).reshape(outputs, -1)
        padded = np.zeros((16 * len(plane), 8 * plane.shape[1]), np.int32)
        padded[:outputs, : last.shape[1]] = last
        for tile, block in np.ndindex(plane.shape[:2]):
            # In the instruction's own order, words of one parity come first.
            words = padded[tile * 16 :, block * 8 :][:16, [0, 2, 4, 6, 1, 3, 5, 7]]
            assert np.array_equal(plane[tile, block], b_fragments(words))


def test_filters_that_are_none_are_refused():
    one = np.ones((1, 1, 1, 1), np.int8)
    for wrong in (2 * one, -128 * one, one[0], one.astype(np.float32), one[:0]):
        with pytest.raises(ValueError, match="integers -1, 0 or"):
            ternary_filters(wrong)
    huge = np.broadcast_to(np.int8(1), (1, 32, 2**13, 2**11))
    with pytest.raises(ValueError, match="too large: split it"):
        ternary_filters(huge)


def test_thresholds_by_position_and_not():
    t = np.arange(12, dtype=np.int32).reshape(3, 2, 2)
    less_equal = np.array([True, False, True])
    made = position_thresholds(Thresholds(t, less_equal))
    # A sum is at most t exactly if it is not at least t + 1.
    assert made.limits.tolist() == [[1, 4, 9], [2, 5, 10], [3, 6, 11], [4, 7, 12]]
    assert made.flips.tolist() == [1, 0, 1]
    assert (made.positions, made.outputs) == (4, 3)
    assert position_thresholds(Thresholds(t[:, 0, 0], less_equal)).limits.tolist() == [[1, 4, 9]]
    limits, flips = torch.zeros(2, 3, dtype=torch.int32), torch.zeros(3, dtype=torch.int32)
    for wrong in (limits[0], limits.float(), limits[:, ::2], limits[:0]):
        with pytest.raises(ValueError, match="limits must be contiguous int32 of 2 axes"):
            PositionThresholds(wrong, flips)
    with pytest.raises(ValueError, match="one number of outputs"):
        PositionThresholds(limits, flips[:2])


def test_images_whose_words_32_bits_do_not_count_are_refused():
    filters = ternary_filters(np.ones((1, 33, 1, 1), np.int8)).to("meta")
    for width, padding, refused in ((2**15 - 1, 0, False), (2**15, 0, True), (2**15 - 1, 1, True)):
        images = PackedImages(torch.empty(1, 2**15, width, 2, dtype=torch.int32, device="meta"), 33)
        if refused:
            with pytest.raises(ValueError, match="too large: split it"):
                window_over(images, filters, (1, 1), Padding(0, padding))
        else:
            assert window_over(images, filters, (1, 1), Padding(0, padding)).width == width


def test_more_rows_than_32_bits_count_are_refused():
    filters = ternary_filters(np.ones((1, 1, 1, 1), np.int8)).to("meta")
    for count, refused in ((LARGEST_ROWS, False), (LARGEST_ROWS + 1, True)):
        images = PackedImages(torch.empty(count, 1, 1, 1, dtype=torch.int32, device="meta"), 1)
        if refused:
            with pytest.raises(ValueError, match="too many for one call"):
                window_over(images, filters, (1, 1), Padding())
        else:
            assert window_over(images, filters, (1, 1), Padding()).positions == 1


def test_the_host_runs_the_oracle(caplog, monkeypatch):
    # The variable is about GPUs.
    monkeypatch.setenv(conv.OVERRIDE, "popcount")
    case = Case(2, 33, (4, 3), 5, (2, 2), (1, 1), Padding(1, 0, 1), False)
    images, filters, thresholds = case.random(np.random.default_rng(6))
    expected = conv_oracle(images, filters, case.stride, case.padding)
    out = torch.full_like(expected, POISON)
    dispatch.log_once.cache_clear()
    with caplog.at_level(logging.DEBUG, dispatch.__name__):
        assert conv.ternary_conv(images, filters, case.stride, case.padding, out=out) is out
    assert caplog.messages == ["conv 20 x 5 x 8 words to sums: oracle (on the host)"]
    assert torch.equal(out, expected)
    bits = conv.ternary_conv_threshold(images, filters, thresholds, case.stride, case.padding)
    into = PackedImages(torch.full_like(bits.words, POISON), 5)
    assert conv.ternary_conv_threshold(images, filters, thresholds, case.stride, case.padding, "oracle", into) is into
    assert torch.equal(into.words, bits.words)


def test_tiles_are_as_wide_as_outputs_need():
    size = [dispatch.largest_that_fills(conv.TENSOR_CORE, 10**6, n, 132) for n in (10, 32, 64, 128, 512)]
    assert [(c.rows, c.columns) for c in size] == [(128, 32), (128, 32), (128, 64), (128, 128), (128, 128)]
