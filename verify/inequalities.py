"""Pseudo-Boolean inequalities and the cutting planes that derive them, in exact integers.

A sum of weight * [literal] >= degree with positive weights and one literal a variable. A constraint
out <-> sum >= bound is two of these: bound * [not out] + sum >= bound, and with T the total of the weights
(T - bound + 1) * [out] + sum of the opposites >= T - bound + 1 (Cook, Coullard and Turan, "On the complexity of
cutting-plane proofs", 1987, for the rules). Every inequality carries how it was derived, in VeriPB's reverse Polish
notation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import gcd

from bnnhw.verify.elaboration import Linear

__all__ = ["FALSE", "TRUE", "Inequality", "common_divisor", "halves", "of_terms"]

TRUE, FALSE = 0, 1


@dataclass(frozen=True)
class Inequality:
    """Sum of ``weights[literal]`` * [literal] >= ``degree``; ``derivation`` is what a `pol` step says of it."""

    weights: dict[int, int]
    degree: int
    derivation: str = ""

    def times(self, factor: int) -> Inequality:
        """A multiple."""
        if factor == 1:
            return self
        weights = {literal: factor * weight for literal, weight in self.weights.items()}
        return Inequality(weights, factor * self.degree, f"{self.derivation} {factor} *")

    def plus(self, other: Inequality) -> Inequality:
        """The sum, in which opposite literals cancel."""
        made = of_terms([*self.weights.items(), *other.weights.items()], self.degree + other.degree)
        return Inequality(made.weights, made.degree, f"{self.derivation} {other.derivation} +")

    def rewritten(self, images: Mapping[int, int], reason: Callable[[int, int], int]) -> Inequality:
        """Over what the literals read now. A true one is weakened away; reason: of any other change of a literal the
        number of the clause (not literal or image), of which a multiple makes the change."""
        terms, degree, derivation = [], self.degree, [self.derivation]
        for literal, weight in self.weights.items():
            image = images.get(literal, literal)
            if image == TRUE:
                degree -= weight
                derivation.append(f"x{literal // 2} w")
                continue
            terms.append((image, weight))
            if image != literal:
                number = reason(literal, image)
                derivation.append(f"{number} +" if weight == 1 else f"{number} {weight} * +")
        made = of_terms(terms, degree)
        return Inequality(made.weights, made.degree, " ".join(derivation))

    def divided(self, divisor: int) -> Inequality:
        """By a positive integer, everything rounded up."""
        if divisor == 1:
            return self
        weights = {literal: -(-weight // divisor) for literal, weight in self.weights.items()}
        return Inequality(weights, -(-self.degree // divisor), f"{self.derivation} {divisor} d")

    def saturated(self) -> Inequality:
        """With no weight above the degree."""
        weights = {literal: min(weight, self.degree) for literal, weight in self.weights.items()}
        return Inequality(weights, self.degree, f"{self.derivation} s")


def of_terms(terms: Iterable[tuple[int, int]], degree: int) -> Inequality:
    """Terms (literal, weight >= 0), in which literals may repeat or oppose each other, or be constant."""
    signed: dict[int, int] = {}
    for literal, weight in terms:
        if literal == TRUE:
            degree -= weight
        elif literal & 1 and literal != FALSE:
            # weight * [not v] is weight - weight * [v].
            signed[literal // 2] = signed.get(literal // 2, 0) - weight
            degree -= weight
        elif literal != FALSE:
            signed[literal // 2] = signed.get(literal // 2, 0) + weight
    weights = {}
    for variable, weight in signed.items():
        if weight > 0:
            weights[2 * variable] = weight
        elif weight < 0:
            weights[2 * variable + 1] = -weight
            degree -= weight
    return Inequality(weights, degree)


def halves(linear: Linear) -> tuple[Inequality, Inequality]:
    """What a constraint says where its output is true, and where it is false; trivial where it cannot be so."""
    total = sum(weight for _, weight in linear.terms)
    opposites = [(literal ^ 1, weight) for literal, weight in linear.terms]
    least = total - linear.bound + 1
    return (
        of_terms([(linear.out ^ 1, max(linear.bound, 0)), *linear.terms], linear.bound),
        of_terms([(linear.out, max(least, 0)), *opposites], least),
    )


def common_divisor(linear: Linear, images: Mapping[int, int]) -> int:
    """What divides the weights of the sum once every literal reads as its image; 1 where it decides nothing."""
    image = of_terms([(images.get(literal, literal), weight) for literal, weight in linear.terms], linear.bound)
    return gcd(*image.weights.values()) or 1 if image.degree > 0 else 1
