"""Memory images for $readmemh: weights, thresholds and biases in the word order that the RTL reads.

Each function returns the words as whole numbers; ``text`` writes them, one hexadecimal word a line. The layouts are
described at the head of rtl/bnn_layer.sv, rtl/bnn_quantize.sv and rtl/bnn_scores.sv.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.folding import Stage
from bnnhw.model import Conv, MaxPool, Output, Quantizer


def text(words: Iterable[int], width: int) -> str:
    """One word a line, each ``width`` bits wide, negative ones in two's complement."""
    digits = (width + 3) // 4
    return "".join(f"{word & ((1 << width) - 1):0{digits}x}\n" for word in words)


def _joined(entries: Iterable[int], width: int) -> int:
    """Entries side by side in one word, the first one lowest."""
    word = 0
    for position, entry in enumerate(entries):
        word |= (int(entry) & ((1 << width) - 1)) << (position * width)
    return word


def pixel_width(quantizer: Quantizer) -> int:
    """Bits of one unsigned pixel value, counted from the smallest pixel."""
    return int(quantizer.pixel_max - quantizer.pixel_min).bit_length()


def quantizer_places(quantizer: Quantizer) -> int:
    """1 where all pixels share their thresholds, else the number of values of an image."""
    return 1 if quantizer.thresholds[0].size == 1 else int(np.prod(quantizer.shape))


def quantizer_words(quantizer: Quantizer) -> list[int]:
    """One word a place: the thresholds, counted from the smallest pixel and clipped to the pixel range."""
    span = quantizer.pixel_max - quantizer.pixel_min
    limits = np.clip(quantizer.thresholds.astype(np.int64) - quantizer.pixel_min, 0, span + 1)
    if quantizer_places(quantizer) > 1:
        limits = np.broadcast_to(limits, (quantizer.levels, *quantizer.shape))
    by_place = limits.transpose(2, 3, 1, 0).reshape(-1, quantizer.levels)
    return [_joined(place, pixel_width(quantizer) + 1) for place in by_place.tolist()]


def weight_words(stage: Stage) -> list[int]:
    """Word (group * taps + tap): {minus, plus} planes of lanes x input channels."""
    layer = stage.layer
    assert not isinstance(layer, MaxPool)
    shape = (stage.groups, stage.lanes, stage.source[0], stage.taps)
    weights = layer.weights.reshape(shape).transpose(0, 3, 1, 2)
    planes = np.stack([weights > 0, weights < 0], axis=2).reshape(stage.groups * stage.taps, -1)
    packed = np.packbits(planes, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def threshold_places(stage: Stage) -> int:
    """1 where a channel has one threshold, else the number of output positions."""
    if isinstance(stage.layer, Conv) and stage.layer.threshold.ndim == 3:
        return stage.made[1] * stage.made[2]
    return 1


def threshold_words(stage: Stage) -> list[int]:
    """Word (place * groups + group): lanes entries of {direction, threshold}, thresholds clipped to the reach."""
    layer = stage.layer
    assert not isinstance(layer, (MaxPool, Output))
    reach = (1 << (stage.acc_width - 1)) - 1
    limits = np.clip(layer.threshold.astype(np.int64), -reach - 1, reach)
    by_place: npt.NDArray[np.int64] = limits.reshape(stage.made[0], -1).T
    entries = np.where(layer.less_equal, 1 << stage.acc_width, 0) | (by_place & ((1 << stage.acc_width) - 1))
    rows = entries.reshape(-1, stage.lanes)
    return [_joined(row, stage.acc_width + 1) for row in rows.tolist()]


def bias_words(layer: Output) -> list[int]:
    """One signed 32-bit word a class."""
    return [int(b) for b in layer.bias]
