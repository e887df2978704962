from collections.abc import Sequence

from bnnhw.verify import _checker

Formula = tuple[int, list[list[int]], list[tuple[int, int, list[tuple[int, int]], int]]]
"""Variables; clauses; of every constraint its name, output, terms (literal, weight) and bound."""
Fact = tuple[int, str, int, int, list[int], list[int]]
"""Number, kind, about, other, literals, antecedents, as in elaboration.hpp."""
Elaborated = tuple[Formula, list[tuple[int, int, int]], list[Fact], list[int]]
"""The formula, budget steps (literal, numerator, denominator), the facts needed, what the contradiction rests on."""

def trim_robust(networks: Sequence[_checker.Network], question: _checker.Question, proof: bytes) -> bytes:
    """The steps of a proof that its contradiction rests on; ValueError, with the step, where it is none.

    proof: its steps, decompressed.
    """

def trim_unsatisfiable(formula: bytes, proof: bytes) -> bytes:
    """The same of a proof that the `.knf` text has no model."""

def elaborate_robust(
    networks: Sequence[_checker.Network], question: _checker.Question, proof: bytes, with_clauses: bool
) -> Elaborated | None:
    """A proof with what each step rests on; the formula's last clauses are what the budget steps decide.

    with_clauses: constraints take part through clauses that they imply. None where the proof tries every way to meet a
    constraint, which is not followed. ValueError, with the step, where it is none.
    """

def elaborate_unsatisfiable(formula: bytes, proof: bytes, with_clauses: bool) -> Elaborated | None:
    """The same of a proof that the `.knf` text has no model."""
