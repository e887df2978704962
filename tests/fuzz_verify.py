"""A campaign of random questions: verdicts against brute force, answers of the solver against CaDiCaL.

Not a test that pytest collects: `make fuzz` asks 20,000 questions about networks and 100,000 formulas on all cores, and
ends at the first disagreement (exit status 1) with the seed that repeats it. Seeds run from `--first` on; other starts
ask other questions. What was asked, and which stage answered what, is printed at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
from brute_force import agree_with
from pysat.solvers import Cadical195
from random_formulas import layered_formula, random_constraint, random_formula, random_literal
from random_questions import random_questions
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bnnhw.verify._solver import Solver
from bnnhw.verify.cross_check import clauses_of
from bnnhw.verify.formula import Formula, load

QUESTIONS_PER_SEED = 5
"""Questions about networks that share a table of reference inference; each formula has a seed of its own."""
SEEDS_PER_TASK = 50

Counts = Counter[tuple[str, str, str]]
"""By what was asked, the stage that answered, and its answer."""


class Disagreement(Exception):
    """Two routes give different answers; the message names the seed."""


def ask_networks(seed: int, seen: Counts) -> int:
    """Questions against brute force; returns the solver's conflicts."""
    conflicts = 0
    for table, question, plan in random_questions(np.random.default_rng(seed), QUESTIONS_PER_SEED):
        verdict = agree_with(table, question, plan)
        seen[type(question.condition).__name__, verdict.stage, verdict.status] += 1
        conflicts += int(verdict.statistics.get("conflicts", 0))
    return conflicts


def solve_formula(seed: int, seen: Counts) -> int:
    """One formula, then more of it in the same solver, under assumptions and without; returns the conflicts."""
    rng = random.Random(seed)
    layered = rng.random() < 0.5
    formula = layered_formula(rng) if layered else random_formula(rng, rng.choice([9, 14, 14, 30]))
    solver = load(formula, seed, rng.random() < 0.5)
    with Cadical195() as cadical:
        _add_clauses(formula, formula.variables, cadical)
        for addition in range(rng.randint(1, 3)):
            if addition:
                more = _more(rng, formula.variables)
                for clause in more.clauses:
                    solver.add_clause(clause)
                for one in more.constraints:
                    solver.add_at_least(one.out, one.literals, one.bound, one.weights)
                _add_clauses(more, max(formula.variables, cadical.nof_vars()), cadical)
                formula = Formula(
                    formula.variables, formula.clauses + more.clauses, formula.constraints + more.constraints
                )
            step = "added" if addition else "first"
            for assumed in range(rng.randint(1, 3)):
                assumptions = [random_literal(rng, formula.variables) for _ in range(rng.randint(1, 3) * assumed)]
                answer = _compare(solver, formula, assumptions, cadical)
                seen["layered" if layered else "any", step + (", assumed" if assumed else ""), answer] += 1
    return int(solver.statistics()["conflicts"])


def _add_clauses(formula: Formula, variables: int, cadical: Cadical195) -> None:
    """The formula as clauses; what these need in variables of their own comes after the first ``variables``."""
    for clause in clauses_of(Formula(variables, formula.clauses, formula.constraints)):
        # An empty clause is ignored over there.
        for part in [clause] if clause else [[1], [-1]]:
            cadical.add_clause(part)


def _more(rng: random.Random, variables: int) -> Formula:
    clauses = tuple(
        tuple(random_literal(rng, variables) for _ in range(rng.choice([2, 3, 3, 4]))) for _ in range(rng.randint(0, 4))
    )
    return Formula(variables, clauses, tuple(random_constraint(rng, variables) for _ in range(rng.randint(0, 2))))


