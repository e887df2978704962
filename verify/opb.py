"""Pseudo-Boolean problems in the OPB format of the PB competitions, with reified constraints found again.

An OPB file knows only plain linear constraints, so a neuron b <-> S >= K comes as two of them with a large coefficient
on b. The solver has the neuron as one native constraint, with one counter and better explanations, so `recognize`
looks for such pairs. With positive coefficients and distinct variables, let S = sum of w_i [l_i] and T = sum of w_i.
The pair

    A [not b] + S >= K        B [b] + sum of w_i [not l_i] >= L

says for b true S >= K, besides B + T - S >= L, which always holds iff B >= L; and for b false S <= T - L, besides
A + S >= K, which always holds iff A >= K. So it is b <-> S >= K exactly when A >= K, B >= L and T - L = K - 1, and
only then it is taken for one. Answers are replayed on the constraints as the file has them, not on what was recognized.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bnnhw.verify.formula import Formula, FormulaError, LinearConstraint, read_with
from bnnhw.verify.optimize import Objective

__all__ = ["Constraint", "Problem", "parse", "read", "recognize"]

_LITERAL = re.compile(r"(~?)x([1-9][0-9]{0,8})")
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_MAX_COEFFICIENT = 2**31 - 1
_MAX_VARIABLE = 2**28 - 2
_MAX_TOTAL = 2**28


@dataclass(frozen=True)
class Constraint:
    """Sum of `coefficients[i]` * [`literals[i]`], compared by `relation` (">=", "<=" or "=") with `bound`.

    As a file has it: coefficients of any sign, variables perhaps more than once; `line` is where it begins.
    """

    coefficients: tuple[int, ...]
    literals: tuple[int, ...]
    relation: str
    bound: int
    line: int


@dataclass(frozen=True)
class Problem:
    """Constraints over the variables 1..`variables` and, in an optimization problem, what to minimise."""

    variables: int
    constraints: tuple[Constraint, ...]
    objective: Objective | None

    def first_violation(self, values: Sequence[int] | npt.NDArray[np.integer]) -> str | None:
        """What the assignment (`values[v]` is 0 or 1, index 0 unused) violates first, in words; None if nothing."""
        if len(values) != self.variables + 1:
            raise FormulaError(
                f"an assignment of {len(values)} values does not fit {self.variables} variables; index 0 is unused"
            )
        true = {variable if values[variable] else -variable for variable in range(1, self.variables + 1)}
        for constraint in self.constraints:
            terms = zip(constraint.coefficients, constraint.literals, strict=True)
            total = sum(coefficient for coefficient, literal in terms if literal in true)
            relation, bound = constraint.relation, constraint.bound
            if not (total == bound or (relation == ">=" and total > bound) or (relation == "<=" and total < bound)):
                return f"the constraint of line {constraint.line} is false: its sum is {total}, not {relation} {bound}"
        return None


class _Sum(NamedTuple):
    """Sum of weights[i] * [literals[i]] >= bound with positive weights and distinct variables, in ascending order."""

    literals: tuple[int, ...]
    weights: tuple[int, ...]
    bound: int
    line: int


def read(path: str | os.PathLike[str]) -> Problem:
    """Read an `.opb` or `.opb.gz` file; raises FormulaError with the file and the line."""
    return read_with(parse, path)


def parse(text: str) -> Problem:
    """Read the text of an OPB file of linear constraints with an optional `min:`; raises FormulaError with the line."""
    numbers: dict[str, int] = {}
    constraints: list[Constraint] = []
    objective: Objective | None = None
    for index, (line, words) in enumerate(_statements(text)):
        if words[1:2] == [":"]:
            if words[0] != "min":
                raise FormulaError(f"line {line}: '{words[0]}:' is not supported; only 'min:' and constraints are")
            if index != 0:
                raise FormulaError(f"line {line}: 'min:' comes after a constraint or another 'min:'; put it first")
            coefficients, literals = _terms(words[2:], line, numbers)
            objective = Objective(literals, coefficients)
            continue
        if len(words) < 2 or words[-2] not in (">=", "<=", "="):
            raise FormulaError(f"line {line}: a constraint must end in '>=', '<=' or '=', an integer and ';'")
        coefficients, literals = _terms(words[:-2], line, numbers)
        constraints.append(Constraint(coefficients, literals, words[-2], _integer(words[-1], line), line))
    variables = max((abs(literal) for literal in numbers.values()), default=0)
    return Problem(variables, tuple(constraints), objective)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The words of each statement, without its ';', and the line it begins in."""
    words: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("*"):
            continue
        *finished, rest = line.replace(":", " : ").split(";")
        for part in finished:
            words += part.split()
            if not words:
                raise FormulaError(f"line {number}: there is nothing before ';'")
            yield start or number, words
            words, start = [], 0
        words += rest.split()
        if words and not start:
            start = number
    if words:
        raise FormulaError(f"line {start}: the last statement does not end in ';'")


