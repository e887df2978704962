"""A model that exists is well formed: everything else is refused with a sentence that names the layer."""

import numpy as np
import pytest

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, ModelError, Output, Quantizer, summarize, summary

Q = Quantizer((1, 4, 4), [100])


def conv(out=2, inputs=1, kernel=3, **options):
    return Conv(np.ones((out, inputs, kernel, kernel), int), np.zeros(out, int), np.zeros(out, bool), **options)


def dense(out, inputs):
    return Dense(np.ones((out, inputs), int), np.zeros(out, int), np.zeros(out, bool))


def output(inputs, classes=3, **options):
    return Output(np.ones((classes, inputs), int), np.zeros(classes, int), **options)


def test_shapes_follow_stride_padding_and_pooling():
    pool = MaxPool((2, 2), (1, 2), np.zeros(2, bool))
    model = IntegerModel(Q, (conv(padding=(1, 1)), pool, dense(5, 2 * 3 * 2)), output(5))
    assert model.shapes == ((1, 4, 4), (2, 4, 4), (2, 3, 2), (5, 1, 1), (3, 1, 1))
    assert model.classes == 3
    rows = summarize(model)
    assert [row.weights for row in rows] == [18, 0, 60, 15]
    assert "total" in summary(model)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Quantizer((1, 4), [1]), "input shape"),
        (lambda: Quantizer((1, 4, 4), [5, 3]), "must not decrease"),
        (lambda: Quantizer((1, 4, 4), np.zeros(0, int)), "must have shape"),
        (lambda: Quantizer((1, 4, 4), [0.5]), "integers"),
        (lambda: Quantizer((1, 4, 4), [1], 5, 5), "largest pixel"),
        (lambda: Quantizer((1, 4, 4), np.zeros((1, 1, 3, 4), int)), "fits"),
        (lambda: Dense(np.full((2, 3), 2), np.zeros(2, int), np.zeros(2, bool)), "only -1, 0 and"),
        (lambda: Dense(np.ones((2, 3)), np.zeros(2, int), np.zeros(2, bool)), "integers"),
        (lambda: Dense(np.ones((2, 3), int), np.full(2, 2**31), np.zeros(2, bool)), "int32"),
        (lambda: Dense(np.ones((2, 3), int), np.zeros(3, int), np.zeros(2, bool)), "thresholds"),
        (lambda: Dense(np.ones((2, 3), int), np.zeros(2, int), np.zeros(1, bool)), "direction"),
        (lambda: conv(stride=(0, 1)), "stride"),
        (lambda: conv(padding=(3, 0)), "smaller than its kernel"),
        (lambda: output(3, shift=25), "shift"),
        (lambda: IntegerModel(Q, (conv(inputs=2),), output(8)), r"layer 1 \(conv\) expects 2 input channels"),
        (lambda: IntegerModel(Q, (conv(kernel=5),), output(8)), "does not fit"),
        (lambda: IntegerModel(Q, (conv(),), output(7)), r"layer 2 \(output\) expects 7 inputs"),
        (lambda: IntegerModel(Quantizer((1, 4, 4), [1, 2]), (MaxPool((2, 2), (2, 2), [False]),), output(4)), "pools"),
        (lambda: IntegerModel(Q, (output(16),), output(3)), "cannot be a hidden layer"),
        (lambda: IntegerModel(Q, (), Output(np.ones((2, 16), int), [2**31 - 10, 0])), "beyond int32"),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ModelError, match=message):
        build()


def test_arrays_cannot_be_changed_afterwards():
    layer = dense(2, 3)
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0] = 0
