"""A counter with a threshold is the neuron, for every sum that its inputs can make; saturation changes nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.hw_export.counting import counting
from bnnhw.model import Conv, Dense, Output


@st.composite
def neurons(draw):
    """A dense layer or one with thresholds by position, with thresholds around and far beyond what sums can reach."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    inputs, outputs, highest = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    weights = rng.integers(-1, 2, (outputs, inputs))
    less_equal = rng.random(outputs) < 0.5
    far = draw(st.sampled_from([1, 2, 2**31 // (inputs * highest + 1)]))
    if draw(st.booleans()):
        limits = rng.integers(-inputs * highest * far - 1, inputs * highest * far + 2, (outputs, 2, 3))
        return Conv(weights.reshape(outputs, inputs, 1, 1), limits, less_equal), highest
    limits = rng.integers(-inputs * highest * far - 1, inputs * highest * far + 2, outputs)
    return Dense(weights, limits, less_equal), highest


@settings(derandomize=True, deadline=None, max_examples=300)
@given(neurons())
def test_counts_decide_like_sums(drawn):
    layer, highest = drawn
    counts = counting(layer, highest)
    weights = layer.weights.reshape(len(layer.weights), -1)
    assert np.array_equal(weights != 0, counts.weights != 0)
    levels = np.indices((highest + 1,) * weights.shape[1]).reshape(weights.shape[1], -1)
    added = np.where(counts.weights[:, :, None] < 0, highest - levels, levels) * (counts.weights[:, :, None] != 0)
    count = np.minimum(added.sum(1), (1 << counts.width) - 1)
    sums = weights.astype(np.int64) @ levels
    limits = layer.threshold.reshape(len(weights), -1).astype(np.int64)
    assert counts.threshold.min() >= 0
    assert counts.threshold.max() < 1 << counts.width
    for place in range(limits.shape[1]):
        t = limits[:, place, None]
        bits = np.where(layer.less_equal[:, None], sums <= t, sums >= t)
        found = (count >= counts.threshold[:, place, None]) != counts.inverted[:, place, None]
        assert np.array_equal(found, bits)


def test_a_neuron_counts_whichever_side_is_smaller():
    """9 of 10 ones are at most 1 zero: a counter of one bit."""
    counts = counting(Dense(np.ones((1, 10), int), [9], [False]), 1)
    assert counts.width == 2
    assert counts.threshold.tolist() == [[2]]
    assert counts.inverted.tolist() == [[True]]
    assert (counts.weights == -1).all()


def test_scores_are_counts_and_a_bias():
    rng = np.random.default_rng(0)
    weights = rng.integers(-1, 2, (4, 5))
    counts = counting(Output(weights, [0, 0, 0, 0], 0), 3)
    levels = rng.integers(0, 4, (5, 100))
    added = np.where(weights[:, :, None] < 0, 3 - levels, levels) * (weights[:, :, None] != 0)
    assert np.array_equal(added.sum(1) - counts.bias[:, None], weights @ levels)
    assert added.sum(1).max() < 1 << counts.width
