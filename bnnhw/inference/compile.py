"""From an IntegerModel to a Program: every constant is brought into the kernels' layout once.

The model flattens activations in channel, height, width order; the kernels keep bits in height, width, channel order.
So the weight columns of a dense layer are permuted here, and no activation is ever reordered.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.inference.program import Program
from bnnhw.inference.steps import BitConv, BitDense, HiddenStep, LevelLayer, Pool, Quantize, Score
from bnnhw.kernels import (
    LevelWeights,
    PixelThresholds,
    Thresholds,
    Window,
    available_threads,
    pack_ternary,
    window_order,
)
from bnnhw.model import Conv, Hidden, IntegerModel, MaxPool, Shape


def compile(model: IntegerModel, threads: int | None = None, batch: int = 1024) -> Program:
    """Compile a model for this processor.

    threads: how many threads a layer may use, by default all that the process may run on. batch: images that go
    through all layers together; it bounds memory and changes no result. ValueError if either is below 1.
    """
    quantize = Quantize(PixelThresholds(model.quantizer.thresholds))
    on_bits = model.quantizer.levels == 1
    shapes = model.shapes
    hidden: list[HiddenStep] = []
    for layer, shape in zip(model.hidden, shapes, strict=False):
        hidden.append(_hidden(layer, shape, on_bits))
        on_bits = True
    columns = _columns(model.output.weights, shapes[-2])
    weights = pack_ternary(columns) if on_bits else LevelWeights(columns)
    score = Score(weights, model.output.bias, model.output.shift)
    threads = available_threads() if threads is None else threads
    return Program(model.quantizer, shapes, quantize, tuple(hidden), score, threads, batch)


def _hidden(layer: Hidden, shape: Shape, on_bits: bool) -> HiddenStep:
    channels, height, width = shape
    if isinstance(layer, MaxPool):
        return Pool(layer.conjunctive, Window(channels, height, width, layer.kernel, layer.stride))
    thresholds = Thresholds(layer.threshold, layer.less_equal)
    if isinstance(layer, Conv):
        kernel_h, kernel_w = layer.weights.shape[2:]
        window = Window(channels, height, width, (kernel_h, kernel_w), layer.stride, layer.padding)
        columns = window_order(layer.weights)
        if on_bits:
            return BitConv(pack_ternary(columns), thresholds, window)
        return LevelLayer(LevelWeights(columns), thresholds, window)
    columns = _columns(layer.weights, shape)
    if on_bits:
        return BitDense(pack_ternary(columns), thresholds)
    return LevelLayer(LevelWeights(columns), thresholds, Window(channels, height, width, (height, width)))


def _columns(weights: npt.NDArray[np.int8], shape: Shape) -> npt.NDArray[np.int8]:
    """Weights [out, C * H * W] with their columns in height, width, channel order."""
    return window_order(weights.reshape(-1, *shape))
