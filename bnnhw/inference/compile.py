"""From an IntegerModel to a Program: every constant is brought into the kernels' layout once.

The model flattens activations in channel, height, width order; the kernels keep them in height, width, channel order.
So the weight columns of a dense layer are permuted here, and no activation is ever reordered.

On a processor that multiplies bytes fast (instruction sets ``amx`` and ``vnni``) an activation is a byte and a layer an
8-bit matrix product; elsewhere activations are bit strings and layers count bits, the first one of a model with several
levels excepted. Many images at once go through tables instead, 64 in the lanes of a register, where that is faster
(``vnni``, on processors with tables of 64 bytes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.inference.program import Program
from bnnhw.kernels import (
    LevelWeights,
    PixelThresholds,
    Thresholds,
    Window,
    available_threads,
    instruction_set,
    pack,
    pack_ternary,
    window_order,
)
from bnnhw.kernels._cpu import ImageLanes, looks_up
from bnnhw.kernels._cpu import Program as NativeProgram
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Shape

LARGEST_BYTE = 255
MOST_LANE_INPUTS = 65534
"""Inputs of an output, a pixel counted for each of its levels, that lanes can count."""
MOST_LANE_LEVELS = 24
"""With more levels the first layer, which reads a pixel once for each of them, is slower than with bytes."""
TABLE_BYTES_A_WEIGHT = 64 / 12
MOST_TABLE_BYTES = 1 << 28


def compile(model: IntegerModel, threads: int | None = None, batch: int | None = None) -> Program:
    """Compile a model for this processor, by the instruction set that is selected now.

    threads: how many threads share a call's images, by default all that the process may run on. batch: images that go
    through all layers together, by default as many as is fast; it changes no result. ValueError if either is below 1.
    """
    levels = model.quantizer.levels
    shapes = model.shapes
    on_bytes = instruction_set.multiplies_bytes() and levels <= LARGEST_BYTE
    first = 1 if on_bytes else _level_bytes(levels)
    channels, height, width = shapes[0]
    thresholds = PixelThresholds(model.quantizer.thresholds).ascending
    native = NativeProgram((1, channels, height, width), thresholds, first)
    on_levels = first != 0 and not on_bytes
    for layer, shape in zip(model.layers, shapes, strict=False):
        if isinstance(layer, MaxPool):
            _add_pool(native, layer, shape, on_bytes)
            continue
        window, weights, limits = _window(layer, shape), _columns(layer, shape), _limits(layer)
        if on_bytes:
            native.add_tiles(window.geometry, weights, limits)
        elif on_levels:
            native.add_levels(window.geometry, LevelWeights(weights).pairs, len(weights), limits)
        else:
            native.add_ternary(window.geometry, pack_ternary(weights).planes, len(weights), limits)
        on_levels = False
    native.set_scores(np.ascontiguousarray(model.output.bias), model.output.shift)
    threads = available_threads() if threads is None else threads
    lanes = _lanes(model, thresholds) if batch is None and instruction_set.selected() == "vnni" else None
    return Program(model.quantizer, shapes, native, lanes, first, on_bytes, threads, batch)


def _lanes(model: IntegerModel, thresholds: npt.NDArray[np.int32]) -> ImageLanes | None:
    """The model for 64 images at a time; None where this processor or the model's size is not made for that."""
    levels, shapes = model.quantizer.levels, model.shapes
    if not looks_up() or levels > MOST_LANE_LEVELS:
        return None
    lanes = ImageLanes((1, *shapes[0]), thresholds)
    table_bytes = 0.0
    for index, (layer, shape) in enumerate(zip(model.layers, shapes, strict=False)):
        if isinstance(layer, MaxPool):
            lanes.add_pool(_window(layer, shape).geometry, layer.conjunctive.astype(np.uint8))
            continue
        weights = _columns(layer, shape)
        inputs = weights.shape[1] * (levels if index == 0 else 1)
        table_bytes += len(weights) * inputs * TABLE_BYTES_A_WEIGHT
        if inputs > MOST_LANE_INPUTS or table_bytes > MOST_TABLE_BYTES:
            return None
        lanes.add_product(_window(layer, shape).geometry, weights, _limits(layer))
    lanes.set_scores(np.ascontiguousarray(model.output.bias), model.output.shift)
    return lanes


def _level_bytes(levels: int) -> int:
    """Bytes an integer between layers takes; 0 if the quantizer makes bits."""
    if levels == 1:
        return 0
    return 1 if levels <= LARGEST_BYTE else 2 if levels <= np.iinfo(np.int16).max else 4


def _add_pool(native: NativeProgram, layer: MaxPool, shape: Shape, on_bytes: bool) -> None:
    geometry = _window(layer, shape).geometry
    if on_bytes:
        native.add_pool_of_bytes(geometry, layer.conjunctive.astype(np.uint8))
    else:
        native.add_pool_of_bits(geometry, pack(layer.conjunctive).words)


def _window(layer: Conv | Dense | MaxPool | Output, shape: Shape) -> Window:
    """A dense layer's window covers its whole input."""
    channels, height, width = shape
    if isinstance(layer, MaxPool):
        return Window(channels, height, width, layer.kernel, layer.stride)
    if isinstance(layer, Conv):
        kernel_h, kernel_w = layer.weights.shape[2:]
        return Window(channels, height, width, (kernel_h, kernel_w), layer.stride, layer.padding)
    return Window(channels, height, width, (height, width))


def _columns(layer: Conv | Dense | Output, shape: Shape) -> npt.NDArray[np.int8]:
    """Weights [out, inputs] with the inputs in the order of a window's values: height, width, channel."""
    weights = layer.weights if isinstance(layer, Conv) else layer.weights.reshape(-1, *shape)
    return window_order(weights)


def _limits(layer: Conv | Dense | Output) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]] | None:
    if isinstance(layer, Output):
        return None
    thresholds = Thresholds(layer.threshold, layer.less_equal)
    return thresholds.limits, thresholds.flips
