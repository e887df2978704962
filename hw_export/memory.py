"""Memory images for $readmemh: weights, thresholds and biases in the word order that the RTL reads.

Each function returns the words as whole numbers; ``text`` writes them, one hexadecimal word a line. The layouts are
described at the head of rtl/bnn_mvtu.sv, rtl/bnn_quantize.sv and rtl/bnn_scores.sv.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.counting import Counting
from bnnhw.hw_export.stage import Stage
from bnnhw.model import IntegerModel, Output, Quantizer

if TYPE_CHECKING:
    from bnnhw.hw_export.folding import Plan


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


def lane_width(model: IntegerModel) -> int:
    """Bits of the input's TDATA that a pixel value takes: rounded up to whole bytes."""
    return (pixel_width(model.quantizer) + 7) // 8 * 8


def quantizer_shared(quantizer: Quantizer) -> bool:
    """Whether all pixels have the same thresholds."""
    return int(quantizer.thresholds[0].size) == 1


def quantizer_word_width(plan: Plan, quantizer: Quantizer) -> int:
    """Bits of a quantizer word: the thresholds of one value, or of all values of a beat."""
    own = 1 if quantizer_shared(quantizer) else plan.values
    return own * quantizer.levels * (pixel_width(quantizer) + 1)


def quantizer_words(plan: Plan, quantizer: Quantizer) -> list[int]:
    """One word for all beats or one for each: thresholds, counted from the smallest pixel, clipped to the range."""
    span = quantizer.pixel_max - quantizer.pixel_min
    limits = np.clip(quantizer.thresholds.astype(np.int64) - quantizer.pixel_min, 0, span + 1)
    if not quantizer_shared(quantizer):
        limits = np.broadcast_to(limits, (quantizer.levels, *quantizer.shape))
    by_place = limits.transpose(2, 3, 1, 0).reshape(1 if quantizer_shared(quantizer) else plan.beats, -1)
    return [_joined(place, pixel_width(quantizer) + 1) for place in by_place.tolist()]


def _counting(stage: Stage) -> Counting:
    assert stage.counting is not None
    return stage.counting


def weight_planes(stage: Stage) -> npt.NDArray[np.bool_]:
    """Bits of the weight memory: [word, plane, neuron, input], the plane of weights +1 first."""
    out, in_c, simd = stage.made[0], stage.source[0], stage.simd
    # [out, channel, position] to the order in which a neuron's inputs come: positions, in each its channels.
    ordered = _counting(stage).weights.reshape(out, in_c, -1).transpose(0, 2, 1)
    folded = ordered.reshape(stage.groups, stage.pe, stage.taps * stage.slices, simd).transpose(0, 2, 1, 3)
    return np.stack([folded > 0, folded < 0], axis=2).reshape(-1, 2, stage.pe, simd)


def weight_columns(stage: Stage) -> npt.NDArray[np.bool_]:
    """The weight memory: [word, bit]."""
    planes = weight_planes(stage)
    return planes.reshape(len(planes), -1)


def weight_words(stage: Stage) -> list[int]:
    """Word ((group * taps + tap) * slices + slice): {minus, plus} planes of PE x SIMD."""
    packed = np.packbits(weight_columns(stage), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def threshold_places(stage: Stage) -> int:
    """1 where a channel has one threshold, else the number of output positions."""
    return int(_counting(stage).threshold.shape[1])


def threshold_entries(stage: Stage) -> npt.NDArray[np.int64]:
    """Entries {inverted, threshold} of the threshold memory: [word, neuron]."""
    counts = _counting(stage)
    entries: npt.NDArray[np.int64] = (counts.inverted.astype(np.int64) << counts.width) | counts.threshold
    return entries.T.reshape(-1, stage.pe)


def threshold_columns(stage: Stage) -> npt.NDArray[np.bool_]:
    """The threshold memory: [word, bit]; of the output layer, a word without bits."""
    if isinstance(stage.layer, Output):
        return np.zeros((1, 0), bool)
    entries = threshold_entries(stage)
    return ((entries[:, :, None] >> np.arange(_counting(stage).width + 1)) & 1).astype(bool).reshape(len(entries), -1)


def threshold_words(stage: Stage) -> list[int]:
    """Word (place * groups + group): PE entries of {inverted, threshold}."""
    return [_joined(row, _counting(stage).width + 1) for row in threshold_entries(stage).tolist()]


def bias_words(layer: Output, counts: Counting) -> list[int]:
    """One signed 32-bit word a class: what a score has more than its shifted count, in 32-bit arithmetic."""
    words = layer.bias.astype(np.int64) - (counts.bias << layer.shift)
    return [int(b) for b in words]
