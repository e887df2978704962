"""The QONNX graph gives the reference's class, as qonnx executes it, and says so where it cannot."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import random_model, random_pixels

from bnnhw.hw_export import HardwareError, qonnx_graph
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer, reference

pytest.importorskip("qonnx")


def wanted(model, pixels):
    return reference.classify(reference.scores(model, pixels))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 4, 4), (2, 5, 3), (3, 1, 1), (2, 4, 4)]), st.integers(1, 3))
def test_every_class_is_the_references(seed, shape, hidden):
    rng = np.random.default_rng(seed)
    model = random_model(rng, shape, hidden=hidden, per_position=False, pixel_range=(-3, 9))
    pixels = random_pixels(rng, model, 20)
    limits = model.quantizer.thresholds
    if not all(isinstance(layer, Dense) for layer in model.hidden) and (limits != limits[:, :, :1, :1]).any():
        with pytest.raises(HardwareError, match="input thresholds differ by position"):
            qonnx_graph.graph(model)
        return
    graph = qonnx_graph.graph(model)
    assert (qonnx_graph.classify(graph, model, pixels) == wanted(model, pixels)).all()


def dense_model(weights, bias, shift=0):
    """Scores of four bits, each a pixel that reaches 1."""
    identity = Dense(np.eye(4, dtype=np.int8), np.ones(4, np.int32), np.zeros(4, bool))
    return IntegerModel(Quantizer((1, 2, 2), np.array([1]), 0, 1), (identity,), Output(weights, bias, shift))


EVERY_INPUT = np.array([[[[n >> 3 & 1, n >> 2 & 1], [n >> 1 & 1, n & 1]]] for n in range(16)])


@pytest.mark.parametrize(
    ("bias", "shift"),
    [
        ([0, 0, 0], 0),
        ([5, 5, 5], 3),
        ([0, 1, 7], 3),
        ([-9, -1, -8], 3),
        ([1 << 20, 0, (1 << 20) + 1], 20),
        ([3, 2, 2], 0),
    ],
)
def test_small_scores_are_in_the_order_of_the_models(bias, shift):
    """Ties, remainders of a shift, negative ones: on every input."""
    weights = np.array([[1, 1, 0, -1], [1, 0, 1, -1], [0, -1, 1, 1]], np.int8)
    model = dense_model(weights, np.array(bias), shift)
    made = qonnx_graph.graph(model)
    assert (qonnx_graph.classify(made, model, EVERY_INPUT) == wanted(model, EVERY_INPUT)).all()


def test_a_weight_of_another_sign_is_noticed():
    """The comparison can fail."""
    model = dense_model(np.array([[1, 1, 0, -1], [1, 0, 1, -1]], np.int8), [0, 0])
    made = qonnx_graph.graph(model)
    weights = made.get_initializer("output_weights").copy()
    weights[2, 1] *= -1
    made.set_initializer("output_weights", weights)
    assert (qonnx_graph.classify(made, model, EVERY_INPUT) != wanted(model, EVERY_INPUT)).any()


def test_pooling_by_and_before_padding():
    """Inverted channels stay right at a border, where padding is 0 in the model."""
    rng = np.random.default_rng(5)
    first = Conv(rng.choice([-1, 1], (4, 1, 1, 1)), [1, 0, 1, 0], [False, True, False, True])
    pool = MaxPool((2, 2), (2, 2), np.array([False, True, True, False]))
    last = Conv(rng.choice([-1, 0, 1], (3, 4, 3, 3)), [0, 1, -1], [False, True, False], (1, 1), (1, 1))
    output = Output(rng.choice([-1, 1], (4, 27)), rng.integers(-2, 3, 4))
    model = IntegerModel(Quantizer((1, 6, 6), np.array([2]), 0, 3), (first, pool, last), output)
    pixels = random_pixels(rng, model, 60)
    assert (qonnx_graph.classify(qonnx_graph.graph(model), model, pixels) == wanted(model, pixels)).all()


def test_what_the_dialect_cannot_say_is_refused():
    by_position = Conv(np.ones((1, 1, 1, 1), np.int8), np.arange(4).reshape(1, 2, 2), [False])
    output = Output(np.ones((2, 4), np.int8), [0, 0])
    with pytest.raises(HardwareError, match="layer0 has thresholds that differ by position"):
        qonnx_graph.graph(IntegerModel(Quantizer((1, 2, 2), np.array([1]), 0, 3), (by_position,), output))
    conv = Conv(np.ones((1, 1, 1, 1), np.int8), [1], [False])
    limits = np.arange(4).reshape(1, 1, 2, 2)
    with pytest.raises(HardwareError, match="input thresholds differ by position"):
        qonnx_graph.graph(IntegerModel(Quantizer((1, 2, 2), limits, 0, 3), (conv,), output))
    with pytest.raises(HardwareError, match="more than float32 holds"):
        qonnx_graph.graph(dense_model(np.ones((2, 4), np.int8), [0, 1 << 25]))
    dense = Dense(np.ones((4, 4), np.int8), np.ones(4, np.int32), np.zeros(4, bool))
    again = Conv(np.ones((4, 4, 1, 1), np.int8), np.ones(4, np.int32), np.zeros(4, bool))
    with pytest.raises(HardwareError, match="conv after a dense layer"):
        qonnx_graph.graph(IntegerModel(Quantizer((1, 2, 2), np.array([1]), 0, 3), (conv, dense, again), output))


def test_the_file_is_the_graph(tmp_path):
    import onnx

    model = dense_model(np.array([[1, 0, 1, -1], [0, -1, 1, -1]], np.int8), [0, 2])
    made = qonnx_graph.write(model, tmp_path / "new" / "model.onnx")
    stored = onnx.load(tmp_path / "new" / "model.onnx")
    assert stored == made.model
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.onnx"]
    assert any(prop.key == "model_digest" for prop in stored.metadata_props)
