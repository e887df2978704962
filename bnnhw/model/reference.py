"""Reference inference: a plain NumPy interpreter of the IntegerModel, the oracle for every other back end.

Slow and obviously right. Everything is int64; a convolution is the sum over its kernel taps of shifted windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.model.layers import Conv, Dense, Hidden, IntegerModel, MaxPool, ModelError, Output, Quantizer

Integers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trace:
    """What a batch of N images makes inside a network.

    levels: int64[N, C, H, W]. accumulators: per layer int64[N, C, H, W], None for a pooling layer (the last entry
    belongs to the output layer: [N, classes, 1, 1]). bits: per hidden layer bool[N, C, H, W].
    scores: int64[N, classes].
    """

    levels: Integers
    accumulators: tuple[Integers | None, ...]
    bits: tuple[Bits, ...]
    scores: Integers

    @property
    def predictions(self) -> Integers:
        return classify(self.scores)


def check_pixels(quantizer: Quantizer, pixels: npt.ArrayLike) -> npt.NDArray[np.integer]:
    """``pixels`` as an integer array [N, C, H, W] inside the declared range; ModelError otherwise."""
    array = np.asarray(pixels)
    if array.dtype.kind not in "iu":
        raise ModelError(f"pixels must be integers, not {array.dtype}: the model reads raw pixels")
    if array.ndim != 4 or array.shape[1:] != quantizer.shape:
        raise ModelError(f"pixels must have shape (N, {', '.join(map(str, quantizer.shape))}), not {array.shape}")
    low, high = quantizer.pixel_min, quantizer.pixel_max
    type_range = np.iinfo(array.dtype)
    # Bytes of a model that takes all of them need no look: that would be half the time of a single image.
    if (type_range.min < low or type_range.max > high) and array.size and (array.min() < low or array.max() > high):
        raise ModelError(f"pixels must lie in {low}..{high}, not {array.min()}..{array.max()}")
    return array


def quantize(quantizer: Quantizer, pixels: npt.ArrayLike) -> Integers:
    """Levels int64[N, C, H, W] of integer pixels [N, C, H, W]."""
    array = check_pixels(quantizer, pixels).astype(np.int64)
    levels = np.zeros(array.shape, np.int64)
    for threshold in quantizer.thresholds:
        levels += array >= threshold
    return levels


def accumulate(layer: Dense | Conv | Output, activations: npt.NDArray[np.generic]) -> Integers:
    """``sum w * a`` for activations [N, C, H, W]: int64[N, out, H', W']."""
    a = activations.astype(np.int64)
    w = layer.weights.astype(np.int64)
    if not isinstance(layer, Conv):
        accumulators: Integers = (a.reshape(a.shape[0], w.shape[1]) @ w.T)[:, :, None, None]
        return accumulators
    (stride_h, stride_w), (pad_h, pad_w) = layer.stride, layer.padding
    a = np.pad(a, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    rows = (a.shape[2] - w.shape[2]) // stride_h + 1
    columns = (a.shape[3] - w.shape[3]) // stride_w + 1
    accumulators = np.zeros((a.shape[0], w.shape[0], rows * columns), np.int64)
    taps = np.ascontiguousarray(w.transpose(2, 3, 0, 1))
    for y in range(w.shape[2]):
        for x in range(w.shape[3]):
            window = a[:, :, y : y + stride_h * rows : stride_h, x : x + stride_w * columns : stride_w]
            accumulators += np.einsum("oc,ncp->nop", taps[y, x], window.reshape(*a.shape[:2], rows * columns))
    return accumulators.reshape(*accumulators.shape[:2], rows, columns)


def threshold(layer: Dense | Conv, accumulators: Integers) -> Bits:
    """The output bits of a hidden layer's accumulators [N, out, H, W]."""
    t = layer.threshold.astype(np.int64)
    t = t[:, None, None] if t.ndim == 1 else t
    flipped = layer.less_equal[:, None, None]
    return np.where(flipped, accumulators <= t, accumulators >= t)


def pool(layer: MaxPool, bits: Bits) -> Bits:
    """OR (AND for conjunctive channels) over each window of bits [N, C, H, W]."""
    down, right = layer.stride
    rows = (bits.shape[2] - layer.kernel[0]) // down + 1
    columns = (bits.shape[3] - layer.kernel[1]) // right + 1
    taps = np.stack(
        [
            bits[:, :, y : y + down * (rows - 1) + 1 : down, x : x + right * (columns - 1) + 1 : right]
            for y in range(layer.kernel[0])
            for x in range(layer.kernel[1])
        ]
    )
    pooled: Bits = np.where(layer.conjunctive[:, None, None], taps.all(axis=0), taps.any(axis=0))
    return pooled


def scores_of(layer: Output, accumulators: Integers) -> Integers:
    """int64[N, classes] from the output layer's accumulators [N, classes, 1, 1]."""
    scores: Integers = (accumulators[:, :, 0, 0] << layer.shift) + layer.bias.astype(np.int64)
    return scores


def classify(scores: Integers) -> Integers:
    """Arg max over classes, the lowest index on a tie: int64[N]."""
    classes: Integers = np.argmax(scores, axis=1)
    return classes


def trace(model: IntegerModel, pixels: npt.ArrayLike) -> Trace:
    """Run integer pixels [N, C, H, W] and keep every intermediate value."""
    levels = quantize(model.quantizer, pixels)
    activations: npt.NDArray[np.generic] = levels
    accumulators: list[Integers | None] = []
    bits: list[Bits] = []
    layer: Hidden
    for layer in model.hidden:
        if isinstance(layer, MaxPool):
            accumulators.append(None)
            bits.append(pool(layer, activations.astype(np.bool_)))
        else:
            sums = accumulate(layer, activations)
            accumulators.append(sums)
            bits.append(threshold(layer, sums))
        activations = bits[-1]
    sums = accumulate(model.output, activations)
    return Trace(levels, (*accumulators, sums), tuple(bits), scores_of(model.output, sums))


def scores(model: IntegerModel, pixels: npt.ArrayLike) -> Integers:
    """Integer scores int64[N, classes] of integer pixels [N, C, H, W]."""
    return trace(model, pixels).scores


def predict(model: IntegerModel, pixels: npt.ArrayLike) -> Integers:
    """Predicted classes int64[N] of integer pixels [N, C, H, W]."""
    return classify(scores(model, pixels))
