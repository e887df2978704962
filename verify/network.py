"""The IntegerModel as sparse linear forms: the shape in which bounds and encoding read a network.

A dense layer, a convolution and the differences of output scores are all ``accumulator = A @ activations`` with one
sparse integer matrix over the flattened (C, H, W) activations, so bounds and encoding are written once. Border taps
that fall on padding are simply absent from A. Built once per model and shared by all its queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from bnnhw.model import Conv, IntegerModel, MaxPool, Output, Quantizer, Shape, digest
from bnnhw.model.layers import INT32_MAX
from bnnhw.verify import _engine

Integers: TypeAlias = npt.NDArray[np.int64]
Bits: TypeAlias = npt.NDArray[np.bool_]
Matrix: TypeAlias = Any
"""scipy.sparse.csr_array of int64."""


@dataclass(frozen=True, eq=False)
class Threshold:
    """``bit = (A @ a <= t) if less_equal else (A @ a >= t)``, one row of A per output bit.

    matrix: csr int64[outputs, inputs]; positive, negative: its parts, ``matrix = positive - negative``.
    threshold: int64[outputs]; less_equal: bool[outputs].
    """

    matrix: Matrix
    positive: Matrix
    negative: Matrix
    threshold: Integers
    less_equal: Bits


@dataclass(frozen=True, eq=False)
class Pool:
    """``bit = all(window) if conjunctive else any(window)``. windows: csr of ones[outputs, inputs]."""

    windows: Matrix
    conjunctive: Bits


@dataclass(frozen=True, eq=False)
class Network:
    """A model's linear forms. output: int64[classes, inputs] dense rows; bias and shift as in bnnhw.model.Output.

    native: the same network in C++, shared by every query.
    """

    model: IntegerModel
    digest: str
    hidden: tuple[Threshold | Pool, ...]
    output: Integers
    bias: Integers
    native: _engine.Network

    @property
    def quantizer(self) -> Quantizer:
        return self.model.quantizer

    def rivals(self, label: int) -> tuple[npt.NDArray[np.intp], Integers, Integers]:
        """What beating ``label`` takes: ``(classes, differences, needed)``.

        Class ``classes[i]`` beats ``label`` exactly when ``differences[i] @ a >= needed[i]``: the scores are
        ``(acc << shift) + bias``, and on a tie the lower index wins.
        """
        classes = np.array([c for c in range(self.model.classes) if c != label])
        strictly = (classes > label).astype(np.int64)
        numerator = strictly + self.bias[label] - self.bias[classes]
        needed = -((-numerator) >> self.model.output.shift)
        return classes, self.output[classes] - self.output[label], needed


def _taps(shape: Shape, made: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Any:
    """For every kernel tap and output position: does it read inside the image, and which pixel (y * width + x)?

    Returns ``inside`` bool and ``pixel`` int64, both [kernel_h * kernel_w, H * W].
    """
    rows = np.arange(made[1])[:, None] * stride[0] - padding[0] + np.arange(kernel[0])
    columns = np.arange(made[2])[:, None] * stride[1] - padding[1] + np.arange(kernel[1])
    y = np.broadcast_to(rows.T[:, None, :, None], (kernel[0], kernel[1], made[1], made[2]))
    x = np.broadcast_to(columns.T[None, :, None, :], (kernel[0], kernel[1], made[1], made[2]))
    inside = (y >= 0) & (y < shape[1]) & (x >= 0) & (x < shape[2])
    flat = (kernel[0] * kernel[1], made[1] * made[2])
    return inside.reshape(flat), (y * shape[2] + x).reshape(flat)


def _conv_matrix(layer: Conv, shape: Shape, made: Shape) -> Matrix:
    inside, pixel = _taps(shape, made, layer.weights.shape[2:], layer.stride, layer.padding)
    weights = layer.weights.reshape(*layer.weights.shape[:2], -1)
    out, source, tap = np.nonzero(weights)
    positions = made[1] * made[2]
    keep = inside[tap]
    rows = (out[:, None] * positions + np.arange(positions))[keep]
    columns = (source[:, None] * (shape[1] * shape[2]) + pixel[tap])[keep]
    values = np.broadcast_to(weights[out, source, tap][:, None], keep.shape)[keep].astype(np.int64)
    return sparse.csr_array((values, (rows, columns)), shape=(out_size(made), out_size(shape)))


def _pool_matrix(layer: MaxPool, shape: Shape, made: Shape) -> Matrix:
    _, pixel = _taps(shape, made, layer.kernel, layer.stride, (0, 0))
    channels = np.arange(shape[0])[:, None, None]
    columns = np.broadcast_to(channels * (shape[1] * shape[2]) + pixel.T, (shape[0], made[1] * made[2], pixel.shape[0]))
    rows = np.broadcast_to(np.arange(out_size(made)).reshape(shape[0], -1, 1), columns.shape)
    ones = np.ones(columns.size, np.int64)
    return sparse.csr_array((ones, (rows.ravel(), columns.ravel())), shape=(out_size(made), out_size(shape)))


def out_size(shape: Shape) -> int:
    """Number of activations of a (C, H, W) shape."""
    return shape[0] * shape[1] * shape[2]


def build(model: IntegerModel) -> Network:
    """The linear forms of ``model``."""
    hidden: list[Threshold | Pool] = []
    for layer, shape, made in zip(model.hidden, model.shapes, model.shapes[1:], strict=False):
        positions = made[1] * made[2]
        if isinstance(layer, MaxPool):
            hidden.append(Pool(_pool_matrix(layer, shape, made), np.repeat(layer.conjunctive, positions)))
            continue
        if isinstance(layer, Conv):
            matrix = _conv_matrix(layer, shape, made)
        else:
            matrix = sparse.csr_array(layer.weights.astype(np.int64))
        limits = layer.threshold.astype(np.int64)
        limits = np.repeat(limits, positions) if limits.ndim == 1 else limits.ravel()
        less_equal = np.repeat(layer.less_equal, positions)
        hidden.append(Threshold(matrix, matrix.maximum(0), (-matrix).maximum(0), limits, less_equal))
    output: Output = model.output
    bias = output.bias.astype(np.int64)
    return Network(
        model, digest(model), tuple(hidden), output.weights.astype(np.int64), bias, _native(model, hidden, bias)
    )


def _native(model: IntegerModel, hidden: list[Threshold | Pool], bias: Integers) -> _engine.Network:
    """The network in C++, where every hidden bit is ``A @ a >= t``: a row that compares with <= enters negated."""
    quantizer, output = model.quantizer, model.output
    pixels = out_size(quantizer.shape)
    thresholds = quantizer.thresholds
    if thresholds[0].size > 1:
        thresholds = np.broadcast_to(thresholds, (quantizer.levels, *quantizer.shape)).reshape(quantizer.levels, -1).T
    native = _engine.Network(
        pixels, quantizer.levels, np.ascontiguousarray(thresholds, np.int32).reshape(-1), output.shift, bias
    )
    for layer in hidden:
        if isinstance(layer, Pool):
            matrix = layer.windows
            threshold = np.where(layer.conjunctive, np.diff(matrix.indptr), 1)
            weights = matrix.data
        else:
            matrix = layer.matrix
            sign = np.where(layer.less_equal, -1, 1)
            # -2^31 has no 32-bit negation; no sum is as low, just as none reaches 2^31 - 1.
            threshold = np.minimum(layer.threshold * sign, INT32_MAX)
            weights = matrix.data * np.repeat(sign, np.diff(matrix.indptr))
        native.add_layer(matrix.shape[0], *_rows(matrix, weights), threshold.astype(np.int32))
    scores = sparse.csr_array(output.weights.astype(np.int64))
    native.set_output(scores.shape[0], *_rows(scores, scores.data))
    return native


def _rows(matrix: Matrix, weights: Integers) -> tuple[Integers, npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), weights.astype(np.int8)
