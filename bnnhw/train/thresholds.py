"""Input thresholds chosen from the data: as few pixels as possible that an adversary can push over one.

A pixel p can change its level within radius r exactly when a threshold t has ``p - r < t <= p + r``. On MNIST nearly
all pixels are near black or near white, and one threshold between them leaves a third of the free bits of the usual
round-to-step quantizer. A threshold that no pixel crosses would leave none, and say nothing: so every level must keep a
share of the pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEAST_SHARE = 0.03
"""Each level keeps at least this share of the pixels."""


def free_pixels(histogram: npt.NDArray[np.int64], thresholds: tuple[int, ...], radius: int) -> int:
    """How many pixels can change their level; histogram[v] counts those of value ``v`` above the lowest."""
    values = np.arange(len(histogram))
    free = np.zeros(len(histogram), bool)
    for threshold in thresholds:
        free |= (values - radius < threshold) & (threshold <= values + radius)
    return int(histogram[free].sum())


def choose_thresholds(
    pixels: npt.NDArray[np.integer], pixel_range: tuple[int, int], radius: int, count: int, least: float = LEAST_SHARE
) -> tuple[int, ...]:
    """The ``count`` rising thresholds with the fewest free pixels, such that each level holds ``least`` of the pixels.

    pixels: integers of any shape within ``pixel_range``. radius: pixel units. Equal choices are settled in favour of
    thresholds near the middle of the range. Exact: balls have one width, so what a threshold frees anew depends on the
    one before it alone, and dynamic programming goes from one to the next. ValueError when no choice keeps the share.
    """
    low, high = pixel_range
    histogram = np.bincount(np.asarray(pixels).reshape(-1).astype(np.int64) - low, minlength=high - low + 1)
    below = np.concatenate([[0], np.cumsum(histogram)])
    total = int(below[-1])
    span = len(histogram)
    middle = span // 2

    def between(start: int, end: int) -> int:
        """Pixels of values start..end - 1."""
        start, end = max(0, start), min(span, end)
        return int(below[end] - below[start]) if start < end else 0

    # best[t]: the cost of the best thresholds that end in t: free pixels first, then distance from the middle.
    Cost = tuple[int, int]
    best: dict[int, tuple[Cost, tuple[int, ...]]] = {0: ((0, 0), ())}
    for _ in range(count):
        found: dict[int, tuple[Cost, tuple[int, ...]]] = {}
        for before, ((free, away), chosen) in best.items():
            for threshold in range(before + 1, span):
                if between(before, threshold) < least * total:
                    continue
                # Pixels of values threshold - radius .. threshold + radius - 1 are free; some already were.
                start = max(threshold - radius, before + radius) if chosen else threshold - radius
                cost = (free + between(start, threshold + radius), away + abs(threshold - middle))
                if threshold not in found or (cost, (*chosen, threshold)) < found[threshold]:
                    found[threshold] = (cost, (*chosen, threshold))
        best = found
    ends = [entry for threshold, entry in best.items() if total - int(below[threshold]) >= least * total]
    if not ends:
        raise ValueError(
            f"no {count} input thresholds leave each level {least:.0%} of the pixels: use fewer levels, or state them"
        )
    return tuple(low + threshold for threshold in min(ends)[1])
