"""An IntegerModel as a chain of GPU kernels on packed bits, a kernel a layer, and as a CUDA graph.

Pixels become bits, a bit for each threshold of the quantizer; every hidden layer is a ternary convolution that ends in
bits (a dense layer's kernel covers its image) or a pooling of bits; the last kernel makes scores and classes. Nothing
between layers is ever a number. Small networks spend their time on launches, which is why a layer is one kernel for a
whole batch, and why `GpuProgram.graph` records all launches for a batch size once and replays them as one.

Needs Triton (`pip install 'bnnhw[gpu]'`). Without a GPU, ``device="cpu"`` runs the kernels in Triton's interpreter if
TRITON_INTERPRET=1 is set, and otherwise their oracles: slow, and equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from triton import knobs

from bnnhw.inference.program import Trace
from bnnhw.kernels import Thresholds
from bnnhw.kernels.gpu.conv import ternary_conv_threshold
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.max_pool import max_pool, max_pool_oracle
from bnnhw.kernels.gpu.packed_images import PackedImages, channel_words, empty_images
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds, position_thresholds
from bnnhw.kernels.gpu.quantize_pack import bits_a_pixel, quantize_pack, quantize_pack_oracle, repeat_for_levels
from bnnhw.kernels.gpu.scores_argmax import OutputLayer, scores_argmax, scores_argmax_oracle
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters, ternary_filters
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer, Shape
from bnnhw.model.reference import check_pixels


@dataclass(frozen=True, eq=False)
class ConvStep:
    """A hidden layer of weights."""

    filters: TernaryFilters
    thresholds: PositionThresholds
    stride: tuple[int, int]
    padding: Padding


@dataclass(frozen=True, eq=False)
class PoolStep:
    """A pooling layer. conjunctive: words of channels that are joined by AND."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    conjunctive: torch.Tensor


Step: TypeAlias = ConvStep | PoolStep


@dataclass(frozen=True, eq=False)
class Buffers:
    """Where a batch's values go: what enters each layer, and the result. Scores and classes are int64."""

    bits: tuple[PackedImages, ...]
    scores: torch.Tensor
    classes: torch.Tensor


