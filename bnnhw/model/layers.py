"""The IntegerModel: a binarized network as integers only, the one artefact that every other room reads or makes.

Input pixels are integers. A quantizer turns each pixel into a level ``0..L`` by comparing it with ``L`` integer
thresholds. A hidden layer adds up ``weight * activation`` with weights in {-1, 0, +1} and activations that are levels
(first layer) or bits (later layers), and compares the accumulator with an integer threshold: one output bit. The
output layer turns its accumulators into integer scores; the class is the arg max, the lowest index on a tie.

The dataclasses are frozen and hold read-only arrays; building one validates it, so an IntegerModel that exists is
well formed: shapes fit, and no accumulator or score can leave int32 on any input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

INT32_MAX = 2**31 - 1
MAX_SIDE = 1 << 16
"""Largest channel count, height, width, kernel side, stride or padding a model may have."""
MAX_ELEMENTS = 1 << 28
"""Largest number of elements of any activation or weight array."""

Shape: TypeAlias = tuple[int, int, int]
"""Activation shape, channels x height x width (C, H, W)."""


class ModelError(ValueError):
    """A model, a layer or a model file that does not make sense; the message says what, where and what to do."""


def _exactly(value: npt.ArrayLike, dtype: type[np.generic], what: str) -> npt.NDArray[Any]:
    """A read-only C-contiguous copy of ``value`` as ``dtype``; refuses a value the dtype cannot hold exactly."""
    given = np.asarray(value)
    if given.dtype.kind not in "iub":
        raise ModelError(f"{what} must be integers or booleans, not {given.dtype}: convert them exactly first")
    array = np.array(given, dtype=dtype, order="C")
    if not np.array_equal(array, given):
        raise ModelError(f"{what} has a value that {np.dtype(dtype).name} cannot hold: reduce its range")
    array.flags.writeable = False
    return array


def _ternary(value: npt.ArrayLike, ndim: int, what: str) -> npt.NDArray[np.int8]:
    weights = _exactly(value, np.int8, what)
    if weights.ndim != ndim or weights.size == 0:
        raise ModelError(f"{what} must be a non-empty {ndim}-dimensional array, not of shape {weights.shape}")
    if weights.size > MAX_ELEMENTS or max(weights.shape) > MAX_SIDE * MAX_SIDE:
        raise ModelError(f"{what} of shape {weights.shape} is larger than the format's {MAX_ELEMENTS} elements")
    if np.abs(weights.astype(np.int16)).max() > 1:
        raise ModelError(f"{what} must hold only -1, 0 and +1")
    return weights


def _whole(value: int, low: int, high: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ModelError(f"{what} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def _pair(value: Sequence[int], low: int, what: str) -> tuple[int, int]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) != 2:
        raise ModelError(f"{what} must be two whole numbers (vertical, horizontal), not {value!r}")
    return (_whole(value[0], low, MAX_SIDE, what), _whole(value[1], low, MAX_SIDE, what))


def _set(instance: object, **fields: object) -> None:
    for name, value in fields.items():
        object.__setattr__(instance, name, value)


def _same(a: object, b: object, fields: Sequence[str]) -> bool:
    if type(a) is not type(b):
        return False
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in fields)


def _thresholds(threshold: npt.ArrayLike, less_equal: npt.ArrayLike, channels: int, what: str) -> tuple[Any, Any]:
    """Validated ``(threshold, less_equal)`` of a hidden layer with ``channels`` outputs."""
    t = _exactly(threshold, np.int32, f"{what} thresholds")
    flipped = _exactly(less_equal, np.bool_, f"{what} comparison directions")
    if t.ndim not in (1, 3) or t.shape[0] != channels:
        raise ModelError(
            f"{what} thresholds must have shape ({channels},) or ({channels}, height, width), not {t.shape}"
        )
    if flipped.shape != (channels,):
        raise ModelError(f"{what} needs one comparison direction per channel ({channels}), not {flipped.shape}")
    return t, flipped


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Integer pixels -> levels: ``level(p) = #{j : p >= thresholds[j]}``.

    shape: pixels' (C, H, W). pixel_min, pixel_max: the inclusive range of a pixel (0..255 for 8-bit images).
    thresholds: int32[L, c, h, w], non-decreasing along L, each of c, h, w either the pixels' size or 1 (shared).
    """

    shape: Shape
    thresholds: npt.NDArray[np.int32]
    pixel_min: int = 0
    pixel_max: int = 255

    def __post_init__(self) -> None:
        if isinstance(self.shape, (str, bytes)) or len(self.shape) != 3:
            raise ModelError(f"input shape must be (channels, height, width), not {self.shape!r}")
        shape = tuple(_whole(side, 1, MAX_SIDE, "input shape") for side in self.shape)
        low = _whole(self.pixel_min, -INT32_MAX, INT32_MAX - 1, "smallest pixel value")
        high = _whole(self.pixel_max, low + 1, INT32_MAX, "largest pixel value")
        t = _exactly(self.thresholds, np.int32, "input thresholds")
        if t.ndim == 1:
            t = t.reshape(-1, 1, 1, 1)
        if t.ndim != 4 or t.shape[0] < 1 or any(n not in (1, s) for n, s in zip(t.shape[1:], shape, strict=True)):
            raise ModelError(f"input thresholds must have shape (levels, c, h, w) that fits {shape}, not {t.shape}")
        if int(np.prod(shape)) * t.shape[0] > MAX_ELEMENTS:
            raise ModelError(f"input of shape {shape} with {t.shape[0]} levels is larger than {MAX_ELEMENTS} elements")
        if np.any(np.diff(t.astype(np.int64), axis=0) < 0):
            raise ModelError("input thresholds must not decrease from one level to the next: sort them")
        _set(self, shape=shape, pixel_min=low, pixel_max=high, thresholds=t)

    @property
    def levels(self) -> int:
        """The highest level, L: levels run 0..L."""
        return int(self.thresholds.shape[0])

    def __eq__(self, other: object) -> bool:
        return _same(self, other, ("shape", "thresholds", "pixel_min", "pixel_max"))


