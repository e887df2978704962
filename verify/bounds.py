"""Exact integer interval bounds, layer by layer: which bits of the network can change inside the ball at all.

Interval arithmetic on integers is exact for each neuron taken alone: ``max(A @ a) = positive @ high - negative @ low``
is reached when inputs vary independently, so a neuron decided here is decided, and a rival class whose largest score
difference stays below what it needs can never win. Most queries on a well-trained network end at this stage; the
others hand the undecided bits to the encoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.model.reference import quantize
from bnnhw.verify.network import Bits, Integers, Network, Pool
from bnnhw.verify.properties import LinfRobustness


@dataclass(frozen=True, eq=False)
class Bounds:
    """Intervals of every activation over the ball, and the rivals that may still win.

    level_low, level_high: int64[inputs]. bit_low, bit_high: per hidden layer bool[outputs]; a bit is undecided where
    they differ. rivals: the classes that interval reasoning cannot exclude.
    """

    level_low: Integers
    level_high: Integers
    bit_low: tuple[Bits, ...]
    bit_high: tuple[Bits, ...]
    rivals: tuple[int, ...]

    @property
    def undecided(self) -> tuple[int, ...]:
        """Number of undecided bits per hidden layer."""
        return tuple(int((low != high).sum()) for low, high in zip(self.bit_low, self.bit_high, strict=True))


def propagate(network: Network, query: LinfRobustness) -> Bounds:
    """Bounds of every layer for one query."""
    box_low, box_high = query.box(network.quantizer)
    low = level_low = quantize(network.quantizer, box_low[None]).reshape(-1)
    high = level_high = quantize(network.quantizer, box_high[None]).reshape(-1)
    lows: list[Bits] = []
    highs: list[Bits] = []
    for layer in network.hidden:
        if isinstance(layer, Pool):
            size = np.diff(layer.windows.indptr)
            count_low, count_high = layer.windows @ low, layer.windows @ high
            bit_low = np.where(layer.conjunctive, count_low == size, count_low > 0)
            bit_high = np.where(layer.conjunctive, count_high == size, count_high > 0)
        else:
            least = layer.positive @ low - layer.negative @ high
            most = layer.positive @ high - layer.negative @ low
            bit_low = np.where(layer.less_equal, most <= layer.threshold, least >= layer.threshold)
            bit_high = np.where(layer.less_equal, least <= layer.threshold, most >= layer.threshold)
        lows.append(bit_low)
        highs.append(bit_high)
        low, high = bit_low.astype(np.int64), bit_high.astype(np.int64)
    classes, differences, needed = network.rivals(query.label)
    most = np.maximum(differences, 0) @ high + np.minimum(differences, 0) @ low
    rivals = tuple(int(c) for c in classes[most >= needed])
    return Bounds(level_low, level_high, tuple(lows), tuple(highs), rivals)
