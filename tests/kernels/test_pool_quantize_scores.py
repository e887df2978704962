"""Pooling, quantization and scores equal their oracles; ties go to the lowest index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_shapes import images, seeds, threads, windows

from bnnhw.kernels import (
    PixelThresholds,
    Window,
    max_pool,
    max_pool_oracle,
    pack,
    quantize,
    quantize_bits,
    quantize_bits_oracle,
    quantize_oracle,
    scores_argmax,
    scores_argmax_oracle,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(images, windows(padded=False), seeds, threads)
def test_pooling(n, window, seed, workers):
    rng = np.random.default_rng(seed)
    bits = pack(rng.random((n, window.image)) < rng.choice([0.1, 0.5, 0.9]))
    conjunctive = rng.random(window.channels) < 0.5
    assert max_pool(bits, conjunctive, window, workers) == max_pool_oracle(bits, conjunctive, window)


def test_pooling_is_or_and_where_marked_and():
    bits = pack(np.array([[1, 1, 0, 1, 0, 0]]))  # Three positions of two channels.
    window = Window(2, 1, 3, (1, 2))
    assert max_pool(bits, np.array([False, True]), window).unpack().tolist() == [[True, True, False, False]]
    with pytest.raises(ValueError, match="padding"):
        max_pool(bits, np.array([False, True]), Window(2, 1, 3, (1, 2), (1, 1), (0, 1)))
    with pytest.raises(ValueError, match="directions"):
        max_pool(bits, np.array([False]), window)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    images,
    st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 1, 2, 5, 255, 256]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seeds,
    threads,
    st.sampled_from([np.uint8, np.int16, np.int64]),
)
def test_quantization(n, shape, levels, shared, seed, workers, dtype):
    rng = np.random.default_rng(seed)
    low, high = (0, 255) if dtype is np.uint8 else (-40, 300)
    pixels = rng.integers(low, high + 1, (n, *shape)).astype(dtype)
    sides = [1 if share else size for share, size in zip(shared, shape, strict=True)]
    thresholds = PixelThresholds(rng.integers(low - 2, high + 3, (levels, *sides)).astype(np.int32))
    made = quantize(pixels, thresholds, workers)
    assert made.dtype == (np.uint8 if levels <= 255 else np.int16)
    assert np.array_equal(made, quantize_oracle(pixels, thresholds))
    if levels == 1:
        assert quantize_bits(pixels, thresholds, workers) == quantize_bits_oracle(pixels, thresholds)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_more_levels_than_16_bits_hold(dtype):
    pixels = np.array([[[[0, 1, 200]]]], dtype)
    thresholds = np.concatenate([np.full(40000, 1), np.full(3, 200)]).astype(np.int32)
    made = quantize(pixels, PixelThresholds(thresholds.reshape(-1, 1, 1, 1)))
    assert made.dtype == np.int32
    assert made.tolist() == [[[[0], [40000], [40003]]]]


def test_pixels_that_do_not_fit_are_refused():
    thresholds = PixelThresholds(np.zeros((1, 1, 2, 1), np.int32))
    with pytest.raises(ValueError, match="do not fit pixels"):
        quantize(np.zeros((1, 1, 3, 3), np.uint8), thresholds)
    with pytest.raises(ValueError, match="int32"):
        quantize(np.full((1, 1, 2, 1), 2**31), thresholds)
    with pytest.raises(ValueError, match="integers"):
        quantize(np.zeros((1, 1, 2, 1)), thresholds)
    with pytest.raises(ValueError, match="one threshold"):
        quantize_bits(np.zeros((1, 1, 2, 1), np.uint8), PixelThresholds(np.zeros((2, 1, 1, 1), np.int32)))
    with pytest.raises(ValueError, match="pixel thresholds"):
        PixelThresholds(np.zeros(3, np.int32))


@settings(derandomize=True, deadline=None)
@given(images, st.integers(1, 12), st.integers(0, 31), seeds)
def test_scores(n, classes, shift, seed):
    rng = np.random.default_rng(seed)
    sums = rng.integers(-2, 3, (n, classes)).astype(np.int32)
    sums[rng.random((n, classes)) < 0.1] = -(2**31)
    bias = (rng.integers(-2, 3, classes) << rng.integers(0, 30)).astype(np.int32)
    scores, winners = scores_argmax(sums, bias, shift)
    expected_scores, expected_winners = scores_argmax_oracle(sums, bias, shift)
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(winners, expected_winners)
    for row, winner in zip(scores.tolist(), winners.tolist(), strict=True):
        assert winner == row.index(max(row))


def test_scores_that_do_not_fit_are_refused():
    sums = np.zeros((2, 3), np.int32)
    for bad in (lambda: scores_argmax(sums, np.zeros(2, np.int32)), lambda: scores_argmax(sums[0], sums[0])):
        with pytest.raises(ValueError, match="must be int32"):
            bad()
    with pytest.raises(ValueError, match="shift"):
        scores_argmax(sums, np.zeros(3, np.int32), 32)
