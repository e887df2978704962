"""Whole models as chains of the kernels themselves, in Triton's interpreter, equal the reference layer by layer."""

import numpy as np
import pytest
from gpu_operands import interpreted
from hypothesis import given
from random_models import models, random_pixels

from bnnhw.inference import first_difference
from bnnhw.inference.gpu_program import compile_gpu
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer


@interpreted(15)
@given(models())
def test_every_layer_equals_the_reference(model):
    pixels = random_pixels(np.random.default_rng(5), model, 3)
    assert first_difference(model, compile_gpu(model, "cpu"), pixels) is None


@pytest.mark.parametrize("levels", [1, 4])
def test_a_small_convolutional_network(levels):
    """The shape of the published small network for digits, at a quarter of its width."""
    rng = np.random.default_rng(levels)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-1, 2, shape).astype(np.int8)

    def limits(count: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(-3, 4, count, dtype=np.int32), rng.random(count) < 0.4

    model = IntegerModel(
        Quantizer((1, 28, 28), np.linspace(60, 200, levels).astype(np.int32)),
        (
            Conv(weights(4, 1, 4, 4), *limits(4), (2, 2), (1, 1)),
            Conv(weights(8, 4, 4, 4), *limits(8), (2, 2), (1, 1)),
            MaxPool((2, 2), (2, 2), rng.random(8) < 0.5),
            Dense(weights(25, 8 * 3 * 3), *limits(25)),
        ),
        Output(weights(10, 25), rng.integers(-3, 4, 10, dtype=np.int32), 2),
    )
    pixels = rng.integers(0, 256, (2, 1, 28, 28)).astype(np.uint8)
    assert first_difference(model, compile_gpu(model, "cpu"), pixels) is None
