"""Certificates as a CNF formula with BNN constraints and an XLRUP proof, for the verified checker `cake_xlrup`.

XLRUP (Yang, Tan, Soos, Myreen and Meel, "Efficient certified reasoning for binarized neural networks", SAT 2025) takes
out <-> (at least k of these literals) as it is, a literal as often as its weight says; a constraint takes part through
clauses that it implies (`i cb`), which unit propagation with hints puts together. It cannot add constraints up. So
every step is derived once more from the constraints as the formula has them: an equality becomes two lemmas, a
constraint written anew is left alone, and where a lemma no longer follows, or a budget step is needed, there is no
translation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnnhw.verify.certificate import Certificate, Known
from bnnhw.verify.elaboration import Elaboration, Linear, elaborate, of_proof
from bnnhw.verify.inequalities import FALSE, TRUE, of_terms

__all__ = ["files", "formula", "proof", "without_sums"]

MOST_LITERALS = 50_000_000
NO_BUDGET = "the proof has a budget step, a sum of two constraints: XLRUP has no such step, VeriPB's format has"


def files(certificate: Certificate, known: Known) -> dict[str, Iterator[str]]:
    """The lines of both files, by the endings of their names, for a certificate that holds; ValueError where a step
    has no translation or the weights written out take too many literals."""
    elaboration = without_sums(certificate, known)
    return {".xnf": formula(elaboration), ".xlrup": proof(elaboration)}


def without_sums(certificate: Certificate, known: Known) -> Elaboration:
    """The proof, derived from the constraints as they are by lemmas alone; ValueError where that does not work."""
    first = elaborate(certificate, known, with_clauses=False)
    steps = bytearray()
    for fact in first.facts:
        if fact.kind == "input" and fact.about >= len(first.clauses):
            raise ValueError(NO_BUDGET)
        if fact.kind == "lemma":
            steps += _lemma(fact.literals)
        elif fact.kind == "equality":
            one, other = fact.literals[:2]
            steps += _lemma([one ^ 1, other]) + _lemma([one, other ^ 1])
    try:
        made = of_proof(certificate, known, bytes(steps) + b"q", with_clauses=True)
    except ValueError:
        raise ValueError("the proof adds constraints up: XLRUP has no such step, VeriPB's format has") from None
    if any(fact.kind == "input" and fact.about >= len(made.clauses) for fact in made.facts):
        raise ValueError(NO_BUDGET)
    return made


def formula(elaboration: Elaboration) -> Iterator[str]:
    """The lines of the formula. One more variable is true, the output of constraints that have to hold."""
    clauses, constraints = elaboration.clauses, elaboration.constraints
    yield f"p cnf {elaboration.variables + 1} {len(clauses) + 1 + len(constraints)}"
    yield from (_clause(clause) for clause in clauses)
    yield f"{elaboration.variables + 1} 0"
    yield from (f"b {_constraint(elaboration, linear)}" for linear in constraints)


def proof(elaboration: Elaboration) -> Iterator[str]:
    """The lines of the proof."""
    for place, linear in enumerate(elaboration.constraints, start=1):
        yield f"o b {place} {_constraint(elaboration, linear)}"
    truth = len(elaboration.clauses) + 1
    last = truth
    # By fact: the clause's number in the file, none for versions.
    names: dict[int, int] = {}
    bases: dict[int, tuple[int, ...]] = {}
    ends = elaboration.last_uses()
    for fact in elaboration.facts:
        if fact.kind == "input":
            names[fact.number] = fact.about + 1
        elif fact.kind == "version":
            bases[fact.number] = fact.antecedents
        elif fact.literals == (TRUE,):
            names[fact.number] = truth
        else:
            last += 1
            names[fact.number] = last
            if fact.kind == "implied":
                (version,) = fact.antecedents
                units = [truth, *(names[unit] for unit in bases[version])]
                yield f"i cb {last} {_clause(fact.literals)} {fact.about + 1} u {_numbers(units)}"
            else:
                yield f"{last} {_clause(fact.literals)} {_numbers(names[one] for one in fact.antecedents)}"
        if fact.number in ends:
            yield f"{last} d {_numbers(names[lemma] for lemma in ends[fact.number])}"
    yield f"{last + 1} 0 {_numbers(names[one] for one in elaboration.contradiction)}"


def _lemma(literals: Iterable[int]) -> bytes:
    """As a step of a proof of ours (docs/certificates.md), each literal once."""
    distinct = list(dict.fromkeys(literals))
    made = bytearray(b"a")
    for number in (len(distinct), *distinct):
        while number >= 128:
            made.append(number & 127 | 128)
            number >>= 7
        made.append(number)
    return bytes(made)


def _constraint(elaboration: Elaboration, linear: Linear) -> str:
    """Literals by their weights, the least number of them, the output; opposite literals have cancelled."""
    total = of_terms(linear.terms, linear.bound)
    if sum(total.weights.values()) > MOST_LITERALS:
        raise ValueError(f"constraint {linear.name} has weights of more than {MOST_LITERALS}: XLRUP writes them out")
    repeated = (f"{_signed(literal)} " * weight for literal, weight in total.weights.items())
    out = {TRUE: elaboration.variables + 1, FALSE: -elaboration.variables - 1}.get(linear.out, _signed(linear.out))
    return f"{''.join(repeated)}0 {max(total.degree, 0)} {out} 0"


def _signed(literal: int) -> int:
    return -(literal // 2) if literal & 1 else literal // 2


def _clause(literals: Iterable[int]) -> str:
    """Without constant literals; the formula's own clauses have none."""
    return _numbers(_signed(literal) for literal in dict.fromkeys(literals) if literal not in (TRUE, FALSE))


def _numbers(numbers: Iterable[int]) -> str:
    return " ".join([*map(str, numbers), "0"])
