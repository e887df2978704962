"""Networks and images of the collection msakai/bnn-verification (dense, 8-bit pixels, trained with Chainer).

The network, as its authors evaluate it (``sign(x) = +1`` for ``x >= 0``):

- input: ``a[i] = sign(gamma * (p[i] / 255 - mean) / sqrt(var + 2e-5) + beta)``, one batch norm a pixel;
- block k: ``a' = sign(gamma * (W a + b - mean) / sqrt(var + 2e-5) + beta)``, W by its sign, a in {-1, +1};
- output: ``score[c] = W[c] a + b[c]``, no batch norm.

With bits ``x = (a + 1) / 2`` an accumulator over {-1, +1} is ``W a = 2 * (W x) - sum(W)``, so the IntegerModel's own
accumulator is ``acc = W x`` and only the thresholds move. A pixel whose input scale is negative is ``<=``: its bit
is stored inverted and its column of the first W negated, which is the same function.

Scores are halved: ``score[c] / 2 = acc[c] + B[c]`` with ``B[c] = (b[c] - sum(W[c])) / 2`` real. The integer bias keeps
the integer part of B and the *rank* of its fractional part (`bnnhw.model.lowering.integer_biases`), so integer scores
compare exactly as the real ones do, equality included: two of the model's highest scores are equal exactly where the
network's are. That is all a property with another tie rule needs. The collection counts a tie with the label as
misclassified; IntegerModel prediction gives it to the lowest class. Where no two B have equal fractional parts, as in
both networks that were examined, no tie can occur and the two rules are one.

The model numbers pixels as the ``.npz`` does, pixel i in row ``i // 28``, and so do the collection's OPB files
(``x1`` is pixel 0). The data sets mnist_rot and mnist_back_image store a picture column by column, while their PNG
files show it upright: `read_image` transposes those.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bnnhw.importers.archive import Archive, SourceError, rationals, refuse_others, take
from bnnhw.model import Dense, IntegerModel, Output, Quantizer
from bnnhw.model.lowering import integer_biases, integer_threshold

FORMAT = "bnn-verification"
PIXEL_MAX = 255
SIDE = 28
EPSILON = Fraction(2, 100_000)
"""Chainer's addition to a batch norm's variance."""

COLUMNS_FIRST = {
    "mnist": False,
    "mnist_rot": True,
    "mnist_back_image": True,
    "mnist_rot_reordered": False,
    "mnist_back_image_reordered": False,
}
"""The collection's data sets: does the network number the pixels of a picture column by column?"""

_BATCH_NORM = ("N", "avg_mean", "avg_var", "beta", "gamma")


def recognises(archive: Archive) -> bool:
    return "input_bn/gamma" in archive


@dataclass(frozen=True)
class _BatchNorm:
    """``z = gamma * (x - mean) / sqrt(variance) + beta`` for each channel; variance already holds epsilon."""

    gamma: list[Fraction]
    beta: list[Fraction]
    mean: list[Fraction]
    variance: list[Fraction]


def _batch_norm(archive: Archive, name: str, channels: int) -> _BatchNorm:
    variance = [value + EPSILON for value in rationals(archive, f"{name}/avg_var", channels)]
    if min(variance) <= 0:
        raise SourceError(f"{archive.path}: {name}/avg_var is negative: it is no variance")
    return _BatchNorm(
        rationals(archive, f"{name}/gamma", channels),
        rationals(archive, f"{name}/beta", channels),
        rationals(archive, f"{name}/avg_mean", channels),
        variance,
    )


def _bipolar(archive: Archive, key: str, inputs: int) -> npt.NDArray[np.int8]:
    """Weights int8[out, inputs] in {-1, +1}: the sign of each float, 0 counting as +1."""
    weights = take(archive, key, "f", (None, inputs))
    if np.isnan(weights).any():
        raise SourceError(f"{archive.path}: {key} has a value that is not a number: the network did not train")
    return np.where(weights >= 0, 1, -1).astype(np.int8)


def _input(archive: Archive, pixels: int) -> tuple[Quantizer, npt.NDArray[np.int8]]:
    """The quantizer, one threshold a pixel, and for each pixel +1, or -1 where its bit is stored inverted."""
    norm = _batch_norm(archive, "input_bn", pixels)
    thresholds, signs = [], []
    for gamma, beta, mean, variance in zip(norm.gamma, norm.beta, norm.mean, norm.variance, strict=True):
        t, less_equal = integer_threshold(gamma / PIXEL_MAX, beta, mean * PIXEL_MAX, variance, 0, PIXEL_MAX)
        thresholds.append(t + 1 if less_equal else t)
        signs.append(-1 if less_equal else 1)
    side = isqrt(pixels)
    shape = (1, side, side) if side * side == pixels else (1, 1, pixels)
    return Quantizer(shape, np.array(thresholds).reshape(1, *shape), 0, PIXEL_MAX), np.array(signs, np.int8)