@dataclass(frozen=True, eq=False)
class GpuProgram:
    """A model ready to run on ``device``; make one with `compile_gpu`.

    Calling it gives the scores int64[N, classes] of integer pixels [N, C, H, W] on the host; ModelError for pixels of
    another shape, type or range. ``run`` takes and gives tensors on the device.
    """

    quantizer: Quantizer
    shapes: tuple[Shape, ...]
    thresholds: torch.Tensor
    steps: tuple[Step, ...]
    output: OutputLayer
    backend: str | None

    @property
    def device(self) -> torch.device:
        return self.thresholds.device

    def __call__(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        count, made = self._of(pixels)
        return _on_host(made.scores)[:count]

    def predict(self, pixels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Classes int64[N]: the arg max of the scores, the lowest index on a tie."""
        count, made = self._of(pixels)
        return _on_host(made.classes)[:count]

    def trace(self, pixels: npt.ArrayLike) -> Trace:
        """Run all pixels and keep every layer's result."""
        count, made = self._of(pixels)
        channels, height, width = self.shapes[0]
        first, *hidden = (bits.unpack()[:count] for bits in made.bits)
        levels = first.reshape(count, channels, self.quantizer.levels, height, width).sum(axis=2, dtype=np.int64)
        return Trace(levels, tuple(hidden), _on_host(made.scores)[:count])

    def buffers(self, count: int) -> Buffers:
        """For ``count`` images; `run` overwrites all of them."""
        channels = [self.shapes[0][0] * self.quantizer.levels, *(shape[0] for shape in self.shapes[1:-1])]
        return Buffers(
            tuple(
                empty_images(count, height, width, c, self.device)
                for c, (_, height, width) in zip(channels, self.shapes[:-1], strict=True)
            ),
            torch.empty(count, self.output.filters.outputs, dtype=torch.int64, device=self.device),
            torch.empty(count, dtype=torch.int64, device=self.device),
        )

    def run(self, pixels: torch.Tensor, to: Buffers) -> Buffers:
        """Layer by layer from pixels uint8 or int32 [N, C, H, W] on the device to ``to``; nothing waits or allocates.

        The pixels' range is not looked at. ValueError if pixels or buffers do not fit.
        """
        shape = (len(to.classes), *self.shapes[0])
        if tuple(pixels.shape) != shape:
            raise ValueError(f"the buffers are for pixels {list(shape)}, not {list(pixels.shape)}")
        # Kernels are launched on the current GPU, which need not be the one that their operands are on.
        with torch.cuda.device_of(self.thresholds):  # type: ignore[no-untyped-call]
            self._run(pixels, to)
        return to

    def _run(self, pixels: torch.Tensor, to: Buffers) -> None:
        oracles = self.device.type == "cpu" and not knobs.runtime.interpret
        backend = self.backend or ("popcount" if self.device.type == "cpu" and not oracles else None)
        if oracles:
            to.bits[0].words.copy_(quantize_pack_oracle(pixels, self.thresholds).words)
        else:
            quantize_pack(pixels, self.thresholds, to.bits[0])
        for step, before, after in zip(self.steps, to.bits, to.bits[1:], strict=False):
            if isinstance(step, ConvStep):
                ternary_conv_threshold(before, step.filters, step.thresholds, step.stride, step.padding, backend, after)
            elif oracles:
                after.words.copy_(max_pool_oracle(before, step.kernel, step.stride, step.conjunctive).words)
            else:
                max_pool(before, step.kernel, step.stride, step.conjunctive, after)
        if oracles:
            scores, classes = scores_argmax_oracle(to.bits[-1], self.output)
            to.scores.copy_(scores)
            to.classes.copy_(classes)
        else:
            scores_argmax(to.bits[-1], self.output, (to.scores, to.classes))

    def graph(self, count: int, dtype: torch.dtype = torch.uint8) -> GraphedProgram:
        """All launches for ``count`` images of ``dtype``, recorded; needs a CUDA device, ValueError without."""
        if self.device.type != "cuda":
            raise ValueError(f"a CUDA graph needs the program on a GPU, not on {self.device}")
        pixels = torch.zeros(count, *self.shapes[0], dtype=dtype, device=self.device)
        buffers = self.buffers(count)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            # Kernels are compiled and loaded at their first launch, which cannot be recorded.
            self.run(pixels, buffers)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        recorded = torch.cuda.CUDAGraph()
        # torch's own stream for recording is on whichever GPU was current when it was first needed.
        with torch.cuda.device(self.device), torch.cuda.graph(recorded, stream=stream):
            self.run(pixels, buffers)
        return GraphedProgram(recorded, pixels, buffers, self)

    def _of(self, pixels: npt.ArrayLike) -> tuple[int, Buffers]:
        """How many images, and what they make; kernels take one or more, so in place of none there is one of zeros."""
        checked = check_pixels(self.quantizer, pixels)
        some = checked if len(checked) else np.zeros((1, *self.shapes[0]), np.uint8)
        # torch takes no array that cannot be written to.
        given = np.require(some, np.uint8 if some.dtype == np.uint8 else np.int32, ["C", "W"])
        return len(checked), self.run(torch.from_numpy(given).to(self.device), self.buffers(len(given)))


@dataclass(frozen=True, eq=False)
class GraphedProgram:
    """A program for a fixed number of images: fill ``pixels``, call, read ``buffers``, which the next call
    overwrites.

    What is recorded are addresses: ``program`` is there to keep weights and thresholds where they are.
    """

    recorded: torch.cuda.CUDAGraph
    pixels: torch.Tensor
    buffers: Buffers
    program: GpuProgram

    def __call__(self) -> Buffers:
        self.recorded.replay()
        return self.buffers


def compile_gpu(model: IntegerModel, device: torch.device | str = "cuda", backend: str | None = None) -> GpuProgram:
    """Bring every constant of ``model`` into the kernels' layout on ``device``.

    backend: of the convolutions, as in `bnnhw.kernels.gpu.conv`; None chooses by GPU and shape. ValueError for a model
    with more bits a pixel, inputs of an output or classes than the kernels take.
    """
    bits_a_pixel(model.quantizer.shape[0], model.quantizer.levels)
    target = torch.device(device)
    steps: list[Step] = []
    levels = model.quantizer.levels
    for layer, shape in zip(model.hidden, model.shapes, strict=False):
        if isinstance(layer, MaxPool):
            conjunctive = torch.from_numpy(channel_words(layer.conjunctive)).to(target)
            steps.append(PoolStep(layer.kernel, layer.stride, conjunctive))
            continue
        limits = position_thresholds(Thresholds(layer.threshold, layer.less_equal)).to(target)
        stride, pads = (layer.stride, layer.padding) if isinstance(layer, Conv) else ((1, 1), (0, 0))
        filters = ternary_filters(repeat_for_levels(_weights(layer, shape), levels)).to(target)
        steps.append(ConvStep(filters, limits, stride, Padding(*pads)))
        levels = 1
    weights = repeat_for_levels(_weights(model.output, model.shapes[-2]), levels)
    output = OutputLayer(ternary_filters(weights), torch.from_numpy(model.output.bias.copy()), model.output.shift)
    thresholds = torch.from_numpy(model.quantizer.thresholds.copy()).to(target)
    return GpuProgram(model.quantizer, model.shapes, thresholds, tuple(steps), output.to(target), backend)


def _weights(layer: Conv | Dense | Output, shape: Shape) -> npt.NDArray[np.int8]:
    """[outputs, C, h, w]; a dense layer's kernel covers its image."""
    return layer.weights if isinstance(layer, Conv) else layer.weights.reshape(-1, *shape)


def _on_host(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = tensor.cpu().numpy()
    return values
