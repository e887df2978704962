"""A second opinion on verdicts, by a route that shares no code with the first.

The question is written as a formula from the model's definition (`formulate`), its reified constraints become clauses
through two-directional totalizers (Bailleux and Boufkhad, CP 2003), and CaDiCaL decides, through the optional package
python-sat. Slow, and independent: engine, bounds, encoding and solver are all on the other side.
"""

from __future__ import annotations

from collections.abc import Sequence

from bnnhw.verify.check import UnsoundnessError, Verdict
from bnnhw.verify.formula import Formula
from bnnhw.verify.formulate import formulate
from bnnhw.verify.network import Network
from bnnhw.verify.properties import Property, PropertyError


def clauses_of(formula: Formula) -> list[list[int]]:
    """The formula as clauses; variables beyond ``formula.variables`` are the totalizers' own."""
    clauses = [list(clause) for clause in formula.clauses]
    variables = formula.variables

    def totalizer(literals: list[int], most: int) -> list[int]:
        """Sorted outputs: output[j] <-> more than j literals are true, for j < most."""
        nonlocal variables
        if len(literals) == 1:
            return literals
        half = len(literals) // 2
        left, right = totalizer(literals[:half], most), totalizer(literals[half:], most)
        size = min(most, len(left) + len(right))
        output = list(range(variables + 1, variables + 1 + size))
        variables += size
        for a in range(len(left) + 1):
            for b in range(len(right) + 1):
                both = min(a + b, size)
                if both:
                    clauses.append([-x for x in left[:a][-1:] + right[:b][-1:]] + [output[both - 1]])
                if a + b < size:
                    clauses.append([*left[a : a + 1], *right[b : b + 1], -output[a + b]])
        return output

    for constraint in formula.constraints:
        weights = constraint.weights or (1,) * len(constraint.literals)
        bound = constraint.bound - sum(min(weight, 0) for weight in weights)
        signed = zip(weights, constraint.literals, strict=True)
        repeated = [literal if w > 0 else -literal for w, literal in signed for _ in range(abs(w))]
        if bound <= 0 or bound > len(repeated):
            true = bound <= 0
            if constraint.out:
                clauses.append([constraint.out if true else -constraint.out])
            elif not true:
                clauses.append([])
            continue
        reached = totalizer(repeated, bound)[bound - 1]
        if constraint.out:
            clauses += [[-constraint.out, reached], [constraint.out, -reached]]
        else:
            clauses.append([reached])
    return clauses


def cross_check(networks: Sequence[Network], question: Property, verdict: Verdict) -> None:
    """UnsoundnessError if CaDiCaL, on the independent formula, contradicts a verdict of robust or falsified."""
    try:
        from pysat.solvers import Cadical195
    except ImportError:
        raise PropertyError("cross-checking needs the package python-sat: pip install 'bnnhw[crosscheck]'") from None
    if verdict.status == "unknown":
        return
    clauses = clauses_of(formulate(networks, question))
    falsified = False
    if [] not in clauses:
        with Cadical195(bootstrap_with=clauses) as cadical:
            falsified = bool(cadical.solve())
    if falsified != (verdict.status == "falsified"):
        other = "falsified" if falsified else "robust"
        raise UnsoundnessError(f"the verdict is {verdict.status}, but CaDiCaL finds the same question {other}")