def _dense(archive: Archive, name: str, weights: npt.NDArray[np.int8]) -> Dense:
    """The hidden layer ``name`` with ``weights`` as they act on the stored bits."""
    norm = _batch_norm(archive, f"{name}/bn", len(weights))
    offset = rationals(archive, f"{name}/lin/b", len(weights))
    made = []
    for channel, row in enumerate(weights.astype(np.int64)):
        # W a + b - mean = 2 * (acc - middle), with acc = W x over bits x.
        middle = (norm.mean[channel] - offset[channel] + int(row.sum())) / 2
        low, high = int(np.minimum(row, 0).sum()), int(np.maximum(row, 0).sum())
        made.append(
            integer_threshold(2 * norm.gamma[channel], norm.beta[channel], middle, norm.variance[channel], low, high)
        )
    return Dense(weights, np.array([t for t, _ in made]), np.array([flipped for _, flipped in made]))


def _output(archive: Archive, inputs: int) -> Output:
    weights = _bipolar(archive, "output_lin/W", inputs)
    sums = weights.sum(axis=1, dtype=np.int64).tolist()
    minus = [(total - b) / 2 for total, b in zip(sums, rationals(archive, "output_lin/b", len(sums)), strict=True)]
    bias, shift = integer_biases(minus, [Fraction(0)] * len(sums), Fraction(1), inputs)
    return Output(weights, bias, shift)


def convert(archive: Archive) -> IntegerModel:
    """The IntegerModel with the bits, the class and the ties of the network in ``archive``, in exact arithmetic.

    Raises SourceError where an array is missing, unknown, not finite or of another shape.
    """
    blocks = next(k for k in count() if f"blocks/{k}/lin/W" not in archive)
    if not blocks:
        raise SourceError(f"{archive.path} has no array 'blocks/0/lin/W': it is not a whole model of this format")
    known = {f"input_bn/{part}" for part in _BATCH_NORM} | {"output_lin/W", "output_lin/b"}
    for k in range(blocks):
        known |= {f"blocks/{k}/bn/{part}" for part in _BATCH_NORM} | {f"blocks/{k}/lin/{part}" for part in "Wb"}
    refuse_others(archive, known)
    width = take(archive, "input_bn/gamma", "f", (None,)).size
    quantizer, signs = _input(archive, width)
    hidden = []
    for k in range(blocks):
        weights = _bipolar(archive, f"blocks/{k}/lin/W", width)
        hidden.append(_dense(archive, f"blocks/{k}", weights * signs if k == 0 else weights))
        width = len(weights)
    return IntegerModel(quantizer, tuple(hidden), _output(archive, width))


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """pixels: uint8[1, 28, 28] in the order in which the collection's networks number them. label: the true class."""

    pixels: npt.NDArray[np.uint8]
    label: int


def read_image(path: str | os.PathLike[str]) -> LabelledImage:
    """An 8-bit image of the collection, ``bnn_DATASET_NUMBER_labelLABEL.png``; SourceError for any other file."""
    name = os.fspath(path)
    parts = re.fullmatch(r"bnn_(\w+)_\d+_label(\d)", Path(name).stem)
    if parts is None or parts[1] not in COLUMNS_FIRST:
        raise SourceError(
            f"{name}: a picture's name must read bnn_DATASET_NUMBER_labelLABEL.png, with DATASET one of "
            f"{', '.join(COLUMNS_FIRST)}: it carries the label and the order of the pixels"
        )
    try:
        with Image.open(name, formats=["PNG"]) as picture:
            # Checked before the pixels are decoded, so that a small file cannot unpack to a huge one.
            if picture.mode != "L" or picture.size != (SIDE, SIDE):
                raise SourceError(
                    f"{name} must be an 8-bit grey picture of {SIDE}x{SIDE} pixels, not {picture.mode} of "
                    f"{picture.size[0]}x{picture.size[1]}"
                )
            pixels = np.array(picture, np.uint8)
    except SourceError:
        raise
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise SourceError(f"{name} cannot be read as a PNG picture: {error}") from None
    upright = pixels.T if COLUMNS_FIRST[parts[1]] else pixels
    return LabelledImage(np.ascontiguousarray(upright)[None], int(parts[2]))
