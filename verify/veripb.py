"""Certificates as an OPB formula and a proof in VeriPB's format, version 2.0.

VeriPB (Gocht and Nordstrom, "Certifying parity reasoning efficiently using pseudo-Boolean proofs", AAAI 2021) checks
cutting planes and reverse unit propagation over pseudo-Boolean inequalities. A reified constraint is two of these,
with a large weight on its output. Slack propagation finds on them whatever it finds on the constraint, so a lemma is
one `rup` step. A constraint written anew is a `pol` step: what is fixed is weakened away or cancelled with its unit, a
literal is replaced by adding the clause that makes it imply the other, and the rest is divided. Two constraints with
one sum add up to a clause, and a budget step is the sum it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from bnnhw.verify.certificate import Certificate, Known
from bnnhw.verify.elaboration import BudgetStep, Elaboration, Fact, Linear, elaborate
from bnnhw.verify.inequalities import FALSE, TRUE, Inequality, common_divisor, halves

__all__ = ["files", "formula", "proof"]


def files(certificate: Certificate, known: Known) -> dict[str, Iterator[str]]:
    """The lines of both files, by the endings of their names, for a certificate that holds."""
    elaboration = elaborate(certificate, known, with_clauses=False)
    return {".opb": formula(elaboration), ".pbp": proof(elaboration)}


def formula(elaboration: Elaboration) -> Iterator[str]:
    """The lines of the OPB file: clauses, then two inequalities a constraint, or one where its output is constant."""
    lines = [*map(_clause, elaboration.clauses)]
    for linear in elaboration.constraints:
        lines += [_inequality(half) for half in _stated(linear)]
    yield f"* #variable= {elaboration.variables} #constraint= {len(lines)}"
    yield from lines


def proof(elaboration: Elaboration) -> Iterator[str]:
    """The lines of the proof; ValueError where a step has no derivation."""
    writer = _Writer(elaboration)
    yield "pseudo-Boolean proof version 2.0"
    yield f"f {writer.last}"
    ends = elaboration.last_uses()
    for fact in elaboration.facts:
        yield from writer.lines(fact)
        yield from (f"del id {writer.lemmas[lemma]}" for lemma in ends.get(fact.number, ()) if lemma in writer.lemmas)
    yield writer.step("rup >= 1 ;")
    yield "output NONE"
    yield f"conclusion UNSAT : {writer.last}"
    yield "end pseudo-Boolean proof"


class _Writer:
    """Numbers the inequalities as VeriPB does, and knows which are there to be made use of."""

    def __init__(self, elaboration: Elaboration) -> None:
        self.elaboration = elaboration
        self.last = len(elaboration.clauses)
        self.lemmas: dict[int, int] = {}
        # By the constraint's place: its halves as the formula has them, each with its number; the output's sides that
        # cannot be so have none.
        self.stated: list[list[Inequality]] = []
        self.place_of = {linear.name: place for place, linear in enumerate(elaboration.constraints)}
        # The numbers of the halves that were written anew.
        self.versions: dict[int, list[int]] = {}
        self.implications: dict[tuple[int, int], int] = {}
        self.units: dict[int, int] = {}
        for linear in elaboration.constraints:
            own = []
            for half in _stated(linear):
                self.last += 1
                own.append(Inequality(half.weights, half.degree, str(self.last)))
            self.stated.append(own)

    def step(self, line: str) -> str:
        """A line that adds an inequality."""
        self.last += 1
        return line

    def lines(self, fact: Fact) -> Iterator[str]:
        """What a fact takes. A fixed literal is written down, for the lemmas that fixed it may be deleted."""
        match fact.kind:
            case "input" if fact.about >= len(self.elaboration.clauses):
                budget_step = self.elaboration.budget_steps[fact.about - len(self.elaboration.clauses)]
                yield self.step(f"pol {self.budget(budget_step).derivation}")
                yield self.step(f"rup {_clause([budget_step.literal])}")
            case "unit" | "lemma" if len(fact.literals) == 1:
                yield from self.unit(fact.literals[0])
            case "lemma":
                yield self.step(f"rup {_clause(fact.literals)}")
                self.lemmas[fact.number] = self.last
            case "version" if fact.literals:
                yield from self.version(fact)
            case "equality":
                if fact.about != fact.other:
                    yield from self.one_sum(fact)
                first, second = fact.literals[:2]
                for one, other in ((first, second), (first ^ 1, second ^ 1)):
                    yield from self.implication(one, other)

    def budget(self, step: BudgetStep) -> Inequality:
        """The half of a bit's constraint that speaks where the bit is wrong, plus the multiple of the budget's."""
        half = self.stated[self.place_of[step.literal // 2]][1 - (step.literal & 1)]
        (limit,) = self.stated[self.place_of[0]]
        made = half.times(step.denominator)
        return made.plus(limit.times(step.numerator)) if step.numerator else made

    def version(self, fact: Fact) -> Iterator[str]:
        """A constraint anew, in place of its last version."""
        images = fact.images()
        yield from self.reasons(self.stated[fact.about], images)
        before = self.versions.pop(fact.about, [])
        made = []
        for half in self.anew(fact.about, images):
            if half.degree > 0:
                yield self.step(f"pol {half.derivation}")
                made.append(self.last)
        self.versions[fact.about] = made
        yield from (f"del id {number}" for number in before)

    def one_sum(self, fact: Fact) -> Iterator[str]:
        """Halves of two constraints add up to a clause over the outputs where all else cancels."""
        images = fact.images()
        yield from self.reasons([*self.stated[fact.about], *self.stated[fact.other]], images)
        outs = [self.elaboration.constraints[place].out & ~1 for place in (fact.about, fact.other)]
        outputs = {images.get(out, out) // 2 for out in outs}
        clauses = 0
        for one, other in product(self.anew(fact.about, images), self.anew(fact.other, images)):
            total = one.plus(other)
            if total.degree > 0 and {literal // 2 for literal in total.weights} <= outputs:
                yield self.step(f"pol {total.saturated().derivation}")
                clauses += 1
        if clauses == 0:
            raise ValueError(f"constraints {fact.about} and {fact.other} do not add up to the clause that they should")

    def anew(self, place: int, images: dict[int, int]) -> list[Inequality]:
        """The halves of a constraint over what its literals read now, divided."""
        divisor = common_divisor(self.elaboration.constraints[place], images)
        return [half.rewritten(images, self.reason).divided(divisor) for half in self.stated[place]]

    def reason(self, literal: int, image: int) -> int:
        """The number of the clause (not literal or image), once ``reasons`` has seen to it."""
        return self.units[literal ^ 1] if image == FALSE else self.implications[literal, image]

    def reasons(self, inequalities: Sequence[Inequality], images: dict[int, int]) -> Iterator[str]:
        """The units and implications that writing these anew makes use of, each once; all follow by propagation."""
        for inequality in inequalities:
            for literal in inequality.weights:
                image = images.get(literal, literal)
                if image == FALSE:
                    yield from self.unit(literal ^ 1)
                elif image not in (TRUE, literal):
                    yield from self.implication(literal, image)

    def unit(self, literal: int) -> Iterator[str]:
        """The clause of the literal alone, where it is not there yet."""
        if literal != TRUE and literal not in self.units:
            yield self.step(f"rup {_clause([literal])}")
            self.units[literal] = self.last

    def implication(self, one: int, other: int) -> Iterator[str]:
        """The clause (not one or other), where it is not there yet."""
        if (one, other) not in self.implications:
            yield self.step(f"rup {_clause([one ^ 1, other])}")
            self.implications[one, other] = self.implications[other ^ 1, one ^ 1] = self.last


def _stated(linear: Linear) -> tuple[Inequality, ...]:
    first, second = halves(linear)
    return {TRUE: (first,), FALSE: (second,)}.get(linear.out, (first, second))


def _literal(literal: int) -> str:
    return f"{'~' if literal & 1 else ''}x{literal // 2}"


def _clause(literals: Sequence[int]) -> str:
    """Over distinct literals, the constant ones left out."""
    if TRUE in literals:
        return ">= 0 ;"
    return " ".join([*(f"1 {_literal(one)}" for one in dict.fromkeys(literals) if one != FALSE), ">= 1 ;"])


def _inequality(inequality: Inequality) -> str:
    terms = (f"{weight} {_literal(literal)}" for literal, weight in inequality.weights.items())
    return " ".join([*terms, f">= {inequality.degree} ;"])
