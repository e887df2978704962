"""Formulas of clauses and reified linear constraints: the value, its text form and its plain meaning.

A robustness query leaves the encoder as a `Formula`. It can be handed to the solver, written to a `.knf` file that
other solvers of cardinality-extended CNF read with little work, and, above all, evaluated: `first_violation` decides
whether an assignment is a model by adding up numbers, with no code shared with the solver. That makes it the oracle
for tests and for replaying answers. The format is the one of the queries made from EEV's networks (Jia and Rinard,
NeurIPS 2020): a header `p rknf VARIABLES CONSTRAINTS`, clauses as in DIMACS, and `r D <= B l1 l2 ... 0` for
D <-> (number of true l_i) <= B, or the same with `>=`; a literal written twice counts twice, and D = 0 asserts the
constraint.

Two readers share the format: `parse` gives the value, and the solver's own `read_knf` (behind `load_file`) skips it,
about ten times as fast; tests hold them to the same answers and the same sentences of refusal.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bnnhw.verify._solver import Solver

T = TypeVar("T")

__all__ = [
    "Formula",
    "FormulaError",
    "LinearConstraint",
    "load",
    "load_file",
    "parse",
    "read",
    "read_with",
    "serialize",
    "write",
]

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_MAX_BOUND = 2**62


class FormulaError(ValueError):
    """A formula, or the file of one, is malformed; the message says where."""


@dataclass(frozen=True)
class LinearConstraint:
    """`out` <-> sum of `weights[i]` * [`literals[i]`] >= `bound`, over DIMACS literals.

    `out` 0 asserts the right-hand side. `weights` None stands for all ones; weights may be negative or zero, and
    literals may repeat or oppose each other.
    """

    out: int
    literals: tuple[int, ...]
    bound: int
    weights: tuple[int, ...] | None = None

    @property
    def all_weights(self) -> tuple[int, ...]:
        """One weight per literal, ones written out."""
        return self.weights if self.weights is not None else (1,) * len(self.literals)

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.literals):
            raise FormulaError(
                f"a linear constraint has {len(self.literals)} literals but {len(self.weights)} weights; "
                "give one weight per literal"
            )


@dataclass(frozen=True)
class Formula:
    """A conjunction of clauses and reified linear constraints over the variables 1..`variables`.

    Raises FormulaError if a literal is 0 or beyond `variables`.
    """

    variables: int
    clauses: tuple[tuple[int, ...], ...]
    constraints: tuple[LinearConstraint, ...]

    def __post_init__(self) -> None:
        if self.variables < 0:
            raise FormulaError(f"a formula cannot have {self.variables} variables")
        for index, clause in enumerate(self.clauses):
            self._require_literals(clause, f"clause {index}")
        for index, constraint in enumerate(self.constraints):
            self._require_literals(constraint.literals, f"constraint {index}")
            if abs(constraint.out) > self.variables:
                raise FormulaError(
                    f"the output {constraint.out} of constraint {index} is not among the {self.variables} variables"
                )

    def _require_literals(self, literals: tuple[int, ...], where: str) -> None:
        if not literals:
            return
        if 0 in literals or max(literals) > self.variables or min(literals) < -self.variables:
            wrong = next(literal for literal in literals if not 1 <= abs(literal) <= self.variables)
            raise FormulaError(f"literal {wrong} of {where} is not among the {self.variables} variables")

    def first_violation(self, values: Sequence[int] | npt.NDArray[np.integer]) -> str | None:
        """What the assignment violates first, in words; None if it is a model.

        `values[v]` is 0 or 1 for variable v, with index 0 unused: the solver's `model()`.
        """
        if len(values) != self.variables + 1:
            raise FormulaError(
                f"an assignment of {len(values)} values does not fit {self.variables} variables; index 0 is unused"
            )
        true = {variable if values[variable] else -variable for variable in range(1, self.variables + 1)}
        for index, clause in enumerate(self.clauses):
            if true.isdisjoint(clause):
                return f"clause {index} is false"
        for index, constraint in enumerate(self.constraints):
            terms = zip(constraint.all_weights, constraint.literals, strict=True)
            total = sum(weight for weight, literal in terms if literal in true)
            reached = total >= constraint.bound
            if reached != (constraint.out == 0 or constraint.out in true):
                comparison = ">=" if reached else "<"
                return f"constraint {index} is false: its sum is {total} {comparison} {constraint.bound}"
        return None

    def satisfied_by(self, values: Sequence[int] | npt.NDArray[np.integer]) -> bool:
        """Whether the assignment (as for `first_violation`) is a model."""
        return self.first_violation(values) is None


def load(formula: Formula, seed: int = 0, probing: bool = True) -> Solver:
    """A solver that holds the formula, with the formula's variable numbers."""
    solver = Solver(seed, probing)
    solver.new_variables(formula.variables)
    if formula.clauses:
        solver.add_clauses(np.fromiter(chain.from_iterable((*clause, 0) for clause in formula.clauses), dtype=np.int32))
    constraints = formula.constraints
    if constraints:
        weighted = any(constraint.weights is not None for constraint in constraints)
        lengths = (len(constraint.literals) for constraint in constraints)
        try:
            bounds = np.array([constraint.bound for constraint in constraints], dtype=np.int64)
            weights = (
                np.fromiter(chain.from_iterable(c.all_weights for c in constraints), np.int32) if weighted else None
            )
        except OverflowError:
            raise FormulaError("a bound does not fit 64 bits, or a weight does not fit 32 bits") from None
        solver.add_at_least_many(
            np.array([constraint.out for constraint in constraints], dtype=np.int32),
            np.array([0, *accumulate(lengths)], dtype=np.int64),
            np.fromiter(chain.from_iterable(constraint.literals for constraint in constraints), dtype=np.int32),
            weights,
            bounds,
        )
    return solver


