"""A model as GPU kernels equals the reference, layer by layer; without a GPU, through the kernels' oracles.

tests/kernels/gpu/interpreted/test_chain.py runs the same with the kernels themselves.
"""

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from random_models import models, random_model, random_pixels

from bnnhw.inference import first_difference
from bnnhw.inference.gpu_program import compile_gpu
from bnnhw.model import IntegerModel, Quantizer, reference


@settings(derandomize=True, deadline=None, max_examples=150)
@given(models())
def test_every_layer_equals_the_reference(model):
    pixels = random_pixels(np.random.default_rng(5), model, 3)
    program = compile_gpu(model, "cpu")
    assert first_difference(model, program, pixels) is None
    assert np.array_equal(program.predict(pixels), reference.predict(model, pixels))


def test_bytes_and_integers_give_the_same():
    model = random_model(np.random.default_rng(3), (2, 5, 4), levels=5, pixel_range=(0, 255))
    pixels = random_pixels(np.random.default_rng(4), model, 7)
    program = compile_gpu(model, "cpu")
    assert np.array_equal(program(pixels.astype(np.uint8)), program(pixels.astype(np.int32)))
    assert np.array_equal(program(pixels.astype(np.uint8)), reference.scores(model, pixels))


def test_a_difference_is_found():
    model = random_model(np.random.default_rng(6))
    pixels = random_pixels(np.random.default_rng(7), model, 20)
    program = compile_gpu(model, "cpu")
    program.thresholds.add_(1)
    found = first_difference(model, program, pixels)
    assert found is not None
    assert found.where == "quantizer"


def test_what_cannot_run_is_refused():
    model = random_model(np.random.default_rng(8))
    with pytest.raises(ValueError, match="needs the program on a GPU"):
        compile_gpu(model, "cpu").graph(4)
    with pytest.raises(ValueError, match="needs its operands on a GPU"):
        compile_gpu(model, "cpu", "tensor_core")(random_pixels(np.random.default_rng(9), model, 1))
    many = Quantizer(model.quantizer.shape, np.arange(5000, dtype=np.int32), 0, 5000)
    deep = IntegerModel(many, model.hidden, model.output)
    pixels = random_pixels(np.random.default_rng(9), deep, 1)
    with pytest.raises(ValueError, match="5000 levels"):
        compile_gpu(deep, "cpu")(pixels)
