"""What the hardware's neurons count: every weight as something to add, every threshold as a number to reach.

A sum ``acc = sum w * a`` of levels ``a`` in 0..L is ``count - L * minus``, where the count adds ``a`` for a weight +1
and ``L - a`` for a weight -1, and ``minus`` is how many weights are -1. A count never falls while it is made, so:

- ``acc >= t`` is ``count >= t + L * minus``, and ``acc <= t`` is its opposite with ``t + 1``;
- a counter may stop (saturate) at the largest threshold of its layer without changing any bit;
- counting the opposite of every input gives ``reach - count``, where ``reach = L * (number of weights)``, so a neuron
  counts whichever of the two needs the smaller threshold. Training with cardinality bound decay (Jia and Rinard, 2020)
  makes thresholds small, which makes these counters short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.model import Conv, Dense, Output


@dataclass(frozen=True, eq=False)
class Counting:
    """A layer's neurons as counters.

    weights: int8[out, in]; +1 adds a level, -1 adds L less the level. threshold: int64[out, places], from 0 to reach
    (empty for the output layer), places is 1 or the number of positions. inverted: bool[out, places]; bit = (count >=
    threshold) != inverted. bias: int64[out], what a sum has less than its count. width: bits of a counter.
    """

    weights: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.int64]
    inverted: npt.NDArray[np.bool_]
    bias: npt.NDArray[np.int64]
    width: int


def counting(layer: Conv | Dense | Output, highest: int) -> Counting:
    """The counters of a layer whose inputs are levels 0..highest."""
    weights = layer.weights.reshape(len(layer.weights), -1)
    reach = highest * np.count_nonzero(weights, axis=1).astype(np.int64)
    bias = highest * np.count_nonzero(weights < 0, axis=1).astype(np.int64)
    if isinstance(layer, Output):
        nothing = np.zeros((len(weights), 0), np.int64)
        return Counting(weights, nothing, nothing.astype(bool), bias, max(1, int(reach.max()).bit_length()))
    less_equal = layer.less_equal[:, None]
    threshold = layer.threshold.reshape(len(weights), -1).astype(np.int64) + bias[:, None] + less_equal
    threshold = np.clip(threshold, 0, reach[:, None] + 1)
    inverted = np.broadcast_to(less_equal, threshold.shape).copy()

    opposite = reach[:, None] + 1 - threshold
    turned = _largest(opposite, reach) < _largest(threshold, reach)
    weights = np.where(turned[:, None], -weights, weights).astype(np.int8)
    threshold = np.where(turned[:, None], opposite, threshold)
    inverted ^= turned[:, None]
    bias = np.where(turned, reach - bias, bias)

    # A threshold out of reach is never met: the opposite of 0, which always is.
    never = threshold > reach[:, None]
    threshold = np.where(never, 0, threshold)
    inverted ^= never
    return Counting(weights, threshold, inverted, bias, max(1, int(threshold.max()).bit_length()))


def _largest(threshold: npt.NDArray[np.int64], reach: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The largest threshold of each neuron that its count can meet and miss."""
    decides = (threshold > 0) & (threshold <= reach[:, None])
    largest: npt.NDArray[np.int64] = np.where(decides, threshold, 0).max(axis=1)
    return largest
