"""A model as GPU kernels equals the reference, layer by layer; without a GPU, through the kernels' oracles.

tests/kernels/gpu/interpreted/test_chain.py runs the same with the kernels themselves.
"""

import gc
import weakref
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from random_models import models, random_model, random_pixels
from torch._subclasses import FakeTensorMode

from bnnhw.inference import first_difference, gpu_program
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 0])
def test_images_that_are_not_there_or_cannot_be_written_to(count):
    model = random_model(np.random.default_rng(3), (2, 5, 4), levels=5, pixel_range=(0, 255))
    pixels = random_pixels(np.random.default_rng(4), model, count).astype(np.uint8)
    pixels.setflags(write=False)
    program = compile_gpu(model, "cpu")
    assert np.array_equal(program(pixels), reference.scores(model, pixels))
    assert np.array_equal(program.predict(pixels), reference.predict(model, pixels))
    expected, found = reference.trace(model, pixels), program.trace(pixels)
    for right, made in zip((expected.levels, *expected.bits), (found.levels, *found.bits), strict=True):
        assert np.array_equal(right, made)


class Gpus:
    """In place of torch's calls to the driver: which GPU is current, and the streams that were recorded."""

    def __init__(self, monkeypatch):
        self.current = 0
        self.recorded = []
        for name in ("Stream", "CUDAGraph", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, lambda *device: Stream(*device))
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: self.device(stream.device))
        monkeypatch.setattr(torch.cuda, "device", self.device)
        monkeypatch.setattr(torch.cuda, "device_of", lambda tensor: self.device(tensor.device))
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    @contextmanager
    def device(self, device):
        before, self.current = self.current, device.index
        yield
        self.current = before

    def graph(self, recorded, stream=None):
        self.recorded.append((self.current, stream))
        return nullcontext()


class Stream:
    def __init__(self, device=None):
        self.device = device

    def wait_stream(self, other):
        pass


@pytest.fixture
def on_second_gpu(monkeypatch):
    """A program on cuda:1, without any: tensors are fake, and each kernel notes the GPU that it would run on."""
    gpus, launches = Gpus(monkeypatch), []
    for name in ("quantize_pack", "ternary_conv_threshold", "max_pool", "scores_argmax"):
        monkeypatch.setattr(gpu_program, name, lambda *operands: launches.append(gpus.current))
    model = random_model(np.random.default_rng(6), hidden=3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield compile_gpu(model, "cuda:1"), gpus, launches


def test_kernels_run_on_the_programs_gpu(on_second_gpu):
    program, gpus, launches = on_second_gpu
    program.run(torch.zeros(4, 1, 4, 4, dtype=torch.uint8, device="cuda:1"), program.buffers(4))
    assert launches == [1] * 5
    program.graph(4)
    assert launches == [1] * 15
    assert [(current, stream.device.index) for current, stream in gpus.recorded] == [(1, 1)]
    assert gpus.current == 0


@pytest.mark.usefixtures("on_second_gpu")
def test_a_graph_keeps_the_weights_that_it_reads():
    program = compile_gpu(random_model(np.random.default_rng(6)), "cuda:1")
    constants = [weakref.ref(one) for one in (program.thresholds, program.output, *program.steps)]
    graph = program.graph(4)
    del program
    gc.collect()
    assert all(constant() is not None for constant in constants)
    del graph
    gc.collect()
    assert all(constant() is None for constant in constants)


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
    program = compile_gpu(model, "cpu")
    with pytest.raises(ValueError, match=r"for pixels \[5, 1, 4, 4\], not \[1, 1, 4, 4\]"):
        program.run(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), program.buffers(5))
    many = Quantizer(model.quantizer.shape, np.arange(5000, dtype=np.int32), 0, 5000)
    deep = IntegerModel(many, model.hidden, model.output)
    with pytest.raises(ValueError, match="5000 levels"):
        compile_gpu(deep, "cpu")
