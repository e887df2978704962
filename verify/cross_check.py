"""A second opinion on verdicts, by a route that shares no code with the first.

The question is written as a formula from the model's definition (`formulate`). Either its reified constraints become
clauses through two-directional totalizers (Bailleux and Boufkhad, CP 2003) for CaDiCaL, through the optional package
python-sat, or OR-tools' CP-SAT takes them as they are (`cp_sat`). Slow, and independent: engine, bounds, encoding and
solver are all on the other side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bnnhw.verify.check import UnsoundnessError, Verdict
from bnnhw.verify.cp_sat import by_cp_sat
from bnnhw.verify.formula import Formula
from bnnhw.verify.formulate import formulate
from bnnhw.verify.network import Network
from bnnhw.verify.properties import Property, PropertyError

CONFLICTS_BETWEEN_LOOKS = 5000
"""CaDiCaL does not look at a clock, so it is asked in portions."""


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


def by_cadical(formula: Formula, seconds: float | None) -> bool | None:
    """Is the formula satisfiable? None if CaDiCaL does not know after so many seconds (looked at now and then)."""
    try:
        from pysat.solvers import Cadical195
    except ImportError:
        raise PropertyError("cross-checking needs the package python-sat: pip install 'bnnhw[crosscheck]'") from None
    end = None if seconds is None else time.monotonic() + seconds
    clauses = clauses_of(formula)
    if [] in clauses:
        return False
    with Cadical195(bootstrap_with=clauses) as cadical:
        answer: bool | None = None
        while answer is None and (end is None or time.monotonic() < end):
            cadical.conf_budget(CONFLICTS_BETWEEN_LOOKS)
            answer = cadical.solve_limited()
    return answer


SOLVERS: dict[str, Callable[[Formula, float | None], bool | None]] = {"cadical": by_cadical, "cp-sat": by_cp_sat}
"""The solvers that may be asked, by name."""


def require_solver(name: str) -> None:
    """PropertyError unless ``name`` is one of SOLVERS and installed."""
    if name not in SOLVERS:
        raise PropertyError(f"{name!r} is no solver to cross-check with: choose one of {', '.join(SOLVERS)}")
    SOLVERS[name](Formula(0, (), ()), None)


def cross_check(
    networks: Sequence[Network],
    question: Property,
    verdict: Verdict,
    by: str = "cadical",
    seconds: float | None = None,
) -> bool:
    """Did the other solver, on the independent formula, come to the same verdict of robust or falsified?

    by: one of SOLVERS. False says that there was nothing to compare: an unknown verdict, or no answer within the time.
    Raises UnsoundnessError where the two answers contradict each other, PropertyError where the solver is missing.
    """
    require_solver(by)
    if verdict.status == "unknown":
        return False
    falsified = SOLVERS[by](formulate(networks, question), seconds)
    if falsified is not None and falsified != (verdict.status == "falsified"):
        other = "falsified" if falsified else "robust"
        raise UnsoundnessError(f"the verdict is {verdict.status}, but {by} finds the same question {other}")
    return falsified is not None
