"""The exact steps of every lowering: input steps and real boundaries as integer thresholds, real offsets as biases.

A batch norm followed by a sign asks whether ``scale * (acc - mean) / sqrt(variance) + shift >= 0``. All its parameters
are rational numbers, so the boundary is known exactly, and since acc is an integer the question is one comparison with
an integer: the ceiling of the boundary (the floor, and ``<=``, where the scale is negative). Nothing is rounded on the
way (Jia and Rinard, NeurIPS 2020, fold in float32).

In an output layer, ``acc[c] + B[c] > acc[d] + B[d]`` with real B depends only on the integer parts of B and on the
*order* of the fractional parts. So the integer bias is the integer part, shifted, plus the rank of the fractional part:
the arg max and its ties come out the same for every input.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bnnhw.model.surd import ceil_sum, floor_sum, sign


def step_thresholds(step: float | str | Fraction, pixel_range: tuple[int, int]) -> tuple[int, ...]:
    """Integer thresholds of the round-to-step quantizer ``level(x) = round(x / step)``, x the pixel scaled to [0, 1].

    Rounding is half to even, as in torch. step: in (0, 1]; a float means the decimal it prints as, so 0.61 is 61/100.
    Level j begins at the smallest pixel p with ``x / step > j - 1/2``, or ``= j - 1/2`` when j is even.

    >>> step_thresholds(0.61, (0, 255))
    (78, 234)

    Raises ValueError for a step outside (0, 1], or one so fine that there are more levels than pixel values.
    """
    exact = step if isinstance(step, Fraction) else Fraction(str(step))
    if not 0 < exact <= 1:
        raise ValueError(f"quantizer step {step} must lie in (0, 1]: it is a fraction of the pixel range")
    low, high = pixel_range
    levels = round(1 / exact)
    if levels > high - low:
        raise ValueError(f"quantizer step {step} makes {levels} levels of {high - low + 1} pixel values: enlarge it")
    thresholds = []
    for level in range(1, levels + 1):
        boundary = (level - Fraction(1, 2)) * exact * (high - low)
        first = -(-boundary.numerator // boundary.denominator)
        if first == boundary and level % 2:
            first += 1
        thresholds.append(low + first)
    return tuple(thresholds)


def integer_threshold(
    scale: Fraction, shift: Fraction, mean: Fraction, variance: Fraction, low: int, high: int
) -> tuple[int, bool]:
    """``(t, less_equal)`` such that, for every integer acc in low..high, ``scale * (acc - mean) / sqrt(variance) +
    shift >= 0`` exactly when ``acc <= t`` (if less_equal) or ``acc >= t``.

    t is clipped to low..high+1 (low-1..high for ``<=``), which keeps channels that never change within int32.
    """
    if scale == 0:
        return (low if shift >= 0 else high + 1), False
    slope = -shift / scale
    if scale > 0:
        return min(max(ceil_sum(mean, slope, variance), low), high + 1), False
    return min(max(floor_sum(mean, slope, variance), low - 1), high), True


def integer_biases(
    mean: list[Fraction], slope: list[Fraction], variance: Fraction, reach: int
) -> tuple[npt.NDArray[np.int32], int]:
    """``(bias, shift)`` for real offsets ``B[c] = slope[c] * sqrt(variance) - mean[c]``.

    For all integers acc[c] in -reach..reach, comparing ``(acc[c] << shift) + bias[c]`` with that of d gives the same
    answer (<, =, >) as comparing ``acc[c] + B[c]`` with ``acc[d] + B[d]``, except between classes that both can never
    win. Biases are relative to the largest integer part; those that can never win are clipped.
    """
    whole = [floor_sum(-m, s, variance) for m, s in zip(mean, slope, strict=True)]

    def compare(c: int, d: int) -> int:
        return sign((-mean[c] - whole[c]) - (-mean[d] - whole[d]), slope[c] - slope[d], variance)

    order = sorted(range(len(mean)), key=cmp_to_key(compare))
    rank = [0] * len(mean)
    for before, after in pairwise(order):
        rank[after] = rank[before] + (compare(before, after) != 0)
    shift = rank[order[-1]].bit_length()
    top, lowest = max(whole), -2 * reach - 2
    biases = [(max(part - top, lowest) << shift) + r for part, r in zip(whole, rank, strict=True)]
    return np.array(biases, np.int32), shift