def read(path: str | os.PathLike[str]) -> Formula:
    """Read a `.knf` or `.knf.gz` file; raises FormulaError with the file and the line."""
    return read_with(parse, path)


def read_with(parse_text: Callable[[str], T], path: str | os.PathLike[str]) -> T:
    """What ``parse_text`` makes of a file that may be gzipped; its FormulaErrors name the file as well."""
    text = read_bytes(path).decode("ascii", "backslashreplace")
    try:
        return parse_text(text)
    except FormulaError as error:
        raise FormulaError(f"{path}: {error}") from None


def load_file(
    path: str | os.PathLike[str],
    seed: int = 0,
    probing: bool = True,
    log: Callable[[bytes], object] | None = None,
) -> Solver:
    """A solver that holds the formula of a `.knf` or `.knf.gz` file: `load(read(path))`, without the value between.

    log: takes the proof piece by piece, see `Solver.log_proof`. Raises FormulaError with the file and the line.
    """
    data = read_bytes(path)
    solver = Solver(seed, probing)
    if log is not None:
        solver.log_proof(log)
    try:
        solver.read_knf(data)
    except ValueError as error:
        raise FormulaError(f"{path}: {error}") from None
    return solver


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes, decompressed if they are gzip's; raises FormulaError if they cannot be had."""
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise FormulaError(f"{path} is not a readable file: {error}") from error


def parse(text: str) -> Formula:
    """Read the text of a `.knf` file; raises FormulaError with the line number.

    `D <= B` is kept as the equivalent `-D <-> sum >= B + 1`.
    """
    variables: int | None = None
    declared = 0
    clauses: list[tuple[int, ...]] = []
    constraints: list[LinearConstraint] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0] == "c":
            continue
        if words[0] == "p":
            if variables is not None:
                raise FormulaError(f"line {number}: a second header; a file has one")
            variables, declared = _parse_header(words, number)
        elif variables is None:
            raise FormulaError(f"line {number}: comes before the header 'p rknf VARIABLES CONSTRAINTS'")
        elif words[0] == "r":
            constraints.append(_parse_constraint(words, number, variables))
        else:
            clauses.append(_parse_literals(words, number, variables))
    if variables is None:
        raise FormulaError("there is no header; the first line must be 'p rknf VARIABLES CONSTRAINTS'")
    if len(clauses) + len(constraints) != declared:
        raise FormulaError(
            f"the header declares {declared} constraints but the file has {len(clauses) + len(constraints)}"
        )
    return Formula(variables, tuple(clauses), tuple(constraints))


