"""Networks trained with EEV's method (Jia and Rinard, NeurIPS 2020), published as integer ``.npz`` files.

Weights, hidden biases and signs are integers already; a hidden bit is ``sign * (acc + bias) >= 0``. Two things are not:

- the input step q: pixel p becomes level ``round(p / 255 / q)``, half to even, and q is the decimal that it prints as;
- the output bias, a float: ``score[c] = sign[c] * (acc[c] + bias[c])``. Its exact value becomes an integer bias with
  the rank of the fractional part (`bnnhw.model.lowering.integer_biases`): the arg max and its ties are those of the
  exact scores.

The file does not say how large the images are: one input channel (or 784 inputs) means MNIST's 28x28, three (or 3072)
CIFAR-10's 32x32. It holds the predictions of the network for the first test images, an independent check.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.importers.archive import Archive, SourceError, rationals, take
from bnnhw.model import Conv, Dense, IntegerModel, Output, Quantizer, Shape
from bnnhw.model.lowering import integer_biases, step_thresholds

FORMAT = "eev"
PIXEL_MAX = 255
IMAGES: tuple[Shape, ...] = ((1, 28, 28), (3, 32, 32))
PREDICTIONS = "test_pred_first1000"


def recognises(archive: Archive) -> bool:
    return "kinds" in archive


def _weights(archive: Archive, index: int, dimensions: int) -> npt.NDArray[np.int8]:
    return take(archive, f"L{index}_weight", "i", (None,) * dimensions)


def _signs(archive: Archive, index: int, channels: int) -> npt.NDArray[np.int8]:
    signs = take(archive, f"L{index}_sign", "i", (channels,))
    if not np.isin(signs, (-1, 1)).all():
        raise SourceError(f"{archive.path}: L{index}_sign must hold only -1 and +1")
    return signs.astype(np.int8)


def _pair(archive: Archive, key: str) -> tuple[int, int]:
    first, second = take(archive, key, "i", (2,)).tolist()
    return int(first), int(second)


def _hidden(archive: Archive, index: int, kind: str) -> Conv | Dense:
    weights = _weights(archive, index, 4 if kind == "conv" else 2)
    # In int64: the layer refuses what int32 cannot hold.
    threshold: npt.NDArray[Any] = -take(archive, f"L{index}_bias", "i", (len(weights),)).astype(np.int64)
    less_equal = _signs(archive, index, len(weights)) < 0
    if kind == "linear":
        return Dense(weights, threshold, less_equal)
    stride, padding = _pair(archive, f"L{index}_stride"), _pair(archive, f"L{index}_padding")
    return Conv(weights, threshold, less_equal, stride, padding)


def _output(archive: Archive, index: int) -> Output:
    weights = _weights(archive, index, 2)
    signs = _signs(archive, index, len(weights))
    minus = [-int(s) * b for s, b in zip(signs, rationals(archive, f"L{index}_bias", len(weights)), strict=True)]
    bias, shift = integer_biases(minus, [Fraction(0)] * len(minus), Fraction(1), weights.shape[1])
    return Output(weights * signs[:, None], bias, shift)


def _image_shape(archive: Archive, first: Conv | Dense) -> Shape:
    inputs = first.weights.shape[1]
    for shape in IMAGES:
        if inputs == (shape[0] if isinstance(first, Conv) else prod(shape)):
            return shape
    raise SourceError(f"{archive.path}: a first layer with {inputs} inputs fits neither MNIST nor CIFAR-10")


def convert(archive: Archive) -> IntegerModel:
    """The IntegerModel of the network in ``archive``; SourceError where an array is missing or does not fit."""
    kinds = take(archive, "kinds", "U", (None,)).tolist()
    if kinds[-1] != "output" or not set(kinds[:-1]) <= {"flatten", "conv", "linear"}:
        raise SourceError(
            f"{archive.path}: its layers are {', '.join(kinds)}, but must be flatten, conv and linear, then one output"
        )
    hidden = [_hidden(archive, index, kind) for index, kind in enumerate(kinds[:-1]) if kind != "flatten"]
    if not hidden:
        raise SourceError(f"{archive.path} has no hidden layer")
    step = float(take(archive, "quant_step", "f", ())[()])
    if not isfinite(step):
        raise SourceError(f"{archive.path}: quant_step is {step}, which is no step")
    try:
        thresholds = step_thresholds(step, (0, PIXEL_MAX))
    except ValueError as error:
        raise SourceError(f"{archive.path}: {error}") from None
    quantizer = Quantizer(_image_shape(archive, hidden[0]), np.array(thresholds, np.int32), 0, PIXEL_MAX)
    return IntegerModel(quantizer, tuple(hidden), _output(archive, len(kinds) - 1))


def stored_predictions(archive: Archive) -> npt.NDArray[np.int64]:
    """int64[N]: the published classes of the first N images of the test set."""
    return take(archive, PREDICTIONS, "i", (None,)).astype(np.int64)