@dataclass(frozen=True, eq=False)
class Dense:
    """``bit[o] = (acc[o] <= t[o]) if less_equal[o] else (acc[o] >= t[o])``, ``acc = weights @ flatten(input)``.

    weights: int8[out, in] in {-1, 0, +1}; in counts the input flattened in C, H, W order.
    threshold: int32[out]. less_equal: bool[out]. Output shape: (out, 1, 1).
    """

    weights: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.int32]
    less_equal: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        weights = _ternary(self.weights, 2, "dense weights")
        t, flipped = _thresholds(self.threshold, self.less_equal, weights.shape[0], "dense")
        if t.ndim != 1:
            raise ModelError(f"dense thresholds must have shape ({weights.shape[0]},), not {t.shape}")
        _set(self, weights=weights, threshold=t, less_equal=flipped)

    def __eq__(self, other: object) -> bool:
        return _same(self, other, ("weights", "threshold", "less_equal"))


@dataclass(frozen=True, eq=False)
class Conv:
    """A 2-D convolution (cross-correlation) of levels or bits, thresholded to one bit per output position.

    weights: int8[out, in, kernel_h, kernel_w] in {-1, 0, +1}. stride, padding: (vertical, horizontal); a padded tap
    contributes nothing. threshold: int32[out], or int32[out, H, W] where it differs by output position.
    less_equal: bool[out]. Output shape: (out, H, W) with H = (in_h + 2 * pad_h - kernel_h) // stride_h + 1.
    """

    weights: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.int32]
    less_equal: npt.NDArray[np.bool_]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        weights = _ternary(self.weights, 4, "conv weights")
        t, flipped = _thresholds(self.threshold, self.less_equal, weights.shape[0], "conv")
        stride, padding = _pair(self.stride, 1, "conv stride"), _pair(self.padding, 0, "conv padding")
        if any(p >= k for p, k in zip(padding, weights.shape[2:], strict=True)):
            raise ModelError(f"conv padding {padding} must be smaller than its kernel {weights.shape[2:]}")
        _set(self, weights=weights, threshold=t, less_equal=flipped, stride=stride, padding=padding)

    def __eq__(self, other: object) -> bool:
        return _same(self, other, ("weights", "threshold", "less_equal", "stride", "padding"))


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Pooling of bits over windows that lie inside the image: OR, or AND for the channels marked so.

    conjunctive: bool[C]; True where the pooled network compares ``max(acc) <= t``, which is the AND of the bits
    ``acc <= t``. kernel, stride: (vertical, horizontal). Windows that would cross the border are dropped.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    conjunctive: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        conjunctive = _exactly(self.conjunctive, np.bool_, "max-pool directions")
        if conjunctive.ndim != 1 or conjunctive.size == 0:
            raise ModelError(f"max-pool directions must have shape (channels,), not {conjunctive.shape}")
        _set(
            self,
            kernel=_pair(self.kernel, 1, "max-pool kernel"),
            stride=_pair(self.stride, 1, "max-pool stride"),
            conjunctive=conjunctive,
        )

    def __eq__(self, other: object) -> bool:
        return _same(self, other, ("kernel", "stride", "conjunctive"))