def _parse_header(words: list[str], number: int) -> tuple[int, int]:
    if len(words) != 4 or words[1] != "rknf" or not (words[2].isdecimal() and words[3].isdecimal()):
        raise FormulaError(f"line {number}: the header must read 'p rknf VARIABLES CONSTRAINTS'")
    return int(words[2]), int(words[3])


def _parse_integers(words: list[str], number: int) -> list[int]:
    try:
        if "_" not in "".join(words):
            return list(map(int, words))
    except ValueError:
        pass
    wrong = next(word for word in words if not _INTEGER.fullmatch(word))
    raise FormulaError(f"line {number}: '{wrong}' is not an integer")


def _parse_literals(words: list[str], number: int, variables: int) -> tuple[int, ...]:
    literals = _parse_integers(words, number)
    if not literals or literals.pop() != 0:
        raise FormulaError(f"line {number}: does not end in 0")
    if literals and (0 in literals or max(literals) > variables or min(literals) < -variables):
        wrong = next(word for word, value in zip(words, literals, strict=False) if not 1 <= abs(value) <= variables)
        raise FormulaError(f"line {number}: literal {wrong} is not among the {variables} declared variables")
    return tuple(literals)


def _parse_constraint(words: list[str], number: int, variables: int) -> LinearConstraint:
    if len(words) < 5 or words[2] not in ("<=", ">="):
        raise FormulaError(f"line {number}: a constraint must read 'r D <= B l1 l2 ... 0', or the same with >=")
    out, bound = _parse_integers([words[1], words[3]], number)
    if abs(out) > variables:
        raise FormulaError(f"line {number}: output {words[1]} is not among the {variables} declared variables")
    literals = _parse_literals(words[4:], number, variables)
    if words[2] == "<=" and out == 0:
        literals, bound = tuple(-literal for literal in literals), len(literals) - bound
    elif words[2] == "<=":
        out, bound = -out, bound + 1
    if abs(bound) > _MAX_BOUND:
        raise FormulaError(f"line {number}: the bound {words[3]} is too large; keep it within +-2^62")
    return LinearConstraint(out, literals, bound)


def write(formula: Formula, path: str | os.PathLike[str]) -> None:
    """Write a `.knf` file, compressed if the name ends in `.gz`; the same formula gives the same bytes."""
    data = serialize(formula).encode("ascii")
    if str(path).endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    Path(path).write_bytes(data)


def serialize(formula: Formula) -> str:
    """The text of a `.knf` file: each literal is repeated by its weight, negative weights by its negation."""
    return "".join(_lines(formula))


def _lines(formula: Formula) -> Iterator[str]:
    yield f"p rknf {formula.variables} {len(formula.clauses) + len(formula.constraints)}\n"
    for clause in formula.clauses:
        yield " ".join(map(str, (*clause, 0))) + "\n"
    for constraint in formula.constraints:
        literals: list[int] = []
        bound = constraint.bound
        for weight, literal in zip(constraint.all_weights, constraint.literals, strict=True):
            # w * [l] with negative w is w + |w| * [not l].
            literals += [literal if weight > 0 else -literal] * abs(weight)
            bound -= min(weight, 0)
        body = " ".join(map(str, (*literals, 0)))
        if constraint.out == 0:
            yield f"r 0 >= {bound} {body}\n"
        else:
            yield f"r {-constraint.out} <= {bound - 1} {body}\n"
