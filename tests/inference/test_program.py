"""A compiled program equals reference inference, value by value, on every kind of model."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_model, random_pixels

from bnnhw.inference import compile, first_difference
from bnnhw.kernels import instruction_set
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, ModelError, Output, Quantizer, reference

seeds = st.integers(0, 2**32 - 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(models(), seeds, st.sampled_from(instruction_set.available()), st.sampled_from([1, 3, 1024]))
def test_random_models(model, seed, name, batch):
    pixels = random_pixels(np.random.default_rng(seed), model, 7)
    with instruction_set.using(name):
        program = compile(model, threads=1, batch=batch)
        assert first_difference(model, program, pixels) is None
        expected = reference.trace(model, pixels)
        assert np.array_equal(program(pixels), expected.scores)
        assert np.array_equal(program.predict(pixels), expected.predictions)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(seeds, st.sampled_from([27, 28, 64, 91, 92, 300]))
def test_many_images_in_lanes(seed, images):
    """Where 64 images go through tables together, with lanes that stay empty and images left over."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 8, 3))
    model = random_model(rng, shape, *(int(n) for n in rng.integers([1, 0, 1], [6, 4, 12])))
    pixels = random_pixels(rng, model, images).astype(np.uint8)
    program = compile(model, threads=2)
    expected = reference.trace(model, pixels)
    assert np.array_equal(program(pixels), expected.scores)
    assert np.array_equal(program.predict(pixels), expected.predictions)


@pytest.mark.parametrize("name", instruction_set.available())
def test_a_padded_kernel_as_large_as_its_image_is_no_dense_layer(name):
    """Its only position is moved by the padding."""
    rng = np.random.default_rng(0)
    layer = Conv(rng.integers(-1, 2, (3, 1, 4, 4)), rng.integers(-2, 3, 3), [False] * 3, (10, 10), (1, 1))
    model = IntegerModel(Quantizer((1, 4, 4), [1], 0, 1), (layer,), Output(rng.integers(-1, 2, (4, 3)), [0] * 4))
    pixels = random_pixels(rng, model, 50)
    with instruction_set.using(name):
        assert np.array_equal(compile(model)(pixels), reference.scores(model, pixels))
        assert np.array_equal(compile(model)(pixels.astype(np.uint8)), reference.scores(model, pixels))


@pytest.mark.parametrize("levels", [1, 4])
def test_many_images_through_wide_layers(levels):
    """Counts of one byte and of two, codes of pixels and of kernel rows, thresholds shared and by position."""
    rng = np.random.default_rng(levels)

    def conv(out, channels, kernel, stride, padding, made):
        weights = rng.integers(-1, 2, (out, channels, kernel, kernel))
        return Conv(weights, rng.integers(-4, 5, made), rng.random(out) < 0.5, (stride, stride), (padding, padding))

    layers = (
        conv(13, 2, 3, 1, 1, (13, 8, 8)),
        conv(40, 13, 4, 2, 1, (40,)),
        MaxPool((2, 2), (2, 2), rng.random(40) < 0.5),
        Dense(rng.integers(-1, 2, (333, 160)), rng.integers(-4, 5, 333), rng.random(333) < 0.5),
        Dense(rng.integers(-1, 2, (9, 333)), rng.integers(-4, 5, 9), rng.random(9) < 0.5),
    )
    cuts = np.sort(rng.integers(0, 256, (levels, 2, 8, 8)), axis=0)
    model = IntegerModel(
        Quantizer((2, 8, 8), cuts), layers, Output(rng.integers(-1, 2, (11, 9)), rng.integers(-3, 4, 11))
    )
    pixels = rng.integers(0, 256, (389, 2, 8, 8)).astype(np.uint8)
    assert np.array_equal(compile(model)(pixels), reference.scores(model, pixels))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.sampled_from([1, 2, 300]),
    st.integers(0, 1),
    st.sampled_from([3, 8]),
    seeds,
    st.sampled_from(instruction_set.available()),
)
def test_models_with_wide_layers(levels, hidden, channels, seed, name):
    """Channel counts around word boundaries, strides, padding, pooling and per-position thresholds in one model."""
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.integers(-1, 2, shape)

    def limits(*shape):
        return rng.integers(-6, 7, shape)

    layers = [
        Conv(weights(17, channels, 3, 3), limits(17, 9, 7), rng.random(17) < 0.5, (1, 1), (1, 0)),
        MaxPool((2, 3), (2, 2), rng.random(17) < 0.5),
        Conv(weights(65, 17, 3, 2), limits(65), rng.random(65) < 0.5, (2, 1), (2, 1)),
        *([Dense(weights(70, 65 * 3 * 4), limits(70), rng.random(70) < 0.5)] * hidden),
    ]
    thresholds = np.sort(rng.integers(-50, 51, (levels, 1, 9, 9)), axis=0)
    last = 70 if hidden else 65 * 3 * 4
    model = IntegerModel(
        Quantizer((channels, 9, 9), thresholds, -50, 50), tuple(layers), Output(weights(10, last), limits(10), 2)
    )
    pixels = random_pixels(rng, model, 5)
    with instruction_set.using(name):
        program = compile(model)
        assert first_difference(model, program, pixels) is None
        assert np.array_equal(program(pixels), reference.scores(model, pixels))


