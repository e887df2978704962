"""Dense layers on bits and levels equal their oracles and the plain integer product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_shapes import (
    counts,
    images,
    instructions,
    outputs,
    random_thresholds,
    random_weights,
    seeds,
    threads,
)

from bnnhw.kernels import (
    LevelWeights,
    TernaryWeights,
    Thresholds,
    instruction_set,
    level_dense,
    level_dense_oracle,
    level_dense_threshold,
    level_dense_threshold_oracle,
    pack,
    pack_ternary,
    ternary_dense,
    ternary_dense_oracle,
    ternary_dense_threshold,
    ternary_dense_threshold_oracle,
    thresholds_oracle,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(images, counts, outputs, seeds, instructions, threads)
def test_bits(n, k, o, seed, name, workers):
    rng = np.random.default_rng(seed)
    bits, integers = rng.random((n, k)) < rng.choice([0.1, 0.5, 1.0]), random_weights(rng, o, k)
    activations, weights, thresholds = pack(bits), pack_ternary(integers), random_thresholds(rng, (o,))
    product = bits.astype(np.int64) @ integers.astype(np.int64).T
    with instruction_set.using(name):
        sums = ternary_dense(activations, weights, workers)
        made = ternary_dense_threshold(activations, weights, thresholds, workers)
    assert sums.dtype == np.int32
    assert np.array_equal(sums, product)
    assert np.array_equal(ternary_dense_oracle(activations, weights), product)
    assert made == ternary_dense_threshold_oracle(activations, weights, thresholds)
    t = thresholds.threshold.astype(np.int64)
    assert np.array_equal(made.unpack(), np.where(thresholds.less_equal, product <= t, product >= t))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(images, counts, outputs, seeds, instructions, threads, st.sampled_from([np.uint8, np.int16, np.int32]))
def test_levels(n, k, o, seed, name, workers, dtype):
    rng = np.random.default_rng(seed)
    highest = min(np.iinfo(dtype).max, 2**22)
    lowest = max(np.iinfo(dtype).min, -(2**22))
    levels, integers = rng.integers(lowest, highest + 1, (n, k)).astype(dtype), random_weights(rng, o, k)
    weights, thresholds = LevelWeights(integers), random_thresholds(rng, (o,), highest)
    product = levels.astype(np.int64) @ integers.astype(np.int64).T
    with instruction_set.using(name):
        sums = level_dense(levels, weights, workers)
        made = level_dense_threshold(levels, weights, thresholds, workers)
    assert np.array_equal(sums, product)
    assert np.array_equal(level_dense_oracle(levels, weights), product)
    assert made == level_dense_threshold_oracle(levels, weights, thresholds)


@pytest.mark.parametrize("name", instruction_set.available())
@pytest.mark.parametrize("words", [31, 32, 63, 157])
def test_many_words_of_ones(name, words):
    """The largest counts that a kernel keeps in narrow lanes."""
    k = 64 * words - 1
    activations = pack(np.ones((5, k), bool))
    weights = pack_ternary(np.repeat(np.array([[1], [-1], [0]], np.int8), k, axis=1))
    with instruction_set.using(name):
        assert ternary_dense(activations, weights).tolist() == [[k, -k, 0]] * 5


@pytest.mark.parametrize("k", [2047, 2048, 8192, 8193, 16131, 16132])
def test_the_largest_sums_of_many_rows(k):
    """On the matrix unit, sums share bytes in ways that depend on how large they can be."""
    rows = np.zeros((40, k), bool)
    rows[::3] = True
    signs = np.array([[1], [-1], [-1], [1]], np.int8)
    for weights in (np.repeat(signs, k, axis=1), np.repeat(np.vstack([signs, [[0]]]), k, axis=1)):
        sums = ternary_dense(pack(rows), pack_ternary(np.tile(weights, (20, 1))))
        assert np.array_equal(sums, np.tile(np.outer(rows[:, 0] * k, weights[:, 0]), 20))


@pytest.mark.parametrize("name", instruction_set.available())
def test_a_threshold_changes_the_bit_exactly_at_its_value(name):
    k = 130
    bits = np.tri(k + 1, k, -1, dtype=bool)
    signs = np.repeat(np.array([[1], [1], [-1], [-1]], np.int8), k, axis=1)
    with instruction_set.using(name):
        for t in (-k - 1, -k, -65, -1, 0, 1, 64, k, k + 1):
            thresholds = Thresholds(np.full(4, t, np.int32), np.array([False, True, False, True]))
            made = ternary_dense_threshold(pack(bits), pack_ternary(signs), thresholds).unpack()
            assert made.tolist() == [[s >= t, s <= t, -s >= t, -s <= t] for s in range(k + 1)]


@pytest.mark.parametrize("values", [(-1, 1), (-1, 0, 1)])
@pytest.mark.parametrize("name", instruction_set.available())
def test_large_enough_for_every_way_and_thread(name, values):
    """Many rows and outputs are multiplied in other ways than few, and so are weights without zeros."""
    rng = np.random.default_rng(5)
    bits, integers = rng.random((301, 700)) < 0.5, rng.choice(np.array(values, np.int8), (300, 700))
    activations, weights, thresholds = pack(bits), pack_ternary(integers), random_thresholds(rng, (300,))
    with instruction_set.using(name):
        sums = ternary_dense(activations, weights, 3)
        made = ternary_dense_threshold(activations, weights, thresholds, 3)
    assert np.array_equal(sums, bits.astype(np.int64) @ integers.astype(np.int64).T)
    assert made == pack(thresholds_oracle(sums, thresholds))


def test_sums_up_to_the_edge_of_int32():
    weights = LevelWeights(np.array([[1, 1], [-1, -1]], np.int8))
    levels = np.array([[2**30 - 1, 2**30 - 1]], np.int32)
    assert level_dense(levels, weights).tolist() == [[2**31 - 2, -(2**31) + 2]]
    with pytest.raises(ValueError, match="can sum to more"):
        level_dense(levels + np.int32(1), weights)
    # Zero weights do not count.
    assert level_dense(levels + np.int32(1), LevelWeights(np.array([[1, 0]], np.int8))).tolist() == [[2**30]]


def test_shapes_that_do_not_fit_are_refused():
    weights = pack_ternary(np.ones((2, 5), np.int8))
    with pytest.raises(ValueError, match="5-bit strings"):
        ternary_dense(pack(np.ones((3, 6), bool)), weights)
    with pytest.raises(ValueError, match="thresholds have shape"):
        ternary_dense_threshold(
            pack(np.ones((3, 5), bool)), weights, Thresholds(np.zeros(3, np.int32), np.zeros(3, bool))
        )
    with pytest.raises(ValueError, match="threads"):
        ternary_dense(pack(np.ones((3, 5), bool)), weights, 0)
    with pytest.raises(ValueError, match=r"shape \[N, 5\]"):
        level_dense(np.zeros((2, 4), np.uint8), LevelWeights(np.ones((2, 5), np.int8)))
    with pytest.raises(ValueError, match="-1, 0 or"):
        pack_ternary(np.array([[2]]))
    with pytest.raises(ValueError, match="both planes"):
        TernaryWeights(pack([[True]]), pack([[True]]))
    with pytest.raises(ValueError, match="int32"):
        Thresholds(np.zeros(3, np.int64), np.zeros(3, bool))
    with pytest.raises(ValueError, match="directions"):
        Thresholds(np.zeros(3, np.int32), np.zeros(2, bool))


def test_an_unknown_instruction_set_is_refused_and_changes_nothing():
    before = instruction_set.selected()
    with pytest.raises(ValueError, match="choose one of"):
        instruction_set.select("mmx")
    assert instruction_set.selected() == before
