"""Exact arithmetic on numbers of the form ``a + b * sqrt(v)`` with rational a, b and v.

A batch norm's boundary is such a number, because a standard deviation is the square root of a rational variance. Signs
and floors are decided by squaring and by integer square roots: no rounding anywhere.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, isqrt


def sign(a: Fraction, b: Fraction, v: Fraction) -> int:
    """-1, 0 or +1: the sign of ``a + b * sqrt(v)``; v >= 0."""
    left = (a > 0) - (a < 0)
    right = ((b > 0) - (b < 0)) if v else 0
    if left == right or right == 0:
        return left
    if left == 0:
        return right
    square, other = a * a, b * b * v
    return left if square > other else right if square < other else 0


def floor_sum(a: Fraction, b: Fraction, v: Fraction) -> int:
    """``floor(a + b * sqrt(v))``; v >= 0."""
    square = b * b * v
    root = isqrt(floor(square))
    candidate = floor(a) + (root if b >= 0 else -root) - 2
    while sign(a - (candidate + 1), b, v) >= 0:
        candidate += 1
    return candidate


def ceil_sum(a: Fraction, b: Fraction, v: Fraction) -> int:
    """``ceil(a + b * sqrt(v))``; v >= 0."""
    return -floor_sum(-a, -b, v)


def approximate(a: Fraction, b: Fraction, v: Fraction, digits: int = 40) -> Fraction:
    """``a + b * sqrt(v)`` to about ``digits`` decimals, for messages only."""
    unit = 10**digits
    return a + Fraction(floor_sum(Fraction(0), b * unit, v), unit)