@pytest.mark.parametrize("levels", [1, 3])
def test_a_model_without_hidden_layers(levels):
    rng = np.random.default_rng(levels)
    model = IntegerModel(
        Quantizer((2, 3, 3), np.arange(1, levels + 1) * 60), (), Output(rng.integers(-1, 2, (4, 18)), [0, 1, -1, 0], 3)
    )
    pixels = random_pixels(rng, model, 50).astype(np.uint8)
    assert np.array_equal(compile(model)(pixels), reference.scores(model, pixels))


def test_ties_go_to_the_lowest_index():
    model = IntegerModel(Quantizer((1, 1, 1), [1]), (), Output(np.zeros((4, 1), int), [1, 3, 3, 0]))
    program = compile(model)
    assert program(np.zeros((2, 1, 1, 1), np.uint8)).tolist() == [[1, 3, 3, 0]] * 2
    assert program.predict(np.zeros((2, 1, 1, 1), np.uint8)).tolist() == [1, 1]


@pytest.mark.parametrize("extreme", [-(2**31), -(2**31) + 1, 2**31 - 2, 2**31 - 1])
def test_extreme_thresholds(extreme):
    flipped = np.array([False, True])
    layers = (
        Dense([[1, 1, -1], [1, -1, -1]], [extreme] * 2, flipped),
        Dense(np.eye(2, dtype=int), [1, 1], [False] * 2),
    )
    model = IntegerModel(Quantizer((3, 1, 1), [1, 2]), layers, Output(np.eye(2, dtype=int), [0, 0]))
    pixels = np.array([[0, 0, 2], [2, 2, 0], [1, 0, 1]], np.uint8)[:, :, None, None]
    always = [int(extreme < 0), int(extreme > 0)]
    assert compile(model)(pixels).tolist() == [always] * 3 == reference.scores(model, pixels).tolist()


def test_no_images_give_no_scores():
    model = random_model(np.random.default_rng(0), (1, 4, 4), classes=3)
    program = compile(model)
    assert program(np.zeros((0, 1, 4, 4), np.uint8)).shape == (0, 3)
    assert program.predict(np.zeros((0, 1, 4, 4), np.uint8)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_any_integer_type_and_layout_of_pixels(dtype):
    rng = np.random.default_rng(3)
    model = random_model(rng, (2, 4, 5), classes=3)
    pixels = random_pixels(rng, model, 12).astype(dtype)
    expected = reference.scores(model, pixels)
    assert np.array_equal(compile(model)(pixels), expected)
    assert np.array_equal(compile(model)(np.asfortranarray(pixels)), expected)
    assert np.array_equal(compile(model)(pixels[::-2]), expected[::-2])


def test_wrong_pixels_and_settings_are_refused():
    model = random_model(np.random.default_rng(0), (1, 4, 4))
    with pytest.raises(ModelError, match="shape"):
        compile(model)(np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(ModelError, match=r"0\.\.12"):
        compile(model).predict(np.full((1, 1, 4, 4), 13))
    with pytest.raises(ModelError, match="integers"):
        compile(model).trace(np.zeros((1, 1, 4, 4)))
    for settings_ in ({"threads": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match="1 or more"):
            compile(model, **settings_)


def test_threads_may_share_a_program_and_do_not_change_results():
    rng = np.random.default_rng(9)
    model = random_model(rng, (3, 9, 9), levels=2, hidden=3)
    pixels = random_pixels(rng, model, 400)
    expected = reference.scores(model, pixels)
    program = compile(model, threads=4, batch=150)
    found = [None] * 4

    def run(k):
        found[k] = program(pixels)

    workers = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.array_equal(scores, expected) for scores in found)


@pytest.mark.parametrize("name", instruction_set.available())
def test_the_first_wrong_bit_is_found(name):
    """The program of a model with one threshold changed differs in that layer and channel, and nowhere before."""
    rng = np.random.default_rng(4)
    first = Conv(rng.integers(-1, 2, (5, 1, 2, 2)), [0] * 5, [False] * 5)
    weights, output = rng.integers(-1, 2, (6, 45)), Output(rng.integers(-1, 2, (2, 6)), [0, 0])

    def model_with(thresholds):
        return IntegerModel(Quantizer((1, 4, 4), [128]), (first, Dense(weights, thresholds, [False] * 6)), output)

    model = model_with([0] * 6)
    pixels = random_pixels(rng, model, 30)
    with instruction_set.using(name):
        found = first_difference(model, compile(model_with([0, 0, 0, 1, 0, 0])), pixels)
    sums = reference.trace(model, pixels).accumulators[1][:, 3, 0, 0]
    assert found is not None
    assert found.where == "layer 2 (dense)"
    assert found.index == (int(np.flatnonzero(sums == 0)[0]), 3, 0, 0)
    assert (found.expected, found.actual) == (1, 0)


@pytest.mark.parametrize("name", instruction_set.available())
@pytest.mark.parametrize("batch", [None, 1, 7])
def test_a_batch_and_threads_change_nothing(name, batch):
    """Widths beyond a tile's 16 columns, dense layers beyond its 64 inputs and 16 rows, and rows left over in each."""
    rng = np.random.default_rng(6)
    model = random_model(rng, (3, 21, 37), levels=3, hidden=3)
    pixels = random_pixels(rng, model, 83)
    with instruction_set.using(name):
        program = compile(model, threads=3, batch=batch)
        assert np.array_equal(program(pixels), reference.scores(model, pixels))
