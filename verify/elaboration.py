"""A certificate's proof with what each of its steps rests on, for translation into the formats of other checkers.

The formula is the one that the checker works out from the model files and the question, or reads from a `.knf` text, by
its own code. Literals are 2 * variable, plus one if negated; variable 0 is true.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from bnnhw.model import decode
from bnnhw.verify import _elaborator
from bnnhw.verify.certificate import Certificate, Known, ProofLog, asked, expanded, for_checker
from bnnhw.verify.check import Limits, Plan, check
from bnnhw.verify.network import build

SEARCH_SECONDS = 60
"""For a proof that can be translated, where the certificate has another."""

__all__ = ["BudgetStep", "Elaboration", "Fact", "Linear", "elaborate"]


@dataclass(frozen=True)
class Linear:
    """out <-> sum of weight * [literal] >= bound, with positive weights; literals may repeat or oppose each other."""

    name: int
    out: int
    terms: tuple[tuple[int, int], ...]
    bound: int


@dataclass(frozen=True)
class BudgetStep:
    """The literal holds as its constraint plus numerator / denominator times the budget's leaves it no choice."""

    literal: int
    numerator: int
    denominator: int


@dataclass(frozen=True)
class Fact:
    """What the contradiction rests on: an input clause, a version of a constraint, a literal fixed for good, a lemma,
    an equality of two literals, or a clause that one version implies (verify/elaborator/elaboration.hpp)."""

    number: int
    kind: str
    about: int
    other: int
    literals: tuple[int, ...]
    antecedents: tuple[int, ...]

    def images(self) -> dict[int, int]:
        """Of a version or equality: what stands for a literal of the constraints as the formula has them."""
        pairs = self.literals[2:] if self.kind == "equality" else self.literals
        given = dict(zip(pairs[::2], pairs[1::2], strict=True))
        return given | {literal ^ 1: image ^ 1 for literal, image in given.items()}


@dataclass(frozen=True)
class Elaboration:
    """A formula and, in the order in which they were found, the facts that refute it.

    ``clauses`` are the formula's; an input fact beyond them is about a budget step, in their order.
    """

    variables: int
    clauses: tuple[tuple[int, ...], ...]
    constraints: tuple[Linear, ...]
    budget_steps: tuple[BudgetStep, ...]
    facts: tuple[Fact, ...]
    contradiction: tuple[int, ...]

    def last_uses(self) -> dict[int, list[int]]:
        """By fact the lemmas that it is the last to rest on."""
        last: dict[int, int] = {}
        for fact in self.facts:
            last |= dict.fromkeys(fact.antecedents, fact.number)
        for number in self.contradiction:
            last.pop(number, None)
        ends: dict[int, list[int]] = {}
        for fact in self.facts:
            if fact.kind == "lemma" and fact.number in last:
                ends.setdefault(last[fact.number], []).append(fact.number)
        return ends


def elaborate(certificate: Certificate, known: Known, with_clauses: bool) -> Elaboration:
    """The elaboration of the proof of a certificate that holds; ValueError, with the reason, where it has none.

    with_clauses: constraints take part only through the clauses that they imply, which are facts as well.
    """
    if certificate.verdict == "falsified":
        raise ValueError("a falsified verdict has no proof to translate: its certificate holds the counterexample")
    return of_proof(certificate, known, expanded(certificate), with_clauses)


def _searched(certificate: Certificate, known: Known) -> bytes:
    """A proof of the solver's, instead of one that tries every image within the budget: no other format says that."""
    manifest = certificate.manifest
    if certificate.verdict != "robust":
        raise ValueError("the proof tries every way to meet a constraint, which other formats cannot say")
    networks = [build(decode(known.models[digest])) for digest in manifest["models"]]
    with ProofLog() as log:
        plan = Plan(most_subsets=0)
        verdict = check(networks, asked(manifest["question"]), Limits(SEARCH_SECONDS), plan=plan, proof=log)
        if verdict.status != "robust":
            raise ValueError(
                "the proof tries every image within the budget, which other formats cannot say, and in "
                f"{SEARCH_SECONDS} seconds the solver finds no other"
            )
        log.finish()
        return zlib.decompress(b"".join(log.pieces()))


def of_proof(certificate: Certificate, known: Known, proof: bytes, with_clauses: bool) -> Elaboration:
    """The elaboration of another proof of what the certificate says; ValueError, with the step, where it is none."""
    manifest = certificate.manifest
    if certificate.verdict == "unsatisfiable":
        made = _elaborator.elaborate_unsatisfiable(known.formulas[manifest["formula"]], proof, with_clauses)
    else:
        networks = [known.network(digest) for digest in manifest["models"]]
        made = _elaborator.elaborate_robust(networks, for_checker(manifest["question"]), proof, with_clauses)
    if made is None:
        return of_proof(certificate, known, _searched(certificate, known), with_clauses)
    (variables, clauses, constraints), budget, facts, contradiction = made
    return Elaboration(
        variables,
        tuple(tuple(clause) for clause in clauses[: len(clauses) - len(budget)]),
        tuple(Linear(name, out, tuple(terms), bound) for name, out, terms, bound in constraints),
        tuple(BudgetStep(*step) for step in budget),
        tuple(
            Fact(number, kind, about, other, tuple(literals), tuple(basis))
            for number, kind, about, other, literals, basis in facts
        ),
        tuple(contradiction),
    )
