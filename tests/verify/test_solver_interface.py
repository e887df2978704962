"""The solver as callers meet it: limits, interruption, determinism, bulk loading and the refusal of misuse."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from bnnhw.verify._solver import Solver


def pigeonhole(holes: int, seed: int = 0) -> Solver:
    """holes + 1 pigeons in `holes` holes, as cardinalities: hopeless for clause learning beyond about 10 holes."""
    solver = Solver(seed)
    solver.new_variables((holes + 1) * holes)
    for pigeon in range(holes + 1):
        solver.add_clause([pigeon * holes + hole + 1 for hole in range(holes)])
    for hole in range(holes):
        solver.add_at_least(0, [-(pigeon * holes + hole + 1) for pigeon in range(holes + 1)], holes)
    return solver


def free_last_pigeon(solver: Solver, holes: int) -> None:
    """Usable afterwards: a new variable relaxes nothing, and new constraints still count."""
    first = solver.new_variables(2)
    solver.add_at_least(first, [first + 1, -(first + 1)], 1)
    solver.add_clause([-first])
    assert solver.solve().status == "unsat"


def test_conflict_limit() -> None:
    solver = pigeonhole(14)
    result = solver.solve(conflict_limit=500)
    assert (result.status, result.reason) == ("unknown", "conflicts")
    assert 500 <= solver.statistics()["conflicts"] <= 501
    assert solver.solve(conflict_limit=300).reason == "conflicts"
    assert 800 <= solver.statistics()["conflicts"] <= 802
    free_last_pigeon(solver, 14)


def test_time_limit() -> None:
    solver = pigeonhole(14)
    start = time.monotonic()
    result = solver.solve(time_limit=0.3)
    elapsed = time.monotonic() - start
    assert (result.status, result.reason) == ("unknown", "time")
    assert 0.3 <= elapsed < 3
    assert solver.solve(time_limit=0).reason == "time"
    free_last_pigeon(solver, 14)


def test_memory_limit() -> None:
    solver = pigeonhole(14)
    held = solver.statistics()["memory_bytes"]
    result = solver.solve(memory_limit=int(held) + 100_000, time_limit=60)
    assert (result.status, result.reason) == ("unknown", "memory")
    assert solver.statistics()["memory_bytes"] > held + 100_000
    assert solver.solve(memory_limit=0).reason == "memory"
    free_last_pigeon(solver, 14)


def test_interrupt_from_another_thread() -> None:
    solver = pigeonhole(14)
    timer = threading.Timer(0.3, solver.interrupt)
    timer.start()
    start = time.monotonic()
    result = solver.solve(time_limit=60)
    assert (result.status, result.reason) == ("unknown", "interrupted")
    assert time.monotonic() - start < 10
    timer.join()
    assert solver.solve(conflict_limit=10).reason == "conflicts"
    free_last_pigeon(solver, 14)


def test_an_interrupt_that_comes_early_stops_the_next_solve_only() -> None:
    solver = pigeonhole(14)
    solver.interrupt()
    assert solver.solve(conflict_limit=10).reason == "interrupted"
    assert solver.solve(conflict_limit=10).reason == "conflicts"


def test_a_running_solver_refuses_other_calls() -> None:
    solver = pigeonhole(14)
    worker = threading.Thread(target=solver.solve, kwargs={"time_limit": 60})
    worker.start()
    time.sleep(0.2)
    with pytest.raises(ValueError, match="solving in another thread"):
        solver.add_clause([1])
    solver.interrupt()
    worker.join()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_raises_keyboard_interrupt_promptly() -> None:
    program = """
        import signal
        from bnnhw.verify._solver import Solver
        # Python leaves Ctrl-C alone where it is started with it ignored, as shells do in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        solver = Solver()
        holes = 14
        solver.new_variables((holes + 1) * holes)
        for pigeon in range(holes + 1):
            solver.add_clause([pigeon * holes + hole + 1 for hole in range(holes)])
        for hole in range(holes):
            solver.add_at_least(0, [-(pigeon * holes + hole + 1) for pigeon in range(holes + 1)], holes)
        try:
            print("solving", flush=True)
            solver.solve(time_limit=60)
        except KeyboardInterrupt:
            print("stopped", solver.solve(conflict_limit=5).reason, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "solving\n"
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "stopped conflicts\n"
    assert time.monotonic() - start < 10


def test_same_seed_same_run_and_limits_do_not_change_it() -> None:
    def run(seed: int, **limits: float) -> dict[str, int | float]:
        solver = pigeonhole(7, seed)
        assert solver.solve(**limits).status == "unsat"  # type: ignore[arg-type]
        counts = solver.statistics()
        del counts["solve_seconds"], counts["memory_bytes"]
        return counts

    first = run(3)
    assert run(3) == first
    assert run(3, time_limit=1000.0, memory_limit=10**12, conflict_limit=10**9) == first
    assert run(4) != first


def test_models_repeat_with_the_seed() -> None:
    def model(seed: int) -> list[int]:
        solver = Solver(seed)
        solver.new_variables(40)
        solver.add_at_least(0, range(1, 41), 20)
        assert solver.solve().status == "sat"
        return list(map(int, solver.model()))

    assert model(1) == model(1)
    assert len({tuple(model(seed)) for seed in range(20)}) > 1


def test_bulk_loading_equals_loading_one_by_one() -> None:
    rng = np.random.default_rng(0)
    for round_number in range(50):
        weighted = round_number % 2 == 0
        one, many = Solver(5), Solver(5)
        for solver in (one, many):
            assert solver.new_variables(12) == 1
        sizes = rng.integers(0, 8, 10)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        literals = (rng.integers(1, 13, starts[-1]) * rng.choice([-1, 1], starts[-1])).astype(np.int32)
        weights = rng.integers(-2, 4, starts[-1]).astype(np.int32) if weighted else None
        outs = rng.integers(-12, 13, 10).astype(np.int32)
        bounds = rng.integers(0, 6, 10).astype(np.int64)
        many.add_at_least_many(outs, starts, literals, weights, bounds)
        for i, (begin, end) in enumerate(itertools.pairwise(starts.tolist())):
            own = weights[begin:end].tolist() if weights is not None else None
            one.add_at_least(int(outs[i]), literals[begin:end].tolist(), int(bounds[i]), own)
        assert one.solve().status == many.solve().status
        for name in ("conflicts", "decisions", "propagations", "fixed_variables"):
            assert one.statistics()[name] == many.statistics()[name]


def test_bump_weights_change_the_search_but_not_the_answer() -> None:
    plain, weighted = pigeonhole(7), pigeonhole(7)
    weighted.set_bump_weight(range(1, 15), 4.0)
    assert plain.solve().status == weighted.solve().status == "unsat"
    assert plain.statistics()["conflicts"] != weighted.statistics()["conflicts"]


def test_literals_may_be_numpy_integers_or_any_iterable() -> None:
    solver = Solver()
    solver.new_variables(3)
    solver.add_clause(np.array([1, 2], dtype=np.int64))
    solver.add_clause(-literal for literal in (1,))
    solver.add_at_least(np.int32(3), {1, 2}, np.int64(1), np.array([1, 1]))  # type: ignore[arg-type]
    assert solver.solve().status == "sat"
    assert solver.model().tolist() == [0, 0, 1, 1]
    assert solver.model().dtype == np.int8


def test_the_empty_clause_and_the_empty_formula() -> None:
    solver = Solver()
    assert solver.solve().status == "sat"
    assert solver.model().tolist() == [0]
    solver.add_clause([])
    assert solver.solve().status == "unsat"
    assert solver.failed_assumptions() == []


def three_variables() -> Solver:
    solver = Solver()
    solver.new_variables(3)
    return solver


int32, int64 = np.int32, np.int64


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda s: s.add_clause([0]), "literal 0 at index 0 of the clause"),
        (lambda s: s.add_clause([1, -4]), "literal -4 at index 1 of the clause is out of range: there are 3 variables"),
        (lambda s: s.add_clause([2**40]), "out of range"),
        (lambda s: s.add_clause([2**70]), "a literal does not fit 64 bits"),
        (lambda s: s.add_clause([-(2**63)]), "a literal is out of range"),
        (lambda s: s.add_clauses(np.array([1, 2], int32)), "does not end in 0"),
        (lambda s: s.add_clauses(np.array([1, 9, 0], int32)), "literal 9 at index 1"),
        (lambda s: s.add_clauses(np.array([1, 0], int64)), "the clauses must be a contiguous one-dimensional int32"),
        (lambda s: s.add_clauses(np.array([1, 0, 2, 0], int32)[::2]), "contiguous"),
        (lambda s: s.add_at_least(4, [1], 1), "output literal 4"),
        (lambda s: s.add_at_least(1, [2, 3], 2**63), "the bound does not fit 64 bits"),
        (lambda s: s.add_at_least(1, [2, 3], 2**63 - 1), "too large"),
        (lambda s: s.add_at_least(1, [2, 3], 1, [1]), "2 literals but 1 weights"),
        (lambda s: s.add_at_least(1, [2, 3], 1, [1, 2**31]), "the weight 2147483648 does not fit 32 bits"),
        (lambda s: s.add_at_least(1, [2, 3], 1, [2**28, 2**28]), "add up to more than 2.28"),
        (lambda s: s.solve([4]), "literal 4 at index 0 of the assumptions"),
        (lambda s: s.solve(conflict_limit=-1), "conflict_limit must not be negative"),
        (lambda s: s.solve(time_limit=float("nan")), "time_limit must not be negative"),
        (lambda s: s.solve(memory_limit=-1), "memory_limit must not be negative"),
        (lambda s: s.model(), "there is no model"),
        (lambda s: s.failed_assumptions(), "there are no failed assumptions"),
        (lambda s: s.new_variables(-1), "cannot make -1 variables"),
        (lambda s: s.set_bump_weight([1], 0.0), "must be positive"),
        (lambda s: s.set_bump_weight([-1], 2.0), "give positive numbers"),
    ],
)
def test_misuse_is_refused_in_one_sentence_and_changes_nothing(misuse: object, message: str) -> None:
    solver = three_variables()
    with pytest.raises(ValueError, match=message):
        misuse(solver)  # type: ignore[operator]
    assert solver.variables == 3
    assert solver.solve([1, 2, 3]).status == "sat"
    assert solver.solve([-1, -2, -3]).status == "sat"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": [0, 2]}, "2 outs need as many bounds and one more start"),
        ({"starts": [0, 2, 3]}, "begin with 0 and end with the number of literals, 4"),
        ({"starts": [0, 9, 4]}, "starts must not decrease"),
        ({"starts": [1, 2, 4]}, "begin with 0"),
        ({"outs": [3, 7]}, "output literal 7 in outs"),
        ({"literals": [1, 2, -1, 0]}, "literal 0 at index 3 of literals"),
        ({"weights": [1, 1, 1]}, "4 literals but 3 weights"),
        ({"weights": [1, 1, 2**28, 2**28]}, "constraint 1 is too large"),
        ({"bounds": [1, 2**62 + 1]}, "constraint 1 is too large"),
    ],
)
def test_bad_batches_are_refused_whole(change: dict[str, list[int]], message: str) -> None:
    good = {"outs": [3, -3], "starts": [0, 2, 4], "literals": [1, 2, -1, -2], "bounds": [2, 1], "weights": [1, 1, 1, 1]}
    arrays = {
        name: np.array(values, dtype=int64 if name in ("starts", "bounds") else int32)
        for name, values in {**good, **change}.items()
    }
    solver = three_variables()
    with pytest.raises(ValueError, match=message):
        solver.add_at_least_many(**arrays)  # type: ignore[arg-type]
    assert solver.solve([-3, 1, 2]).status == "sat"