@dataclass(frozen=True, eq=False)
class Output:
    """Integer scores ``s[c] = (acc[c] << shift) + bias[c]`` with ``acc = weights @ flatten(input)``.

    weights: int8[classes, in] in {-1, 0, +1}, in counted in C, H, W order. bias: int32[classes]. shift: 0..24.
    The class is the arg max of the scores, the lowest index on a tie.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    shift: int = 0

    def __post_init__(self) -> None:
        weights = _ternary(self.weights, 2, "output weights")
        bias = _exactly(self.bias, np.int32, "output bias")
        if bias.shape != (weights.shape[0],):
            raise ModelError(f"output bias must have shape ({weights.shape[0]},), not {bias.shape}")
        _set(self, weights=weights, bias=bias, shift=_whole(self.shift, 0, 24, "output shift"))

    def __eq__(self, other: object) -> bool:
        return _same(self, other, ("weights", "bias", "shift"))


Hidden: TypeAlias = Dense | Conv | MaxPool


def layer_name(index: int, layer: Hidden | Output) -> str:
    """How messages and tables name a layer: ``layer 2 (conv)``, counted from 1."""
    return f"layer {index + 1} ({type(layer).__name__.lower()})"


def output_shape(layer: Hidden | Output, shape: Shape, where: str = "layer") -> Shape:
    """The shape that ``layer`` makes of an input of ``shape``; ModelError where the two do not fit."""
    channels, height, width = shape
    if isinstance(layer, (Dense, Output)):
        if layer.weights.shape[1] != channels * height * width:
            raise ModelError(f"{where} expects {layer.weights.shape[1]} inputs but gets {channels}x{height}x{width}")
        return (layer.weights.shape[0], 1, 1)
    if isinstance(layer, Conv):
        out, expected, kernel_h, kernel_w = layer.weights.shape
        if expected != channels:
            raise ModelError(f"{where} expects {expected} input channels but gets {channels}")
        rows = (height + 2 * layer.padding[0] - kernel_h) // layer.stride[0] + 1
        columns = (width + 2 * layer.padding[1] - kernel_w) // layer.stride[1] + 1
    else:
        out, (kernel_h, kernel_w) = channels, layer.kernel
        if layer.conjunctive.shape[0] != channels:
            raise ModelError(f"{where} has {layer.conjunctive.shape[0]} directions but gets {channels} channels")
        rows = (height - kernel_h) // layer.stride[0] + 1
        columns = (width - kernel_w) // layer.stride[1] + 1
    if rows < 1 or columns < 1:
        raise ModelError(f"{where} has a kernel of {kernel_h}x{kernel_w} that does not fit {height}x{width}")
    if out * rows * columns > MAX_ELEMENTS:
        raise ModelError(f"{where} makes {out}x{rows}x{columns} bits, more than {MAX_ELEMENTS}")
    if isinstance(layer, Conv) and layer.threshold.ndim == 3 and layer.threshold.shape[1:] != (rows, columns):
        raise ModelError(
            f"{where} makes {rows}x{columns} positions but has thresholds for "
            f"{layer.threshold.shape[1]}x{layer.threshold.shape[2]}"
        )
    return (out, rows, columns)


@dataclass(frozen=True)
class IntegerModel:
    """A whole network: quantizer, at least one hidden layer, output layer. See the module's first lines.

    Compare two models with ``==``: equal models have equal bytes and equal digests (bnnhw.model.digest).
    """

    quantizer: Quantizer
    hidden: tuple[Hidden, ...]
    output: Output

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not isinstance(self.quantizer, Quantizer) or not isinstance(self.output, Output):
            raise ModelError("a model needs a Quantizer first and an Output last")
        shape, highest = self.quantizer.shape, self.quantizer.levels
        for index, layer in enumerate((*self.hidden, self.output)):
            where = layer_name(index, layer)
            if index < len(self.hidden) and not isinstance(layer, (Dense, Conv, MaxPool)):
                raise ModelError(f"{where} cannot be a hidden layer: use Dense, Conv or MaxPool")
            if isinstance(layer, MaxPool):
                if highest != 1:
                    raise ModelError(f"{where} pools bits, so it cannot come before the first thresholded layer")
            else:
                fan_in = int(
                    np.abs(layer.weights.reshape(layer.weights.shape[0], -1)).sum(axis=1, dtype=np.int64).max()
                )
                if fan_in * highest >= INT32_MAX:
                    raise ModelError(f"{where} can accumulate {fan_in * highest}, beyond int32: reduce its inputs")
            shape = output_shape(layer, shape, where)
            if isinstance(layer, Output):
                largest = (fan_in * highest << layer.shift) + int(np.abs(layer.bias.astype(np.int64)).max())
                if largest >= INT32_MAX:
                    raise ModelError(f"{where} can make a score of {largest}, beyond int32: reduce shift or bias")
            elif not isinstance(layer, MaxPool):
                highest = 1

    @property
    def layers(self) -> tuple[Hidden | Output, ...]:
        """Every layer after the quantizer, the output layer last."""
        return (*self.hidden, self.output)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Activation shapes: ``shapes[i]`` enters ``layers[i]``; the last one is (classes, 1, 1)."""
        shapes = [self.quantizer.shape]
        for index, layer in enumerate(self.layers):
            shapes.append(output_shape(layer, shapes[-1], layer_name(index, layer)))
        return tuple(shapes)

    @property
    def classes(self) -> int:
        return int(self.output.weights.shape[0])
