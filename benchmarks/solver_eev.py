"""The solver alone on queries of networks trained with EEV's method, beside the answers of MiniSatCS.

Solves every `.knf.gz` of a folder (Jia and Rinard, NeurIPS 2020), replays every counterexample on the formula, and
compares each answer with the one in the folder's `results.tsv`, if it has one. Times of that table were taken on
another day and machine load, so read them as orders of magnitude. Exit status 1 on any disagreement:
`python benchmarks/solver_eev.py FOLDER [--time-limit 60]`.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import NamedTuple

from bnnhw.verify import formula as formulas


class Reference(NamedTuple):
    answer: str
    seconds: float
    conflicts: int


def read_references(folder: Path) -> dict[str, Reference]:
    """The answers of `results.tsv` by file name without `.gz`; none if there is no such file."""
    table = folder / "results.tsv"
    if not table.exists():
        return {}
    with table.open(newline="") as lines:
        return {
            row["file"]: Reference(row["answer"], float(row["solve_seconds"]), int(row["conflicts"]))
            for row in csv.DictReader(lines, delimiter="\t")
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds per query (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-probing", action="store_true", help="switch failed-literal probing off")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.knf.gz"))
    if not files:
        print(f"{arguments.folder} has no .knf.gz file", file=sys.stderr)
        return 2
    references = read_references(arguments.folder)
    wrong: list[str] = []
    totals = {"SAT": 0, "UNSAT": 0, "UNKNOWN": 0}
    both: list[tuple[str, float, float]] = []
    print(f"{'query':24} {'answer':8} {'load s':>8} {'solve s':>9} {'conflicts':>9}", end="  ")
    print(f"{'MiniSatCS':9} {'s':>9} {'conflicts':>9}")
    for file in files:
        name = file.name.removesuffix(".gz")
        formula = formulas.read(file)
        start = time.process_time()
        solver = formulas.load(formula, arguments.seed, probing=not arguments.no_probing)
        loaded = time.process_time()
        result = solver.solve(time_limit=arguments.time_limit)
        seconds = time.process_time() - loaded
        answer = result.status.upper()
        totals[answer] += 1
        if answer == "SAT" and (violation := formula.first_violation(solver.model())) is not None:
            wrong.append(f"{name}: the model is none, {violation}")
        reference = references.get(name)
        beside = ""
        if reference is not None:
            beside = f"{reference.answer:9} {reference.seconds:9.4f} {reference.conflicts:9d}"
            if reference.answer in ("SAT", "UNSAT") and answer != "UNKNOWN":
                both.append((answer, seconds, reference.seconds))
                if answer != reference.answer:
                    wrong.append(f"{name}: {answer} here, {reference.answer} there")
        conflicts = solver.statistics()["conflicts"]
        print(f"{name:24} {answer:8} {loaded - start:8.4f} {seconds:9.4f} {conflicts:9d}  {beside}", flush=True)
    print(", ".join(f"{count} {answer}" for answer, count in totals.items()))
    for answer in ("SAT", "UNSAT"):
        ours = sum(seconds for kind, seconds, _ in both if kind == answer)
        theirs = sum(seconds for kind, _, seconds in both if kind == answer)
        count = sum(kind == answer for kind, _, _ in both)
        print(f"{answer}, decided by both: {count} queries, {ours:.2f} s here, {theirs:.2f} s in results.tsv")
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
