"""Minimisation: the optimum of every small problem, bounds that are true at any time, limits and interruption."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.verify import formula as formulas
from bnnhw.verify._solver import Solver
from bnnhw.verify.formula import Formula, LinearConstraint
from bnnhw.verify.optimize import Objective, minimize

VARIABLES = 6
literals = st.integers(1, VARIABLES).flatmap(lambda v: st.sampled_from([v, -v]))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Formula, Objective]:
    clauses = tuple(tuple(c) for c in draw(st.lists(st.lists(literals, min_size=1, max_size=3), max_size=5)))
    sums = st.lists(literals, min_size=1, max_size=5)
    constraints = tuple(
        LinearConstraint(draw(st.just(0) | literals), tuple(draw(sums)), draw(st.integers(-1, 4)))
        for _ in range(draw(st.integers(0, 3)))
    )
    scale = draw(st.sampled_from([1, 3, 1000]))
    terms = draw(st.lists(st.tuples(literals, st.integers(-7, 7)), max_size=8))
    objective = Objective(tuple(literal for literal, _ in terms), tuple(scale * weight for _, weight in terms))
    return Formula(VARIABLES, clauses, constraints), objective


@given(problems(), st.integers(0, 2))
@settings(derandomize=True, deadline=None, max_examples=400)
def test_the_optimum_is_the_smallest_value_of_a_model(problem: tuple[Formula, Objective], seed: int) -> None:
    formula, objective = problem
    everything = ([0, *bits] for bits in itertools.product([0, 1], repeat=VARIABLES))
    values = [objective.value(a) for a in everything if formula.satisfied_by(a)]
    steps: list[tuple[int, int | None]] = []
    found = minimize(
        formulas.load(formula, seed), objective, progress=lambda lower, upper: steps.append((lower, upper))
    )
    if not values:
        assert (found.status, found.upper, found.model) == ("infeasible", None, None)
        return
    best = min(values)
    assert (found.status, found.reason, found.lower, found.upper) == ("optimum", "", best, best)
    assert found.model is not None
    assert formula.first_violation(found.model) is None
    assert objective.value(found.model) == best
    assert all(lower <= best and (upper is None or best <= upper) for lower, upper in steps)
    assert all(
        before[0] <= after[0] and (before[1] is None or (after[1] is not None and after[1] <= before[1]))
        for before, after in itertools.pairwise(steps)
    )
    assert steps[-1] == (best, best)


def hard_packing(holes: int) -> tuple[Solver, Objective]:
    """holes + 1 pigeons, each in a hole or left out at cost 1: the optimum is 1, its proof out of reach."""
    solver = Solver()
    pigeons = holes + 1
    first_out = solver.new_variables(pigeons * holes + pigeons) + pigeons * holes
    for pigeon in range(pigeons):
        solver.add_clause([pigeon * holes + hole + 1 for hole in range(holes)] + [first_out + pigeon])
    for hole in range(holes):
        solver.add_at_least(0, [-(pigeon * holes + hole + 1) for pigeon in range(pigeons)], pigeons - 1)
    return solver, Objective(tuple(range(first_out, first_out + pigeons)), (1,) * pigeons)


def test_limits_end_with_the_bounds_reached() -> None:
    solver, objective = hard_packing(14)
    start = time.monotonic()
    found = minimize(solver, objective, time_limit=0.5)
    assert time.monotonic() - start < 3
    assert (found.status, found.reason, found.lower) == ("unknown", "time", 0)
    assert found.upper is not None
    assert found.model is not None
    assert found.upper == objective.value(found.model) >= 1
    solver, objective = hard_packing(14)
    found = minimize(solver, objective, conflict_limit=3000)
    assert (found.status, found.reason, found.lower) == ("unknown", "conflicts", 0)
    assert 3000 <= solver.statistics()["conflicts"] <= 3010


def test_it_can_be_interrupted_from_another_thread() -> None:
    solver, objective = hard_packing(14)
    finished = threading.Event()

    def interrupt() -> None:
        while not finished.wait(0.2):
            solver.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    found = minimize(solver, objective, time_limit=20)
    finished.set()
    thread.join()
    assert (found.status, found.reason) == ("unknown", "interrupted")


def test_a_small_packing_is_proved() -> None:
    solver, objective = hard_packing(4)
    assert minimize(solver, objective).upper == 1


def test_objectives_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="2 literals but 1 weights"):
        Objective((1, 2), (1,))
    solver = Solver()
    solver.new_variables(3)
    with pytest.raises(ValueError, match=r"add up to more than 2\^28"):
        minimize(solver, Objective((1, 2), (2**28, 1)))
    # In units of the common divisor it is small.
    assert minimize(solver, Objective((1, -2), (2**40, 2**41))).upper == 0
