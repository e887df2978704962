"""The smallest value of a linear objective over the models of a formula, exactly and at any time with bounds.

The objective becomes one reified constraint per bound that is tried, d <-> objective <= bound, and d is assumed: "sat"
lowers the upper bound to the model's value, "unsat" raises the lower bound above the one tried, and both facts are
then asserted, so lemmas stay valid and each answer prunes what follows. The search works from both ends, because
either may be the easy one: from above it asks for improvements, from below it refutes, each step twice as wide as the
last while that succeeds. A call gets a budget of conflicts; the side that has spent fewer is next, and a side that runs
out at its narrowest step gets twice the budget, so neither end can starve the other.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bnnhw.verify._solver import Solver

__all__ = ["Objective", "Optimum", "Progress", "minimize"]

Progress = Callable[[int, int | None], object]
"""Called with the bounds (lower, upper) whenever one improves; upper is None until there is a model."""

_FIRST_BUDGET = 1000
_MAX_TOTAL = 2**28


@dataclass(frozen=True)
class Objective:
    """Sum of `weights[i]` * [`literals[i]`] over DIMACS literals; weights of any sign, literals may repeat."""

    literals: tuple[int, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.literals) != len(self.weights):
            raise ValueError(
                f"an objective has {len(self.literals)} literals but {len(self.weights)} weights; give one for each"
            )

    def value(self, values: Sequence[int] | npt.NDArray[np.integer]) -> int:
        """The objective of an assignment: `values[v]` is 0 or 1 for variable v, index 0 unused."""
        terms = zip(self.weights, self.literals, strict=True)
        return sum(weight for weight, literal in terms if (literal > 0) == bool(values[abs(literal)]))


@dataclass(frozen=True)
class Optimum:
    """What is known about the smallest value: lower <= it <= upper; for "optimum" the two are equal.

    `model` attains `upper` (both None before there is a model); `reason` says why "unknown": time, conflicts, memory
    or interrupted. A formula without models is "infeasible".
    """

    status: Literal["optimum", "infeasible", "unknown"]
    reason: str
    lower: int
    upper: int | None
    model: npt.NDArray[np.int8] | None


class _Cost:
    """The objective over distinct literals with positive weights: objective = unit * cost + offset, cost >= 0."""

    def __init__(self, objective: Objective) -> None:
        by_variable: dict[int, int] = defaultdict(int)
        self._offset = 0
        for weight, literal in zip(objective.weights, objective.literals, strict=True):
            # w [not v] = w - w [v].
            by_variable[abs(literal)] += weight if literal > 0 else -weight
            self._offset += 0 if literal > 0 else weight
        terms = [(variable, weight) for variable, weight in by_variable.items() if weight != 0]
        self._offset += sum(weight for _, weight in terms if weight < 0)
        self._unit = math.gcd(*(weight for _, weight in terms)) or 1
        self.literals = tuple(variable if weight > 0 else -variable for variable, weight in terms)
        self.weights = tuple(abs(weight) // self._unit for _, weight in terms)
        if sum(self.weights) > _MAX_TOTAL:
            raise ValueError("the weights of the objective add up to more than 2^28; scale the objective down")

    def value(self, model: npt.NDArray[np.int8]) -> int:
        return Objective(self.literals, self.weights).value(model)

    def objective(self, cost: int) -> int:
        return self._unit * cost + self._offset


class _Side:
    """One end of the interval: how far its next step goes, what a call may spend, and what its calls have spent."""

    def __init__(self) -> None:
        self.step = 1
        self.budget = _FIRST_BUDGET
        self.spent = 0

    def answered(self, as_hoped: bool) -> None:
        self.step = 2 * self.step if as_hoped else 1

    def ran_out(self) -> None:
        if self.step == 1:
            self.budget *= 2
        self.step = 1


def minimize(
    solver: Solver,
    objective: Objective,
    *,
    time_limit: float | None = None,
    conflict_limit: int | None = None,
    progress: Progress | None = None,
) -> Optimum:
    """Minimise over the models of what the solver holds; the bounds that are found stay asserted in it.

    `time_limit` (seconds) and `conflict_limit` are for the whole call. Ctrl-C and `solver.interrupt()` end it with the
    bounds reached. Raises ValueError if the weights, divided by their common divisor, add up to more than 2^28.
    """
    return _Minimization(solver, objective, progress).run(time_limit, conflict_limit)


class _Minimization:
    """The interval of costs that is left, and the literals that stand for bounds in it."""

    def __init__(self, solver: Solver, objective: Objective, progress: Progress | None) -> None:
        self._solver = solver
        self._variables = solver.variables
        self._cost = _Cost(objective)
        self._progress = progress
        self._lower = 0
        self._upper: int | None = None
        self._model: npt.NDArray[np.int8] | None = None
        # For every bound that is neither asserted nor refuted, the literal that says cost <= bound.
        self._open_bounds: dict[int, int] = {}

    def run(self, time_limit: float | None, conflict_limit: int | None) -> Optimum:
        deadline = None if time_limit is None else time.monotonic() + time_limit
        last_conflict = None if conflict_limit is None else self._conflicts() + conflict_limit
        above, below = _Side(), _Side()
        while self._upper is None or self._lower < self._upper:
            side = above if above.spent <= below.spent else below
            target = self._from_above(above.step) if side is above else self._from_below(below.step)
            begun = self._conflicts()
            left = None if last_conflict is None else max(0, last_conflict - begun)
            # With one question left there is nothing else to turn to.
            budget = side.budget if self._upper is None or self._upper - self._lower > 1 else left
            if budget is not None and left is not None:
                budget = min(budget, left)
            try:
                result = self._solver.solve(
                    self._assumptions(target),
                    conflict_limit=budget,
                    time_limit=None if deadline is None else max(0.0, deadline - time.monotonic()),
                )
            except KeyboardInterrupt:
                return self._ended("unknown", "interrupted")
            side.spent += self._conflicts() - begun
            if result.status == "unknown":
                out_of_conflicts = last_conflict is not None and self._conflicts() >= last_conflict
                if result.reason != "conflicts" or out_of_conflicts:
                    return self._ended("unknown", result.reason)
                side.ran_out()
                continue
            side.answered(as_hoped=(result.status == "sat") == (side is above))
            if result.status == "sat":
                self._found(self._solver.model()[: self._variables + 1])
            elif target is not None and self._solver.failed_assumptions():
                self._refuted(target)
            else:
                # Not even without assumptions: there is no model, or none better than the one found.
                break
        if self._upper is None:
            return self._ended("infeasible", "")
        self._raise_lower(self._upper)
        return self._ended("optimum", "")

    def _from_above(self, step: int) -> int | None:
        return None if self._upper is None else max(self._lower, self._upper - step)

    def _from_below(self, step: int) -> int:
        most = sum(self._cost.weights) if self._upper is None else self._upper - 1
        return min(most, self._lower + step - 1)

    def _assumptions(self, target: int | None) -> list[int]:
        asserted = target is None or (self._upper is not None and target == self._upper - 1)
        return [] if target is None or asserted else [self._bound(target)]

    def _bound(self, bound: int) -> int:
        """The literal for cost <= bound."""
        if bound not in self._open_bounds:
            literal = self._solver.new_variables(1)
            self._solver.add_at_least(-literal, self._cost.literals, bound + 1, self._cost.weights)
            self._open_bounds[bound] = literal
        return self._open_bounds[bound]

    def _found(self, model: npt.NDArray[np.int8]) -> None:
        """From now on only better models are of interest, and for those every bound from this one's on holds."""
        cost = self._cost.value(model)
        self._model, self._upper = model, cost
        if cost > self._lower:
            self._bound(cost - 1)
        for bound in [bound for bound in self._open_bounds if bound >= cost - 1]:
            self._solver.add_clause([self._open_bounds.pop(bound)])
        self._report()

    def _refuted(self, bound: int) -> None:
        for lower in [lower for lower in self._open_bounds if lower <= bound]:
            self._solver.add_clause([-self._open_bounds.pop(lower)])
        self._raise_lower(bound + 1)

    def _raise_lower(self, cost: int) -> None:
        if cost > self._lower:
            self._lower = cost
            self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._cost.objective(self._lower), self._objective_upper())

    def _objective_upper(self) -> int | None:
        return None if self._upper is None else self._cost.objective(self._upper)

    def _ended(self, status: Literal["optimum", "infeasible", "unknown"], reason: str) -> Optimum:
        return Optimum(status, reason, self._cost.objective(self._lower), self._objective_upper(), self._model)

    def _conflicts(self) -> int:
        return int(self._solver.statistics()["conflicts"])
