"""Reference inference against the definitions, written again with loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_model, random_pixels

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, ModelError, Output, Quantizer
from bnnhw.model.reference import predict, quantize, scores, trace


def by_loops(model, image):
    """Scores of one image, one multiplication at a time."""
    thresholds = np.broadcast_to(model.quantizer.thresholds, (model.quantizer.levels, *image.shape))
    a = [
        [
            [sum(int(p) >= int(t) for t in thresholds[:, c, y, x]) for x, p in enumerate(row)]
            for y, row in enumerate(plane)
        ]
        for c, plane in enumerate(image)
    ]
    for index, layer in enumerate(model.layers):
        channels, height, width = model.shapes[index]
        if isinstance(layer, (Dense, Output)):
            flat = [a[c][y][x] for c in range(channels) for y in range(height) for x in range(width)]
            acc = [sum(int(w) * v for w, v in zip(row, flat, strict=True)) for row in layer.weights]
            if isinstance(layer, Output):
                return [v * 2**layer.shift + int(b) for v, b in zip(acc, layer.bias, strict=True)]
            compare = zip(acc, layer.threshold, layer.less_equal, strict=True)
            a = [[[int(v <= t if flip else v >= t)]] for v, t, flip in compare]
            continue
        out, rows, columns = model.shapes[index + 1]
        made = [[[0] * columns for _ in range(rows)] for _ in range(out)]
        for o in range(out):
            for y in range(rows):
                for x in range(columns):
                    if isinstance(layer, MaxPool):
                        window = [
                            a[o][y * layer.stride[0] + i][x * layer.stride[1] + j]
                            for i in range(layer.kernel[0])
                            for j in range(layer.kernel[1])
                        ]
                        made[o][y][x] = int(all(window) if layer.conjunctive[o] else any(window))
                        continue
                    acc = 0
                    for c in range(channels):
                        for i in range(layer.weights.shape[2]):
                            for j in range(layer.weights.shape[3]):
                                row = y * layer.stride[0] + i - layer.padding[0]
                                column = x * layer.stride[1] + j - layer.padding[1]
                                if 0 <= row < height and 0 <= column < width:
                                    acc += int(layer.weights[o, c, i, j]) * a[c][row][column]
                    t = layer.threshold[o] if layer.threshold.ndim == 1 else layer.threshold[o, y, x]
                    made[o][y][x] = int(acc <= t if layer.less_equal[o] else acc >= t)
        a = made
    raise AssertionError("a model ends in an output layer")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(models(), st.integers(0, 2**32 - 1))
def test_scores_follow_the_definitions(model, seed):
    pixels = random_pixels(np.random.default_rng(seed), model, 2)
    assert scores(model, pixels).tolist() == [by_loops(model, image) for image in pixels]


def test_the_lowest_index_wins_a_tie():
    model = IntegerModel(Quantizer((1, 1, 1), [1]), (), Output(np.zeros((4, 1), int), [1, 3, 3, 0]))
    assert predict(model, np.zeros((1, 1, 1, 1), np.uint8)).tolist() == [1]


def test_levels_count_the_thresholds_reached():
    quantizer = Quantizer((1, 1, 4), [-1, 2, 2], -3, 5)
    assert quantize(quantizer, np.array([[[[-3, -1, 1, 2]]]])).tolist() == [[[[0, 1, 1, 3]]]]


def test_trace_keeps_every_layer():
    layer = Conv(np.ones((1, 1, 2, 2), int), [2], [False])
    model = IntegerModel(
        Quantizer((1, 3, 3), [1]), (layer, MaxPool((2, 2), (1, 1), [True])), Output([[1], [0]], [0, 1])
    )
    kept = trace(model, np.ones((1, 1, 3, 3), np.uint8))
    assert kept.accumulators[0].tolist() == [[[[4, 4], [4, 4]]]]
    assert kept.accumulators[1] is None
    assert kept.bits[1].tolist() == [[[[True]]]]
    assert kept.scores.tolist() == [[1, 1]]
    assert kept.predictions.tolist() == [0]


def test_pooling_may_come_first_where_levels_are_bits():
    pool = MaxPool((1, 2), (1, 2), [False])
    model = IntegerModel(Quantizer((1, 1, 4), [7]), (pool,), Output([[1, 0], [0, 1]], [0, 0]))
    assert scores(model, np.array([[[[0, 9, 3, 2]]]])).tolist() == [[1, 0]]


def test_no_images_give_no_scores():
    rng = np.random.default_rng(2)
    for _ in range(20):
        model = random_model(rng, (2, 4, 4), levels=1, hidden=3)
        assert scores(model, np.zeros((0, 2, 4, 4), np.uint8)).shape == (0, model.classes)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((1, 1, 1, 1)), "integers"),
        (np.zeros((1, 1, 1), int), "shape"),
        (np.full((1, 1, 1, 1), 256), "0..255"),
    ],
)
def test_wrong_pixels_are_refused(pixels, message):
    model = IntegerModel(Quantizer((1, 1, 1), [1]), (), Output([[1], [0]], [0, 0]))
    with pytest.raises(ModelError, match=message):
        predict(model, pixels)
