"""A query in the languages of other solvers: MiniSatCS's cardinality CNF and OPB, and what plain CNF would cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from queries import Query, Row

from bnnhw.verify.formula import Formula, LinearConstraint


class _Sum(NamedTuple):
    """out <-> (out 0: always) sum of weights[i] * [literals[i]] >= bound; positive weights, distinct variables."""

    out: int
    literals: list[int]
    weights: list[int]
    bound: int


def _normalize(constraint: LinearConstraint) -> _Sum:
    bound = constraint.bound
    by_variable: dict[int, int] = defaultdict(int)
    for weight, literal in zip(constraint.all_weights, constraint.literals, strict=True):
        by_variable[abs(literal)] += weight if literal > 0 else -weight
        bound -= 0 if literal > 0 else weight
    terms = [(variable, weight) for variable, weight in by_variable.items() if weight != 0]
    bound -= sum(weight for _, weight in terms if weight < 0)
    literals = [variable if weight > 0 else -variable for variable, weight in terms]
    return _Sum(constraint.out, literals, [abs(weight) for _, weight in terms], bound)


def largest_total(formula: Formula) -> int:
    """The largest sum of weights of a constraint: how many repeated literals it would need."""
    return max((sum(_normalize(constraint).weights) for constraint in formula.constraints), default=0)


class _Clauses:
    """Clauses that grow, and the variables they have used so far."""

    def __init__(self, formula: Formula) -> None:
        self.variables = formula.variables
        self.clauses = [list(clause) for clause in formula.clauses]

    def new_variable(self) -> int:
        self.variables += 1
        return self.variables

    def decide(self, out: int, value: bool) -> None:
        """Fix the output of a constraint that is always or never satisfied."""
        if out != 0:
            self.clauses.append([out if value else -out])
        elif not value:
            self.clauses.append([])


def cardinality_cnf(formula: Formula, contradictory: bool = False) -> str:
    """MiniSatCS's text: clauses, and `literals <= B # out` or `>=`, each literal once.

    What is worth more than one gets copies, each tied to it by two binary clauses. `contradictory` appends one unit
    clause and its opposite, which leaves nothing but reading to do.
    """
    cnf = _Clauses(formula)
    copies: dict[int, list[int]] = defaultdict(list)
    lines: list[str] = []
    for total in map(_normalize, formula.constraints):
        if total.bound <= 0 or total.bound > sum(total.weights):
            cnf.decide(total.out, total.bound <= 0)
            continue
        literals: list[str] = []
        for literal, weight in zip(total.literals, total.weights, strict=True):
            while len(copies[literal]) < weight - 1:
                copy = cnf.new_variable()
                cnf.clauses += [[-copy, literal], [copy, -literal]]
                copies[literal].append(copy)
            literals += map(str, [literal, *copies[literal][: weight - 1]])
        out = total.out
        if out == 0:
            out = cnf.new_variable()
            cnf.clauses.append([out])
        comparison = f">= {total.bound} # {out}" if out > 0 else f"<= {total.bound - 1} # {-out}"
        lines.append(f"{' '.join(literals)} {comparison}")
    if contradictory or [] in cnf.clauses:
        variable = cnf.new_variable()
        cnf.clauses = [*filter(None, cnf.clauses)]
        lines += [f"{variable} 0", f"{-variable} 0"]
    lines[:0] = [" ".join(map(str, [*clause, 0])) for clause in cnf.clauses]
    return "".join(f"{line}\n" for line in [f"p cnf {cnf.variables} {len(lines)}", *lines])


def totalizers_size(formula: Formula) -> int:
    """At most how many clauses two-directional totalizers need; it grows with the square of a sum's length."""
    sums = [
        (sum(map(abs, c.all_weights)), c.bound - sum(min(w, 0) for w in c.all_weights)) for c in formula.constraints
    ]
    totalizers = sum(_totalizer_size(inputs, bound) for inputs, bound in sums if 0 < bound <= inputs)
    return len(formula.clauses) + 2 * len(sums) + totalizers


@cache
def _totalizer_size(inputs: int, most: int) -> int:
    if inputs == 1:
        return 0
    left = inputs // 2
    right = inputs - left
    merging = 2 * (min(left, most) + 1) * (min(right, most) + 1)
    return _totalizer_size(left, most) + _totalizer_size(right, most) + merging


def opb_text(query: Query, contradictory: bool = False) -> str:
    """OPB over positive variables; a reified sum as two constraints with the smallest coefficient that is enough.

    `contradictory` appends x1 >= 1 and x1 <= 0, which leaves nothing but reading to do.
    """
    lines = [_opb_line(*plain) for row in query.rows() for plain in _unreified(row)]
    if contradictory:
        lines += ["+1 x1 >= 1 ;", "-1 x1 >= 0 ;"]
    if query.problem is not None and query.problem.objective is not None:
        objective = query.problem.objective
        terms, _ = _positive(objective.weights, objective.literals)
        lines.insert(0, f"min: {terms};")
    count = len(lines) - query.optimizes
    header = f"* #variable= {query.formula.variables} #constraint= {count}"
    return "".join(f"{line}\n" for line in [header, *lines])


def _unreified(row: Row) -> Iterator[tuple[list[int], list[int], str, int]]:
    """(weights, literals, relation, bound) of the one or two plain sums that are the row."""
    if row.out == 0:
        yield list(row.weights), list(row.literals), row.relation, row.bound
        return
    assert row.relation == ">="
    lowest = sum(weight for weight in row.weights if weight < 0)
    highest = sum(weight for weight in row.weights if weight > 0)
    # out -> sum >= bound, and not out -> sum <= bound - 1.
    first, second = max(0, row.bound - lowest), max(0, highest - row.bound + 1)
    yield [*row.weights, first], [*row.literals, -row.out], ">=", row.bound
    yield [*row.weights, -second], [*row.literals, row.out], "<=", row.bound - 1


def _positive(weights: tuple[int, ...] | list[int], literals: tuple[int, ...] | list[int]) -> tuple[str, int]:
    """The terms as text over positive variables, each once, and the constant they lost: w [not v] = w - w [v]."""
    by_variable: dict[int, int] = defaultdict(int)
    constant = 0
    for weight, literal in zip(weights, literals, strict=True):
        by_variable[abs(literal)] += weight if literal > 0 else -weight
        constant += 0 if literal > 0 else weight
    return "".join(f"{weight:+d} x{variable} " for variable, weight in by_variable.items()), constant


def _opb_line(weights: list[int], literals: list[int], relation: str, bound: int) -> str:
    if relation == "<=":
        weights, relation, bound = [-weight for weight in weights], ">=", -bound
    terms, constant = _positive(weights, literals)
    return f"{terms}{relation} {bound - constant} ;"
