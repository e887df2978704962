"""Convolutions on bits and levels equal their oracles; the oracle equals the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_shapes import (
    images,
    instructions,
    outputs,
    random_thresholds,
    random_weights,
    seeds,
    threads,
    threshold_shape,
    windows,
)

from bnnhw.kernels import (
    LevelWeights,
    Window,
    instruction_set,
    level_conv,
    level_conv_oracle,
    level_conv_threshold,
    level_conv_threshold_oracle,
    pack,
    pack_ternary,
    ternary_conv,
    ternary_conv_oracle,
    ternary_conv_threshold,
    ternary_conv_threshold_oracle,
    window_order,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(images, windows(), outputs, seeds, instructions, threads)
def test_bits(n, window, o, seed, name, workers):
    rng = np.random.default_rng(seed)
    activations = pack(rng.random((n, window.image)) < 0.5)
    weights = pack_ternary(random_weights(rng, o, window.patch))
    thresholds = random_thresholds(rng, threshold_shape(rng, window, o))
    with instruction_set.using(name):
        sums = ternary_conv(activations, weights, window, workers)
        made = ternary_conv_threshold(activations, weights, thresholds, window, workers)
    assert np.array_equal(sums, ternary_conv_oracle(activations, weights, window))
    assert made == ternary_conv_threshold_oracle(activations, weights, thresholds, window)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(images, windows(), outputs, seeds, instructions, threads, st.sampled_from([np.uint8, np.int16, np.int32]))
def test_levels(n, window, o, seed, name, workers, dtype):
    rng = np.random.default_rng(seed)
    highest = int(rng.choice([2, 15, 255, min(np.iinfo(dtype).max, 2**18)]))
    levels = rng.integers(0, highest + 1, (n, window.height, window.width, window.channels)).astype(dtype)
    weights = LevelWeights(random_weights(rng, o, window.patch))
    thresholds = random_thresholds(rng, threshold_shape(rng, window, o), highest)
    with instruction_set.using(name):
        sums = level_conv(levels, weights, window, workers)
        made = level_conv_threshold(levels, weights, thresholds, window, workers)
    assert np.array_equal(sums, level_conv_oracle(levels, weights, window))
    assert made == level_conv_threshold_oracle(levels, weights, thresholds, window)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(windows(largest=5), st.integers(1, 3), seeds)
def test_the_oracle_follows_the_definition(window, o, seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, (1, window.height, window.width, window.channels)).astype(np.uint8)
    weights = random_weights(rng, o, window.patch).reshape(o, *window.kernel, window.channels)
    made = level_conv_oracle(levels, LevelWeights(weights.reshape(o, -1)), window)
    for y in range(window.rows):
        for x in range(window.columns):
            expected = np.zeros(o, np.int64)
            for i in range(window.kernel[0]):
                for j in range(window.kernel[1]):
                    row = y * window.stride[0] + i - window.padding[0]
                    column = x * window.stride[1] + j - window.padding[1]
                    if 0 <= row < window.height and 0 <= column < window.width:
                        expected += weights[:, i, j].astype(np.int64) @ levels[0, row, column].astype(np.int64)
            assert made[0, y, x].tolist() == expected.tolist()


def test_window_order_is_kernel_row_kernel_column_channel():
    weights = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) % 3 - 1
    ordered = window_order(weights.astype(np.int8))
    assert ordered[1, (2 * 5 + 4) * 3 + 1] == weights[1, 1, 2, 4]


def test_shapes_that_do_not_fit_are_refused():
    window = Window(3, 4, 4, (2, 2))
    weights = pack_ternary(np.ones((2, 12), np.int8))
    with pytest.raises(ValueError, match="48-bit strings"):
        ternary_conv(pack(np.ones((1, 47), bool)), weights, window)
    with pytest.raises(ValueError, match="as many weights"):
        ternary_conv(pack(np.ones((1, 48), bool)), pack_ternary(np.ones((2, 11), np.int8)), window)
    thresholds = random_thresholds(np.random.default_rng(0), (2, 3, 4))
    with pytest.raises(ValueError, match="its thresholds have shape"):
        ternary_conv_threshold(pack(np.ones((1, 48), bool)), weights, thresholds, window)
    with pytest.raises(ValueError, match="levels must be"):
        level_conv(np.zeros((1, 4, 4, 3)), LevelWeights(np.ones((2, 12), np.int8)), window)
    with pytest.raises(ValueError, match="does not fit the padded image"):
        Window(1, 2, 2, (3, 3))
    with pytest.raises(ValueError, match="positive"):
        Window(1, 2, 2, (1, 1), (0, 1))
