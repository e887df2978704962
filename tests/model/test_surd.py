"""Exact arithmetic with square roots, against 120-digit decimals and against perfect squares."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.model.surd import approximate, ceil_sum, floor_sum, sign

rationals = st.fractions(-(10**6), 10**6, max_denominator=10**6)
nonnegative = st.fractions(0, 10**6, max_denominator=10**6)
exact = settings(derandomize=True, deadline=None, max_examples=300)


def decimal(a: Fraction, b: Fraction, v: Fraction) -> Decimal:
    def convert(x: Fraction) -> Decimal:
        return Decimal(x.numerator) / Decimal(x.denominator)

    return convert(a) + convert(b) * convert(v).sqrt()


@exact
@given(a=rationals, b=rationals, v=nonnegative)
def test_sign_and_floor_agree_with_decimals(a: Fraction, b: Fraction, v: Fraction) -> None:
    with localcontext() as context:
        context.prec = 120
        value = decimal(a, b, v)
        if abs(value) > Decimal(10) ** -60:
            assert sign(a, b, v) == (1 if value > 0 else -1)
        nearest = value.to_integral_value()
        if abs(value - nearest) > Decimal(10) ** -60:
            floor = int(value.to_integral_value(ROUND_FLOOR))
            assert floor_sum(a, b, v) == floor
            assert ceil_sum(a, b, v) == floor + 1
        assert abs(Fraction(value) - approximate(a, b, v)) < Fraction(1, 10**30)


@exact
@given(root=nonnegative, b=rationals, target=rationals)
def test_perfect_squares_are_decided_as_rationals(root: Fraction, b: Fraction, target: Fraction) -> None:
    v = root * root
    for value in (target, Fraction(round(target))):
        a = value - b * root
        assert sign(a, b, v) == (value > 0) - (value < 0)
        assert floor_sum(a, b, v) == value.numerator // value.denominator
        assert ceil_sum(a, b, v) == -(-value.numerator // value.denominator)