def _compare(solver: Solver, formula: Formula, assumptions: list[int], cadical: Cadical195) -> str:
    """The solver's answer, after CaDiCaL has agreed, a model has been evaluated, and failed assumptions have failed."""
    answer = solver.solve(assumptions).status
    satisfiable = cadical.solve(assumptions)
    assert answer == ("sat" if satisfiable else "unsat"), (answer, assumptions, formula)
    if satisfiable:
        model = solver.model()
        violation = formula.first_violation(model)
        assert violation is None, (violation, assumptions, formula)
        assert all(model[abs(literal)] == (literal > 0) for literal in assumptions), (assumptions, formula)
    else:
        failed = solver.failed_assumptions()
        assert set(failed) <= set(assumptions), (failed, assumptions, formula)
        assert not cadical.solve(failed), (failed, formula)
    return answer


KINDS: dict[str, Callable[[int, Counts], int]] = {"networks": ask_networks, "formulas": solve_formula}


def work(kind: str, first: int, end: int) -> tuple[Counts, int]:
    """All questions of some seeds: what was seen, and the solver's conflicts. Runs in a process of its own."""
    seen: Counts = Counter()
    conflicts = 0
    for seed in range(first, end):
        try:
            conflicts += KINDS[kind](seed, seen)
        except Exception as error:
            repeat = f"--first {seed} --{kind} 1 --{'formulas' if kind == 'networks' else 'networks'} 0"
            raise Disagreement(f"{kind}, seed {seed}: {type(error).__name__}: {error}\nRepeat: {repeat}") from error
    return seen, conflicts


def campaign(kind: str, first: int, seeds: int, jobs: int, console: Console) -> None:
    """Every seed once, on all cores; prints the distribution. Raises Disagreement."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seen: Counts = Counter()
    conflicts = 0
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task(f"{kind} (seeds)", total=seeds)
        end = first + seeds
        tasks = {
            pool.submit(work, kind, at, min(at + SEEDS_PER_TASK, end)): min(SEEDS_PER_TASK, end - at)
            for at in range(first, end, SEEDS_PER_TASK)
        }
        try:
            for done in as_completed(tasks):
                new, more = done.result()
                seen += new
                conflicts += more
                progress.advance(bar, tasks[done])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        elapsed = progress.tasks[bar].finished_time or 0.0
    if kind == "networks":
        _print_networks(seen, conflicts, console)
    else:
        _print_formulas(seen, conflicts, seeds, console)
    console.print(f"{seen.total()} {kind[:-1]} questions from seed {first}, {elapsed:.0f} s, no disagreement\n")


def _print_networks(seen: Counts, conflicts: int, console: Console) -> None:
    conditions = sorted({about for about, _, _ in seen})
    table = Table("stage", "answer", *conditions, "share")
    for stage in ("clean", "bounds", "enumeration", "attack", "solver"):
        for status in ("robust", "falsified"):
            counts = [seen[condition, stage, status] for condition in conditions]
            if sum(counts):
                table.add_row(stage, status, *map(str, counts), f"{sum(counts) / seen.total():.1%}")
    console.print(table)
    solved = sum(times for (_, stage, _), times in seen.items() if stage == "solver")
    console.print(f"{conflicts / max(1, solved):.1f} conflicts per question that the solver decided")


def _print_formulas(seen: Counts, conflicts: int, seeds: int, console: Console) -> None:
    table = Table("formula", "solve", "sat", "unsat")
    for about, step in sorted({key[:2] for key in seen}):
        table.add_row(about, step, str(seen[about, step, "sat"]), str(seen[about, step, "unsat"]))
    console.print(table)
    console.print(f"{conflicts / max(1, seeds):.1f} conflicts per formula")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=20_000, help="questions, five of them from each seed")
    parser.add_argument("--formulas", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="where the seeds start")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; all cores by default")
    arguments = parser.parse_args()
    console = Console()
    seeds = {"networks": -(-arguments.networks // QUESTIONS_PER_SEED), "formulas": arguments.formulas}
    try:
        for kind, count in seeds.items():
            if count > 0:
                campaign(kind, arguments.first, count, arguments.jobs, console)
    except Disagreement as disagreement:
        print(disagreement, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