def _integer(word: str, line: int) -> int:
    if not _INTEGER.fullmatch(word):
        raise FormulaError(f"line {line}: '{word}' is not an integer")
    return int(word)


def _terms(words: list[str], line: int, numbers: dict[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Coefficients and literals; `numbers` remembers every literal seen, by its word."""
    for word in words[1::2]:
        if word not in numbers:
            numbers[word] = _literal(word, line)
    literals = tuple([numbers[word] for word in words[1::2]])
    coefficients = tuple([_integer(word, line) for word in words[::2]])
    if len(coefficients) != len(literals):
        raise FormulaError(f"line {line}: the last coefficient, {words[-1]}, has no variable")
    for coefficient in coefficients:
        if abs(coefficient) > _MAX_COEFFICIENT:
            raise FormulaError(f"line {line}: the coefficient {coefficient} does not fit 32 bits; scale the sum down")
    return coefficients, literals


def _literal(word: str, line: int) -> int:
    parts = _LITERAL.fullmatch(word)
    if parts is None:
        raise FormulaError(
            f"line {line}: '{word}' stands where a literal such as x1 or ~x1 must; every literal has one "
            "coefficient, and products of literals are not supported"
        )
    if int(parts[2]) > _MAX_VARIABLE:
        raise FormulaError(f"line {line}: the number of '{word}' is too large; keep it below 2^28 - 1")
    return -int(parts[2]) if parts[1] else int(parts[2])


def recognize(problem: Problem) -> Formula:
    """The constraints as clauses, plain linear constraints and, wherever two of them make one, reified ones.

    The formula has the problem's variables and exactly its models. Raises FormulaError if the coefficients of one
    constraint add up to more than 2^28.
    """
    clauses: list[tuple[int, ...]] = []
    found: list[LinearConstraint] = []
    single: dict[tuple[int, ...], list[_Sum]] = defaultdict(list)
    for total in (normal for constraint in problem.constraints for normal in _normalize(constraint)):
        if total.bound <= 0:
            continue
        if all(weight >= total.bound for weight in total.weights):
            clauses.append(total.literals)
            continue
        partners = single[tuple([-literal for literal in total.literals])]
        for index, partner in enumerate(partners):
            neuron = _reified(partner, total)
            if neuron is not None:
                found.append(neuron)
                del partners[index]
                break
        else:
            single[total.literals].append(total)
    found += [_plain(total) for group in single.values() for total in group]
    return Formula(problem.variables, tuple(clauses), tuple(found))


def _normalize(constraint: Constraint) -> Iterator[_Sum]:
    if constraint.relation in (">=", "="):
        yield _at_least(constraint, 1)
    if constraint.relation in ("<=", "="):
        yield _at_least(constraint, -1)


def _at_least(constraint: Constraint, sign: int) -> _Sum:
    """`sign` times the sum >= `sign` times the bound, with positive weights: w [v] = w + (-w) [not v]."""
    bound = sign * constraint.bound
    by_variable: dict[int, int] = defaultdict(int)
    for coefficient, literal in zip(constraint.coefficients, constraint.literals, strict=True):
        if literal > 0:
            by_variable[literal] += sign * coefficient
        else:
            by_variable[-literal] -= sign * coefficient
            bound -= sign * coefficient
    terms = [(variable, weight) for variable, weight in sorted(by_variable.items()) if weight != 0]
    literals = tuple([variable if weight > 0 else -variable for variable, weight in terms])
    bound -= sum(weight for _, weight in terms if weight < 0)
    return _Sum(literals, tuple([abs(weight) for _, weight in terms]), bound, constraint.line)


def _reified(first: _Sum, second: _Sum) -> LinearConstraint | None:
    """The reified constraint that two sums over opposite literals are together; None if they are not."""
    pairs = list(zip(first.weights, second.weights, strict=True))
    differing = [index for index, (mine, other) in enumerate(pairs) if mine != other]
    if len(differing) > 1:
        return None
    for index in differing or range(len(pairs)):
        weights = first.weights[:index] + first.weights[index + 1 :]
        total = sum(weights)
        if (
            pairs[index][0] >= first.bound
            and pairs[index][1] >= second.bound
            and total - second.bound == first.bound - 1
        ):
            literals = first.literals[:index] + first.literals[index + 1 :]
            return _weighted(-first.literals[index], literals, weights, first.bound, first.line)
    return None


def _plain(total: _Sum) -> LinearConstraint:
    """A weight beyond the bound does what the bound itself does."""
    weights = tuple([min(weight, total.bound) for weight in total.weights])
    return _weighted(0, total.literals, weights, total.bound, total.line)


def _weighted(out: int, literals: tuple[int, ...], weights: tuple[int, ...], bound: int, line: int) -> LinearConstraint:
    if sum(weights) > _MAX_TOTAL:
        raise FormulaError(f"line {line}: the coefficients add up to more than 2^28; scale the sum down")
    return LinearConstraint(out, literals, bound, None if max(weights) == 1 else weights)
