"""Hours of random questions: verdicts against brute force, answers of the solver against CaDiCaL.

Not a test that pytest collects: `python tests/fuzz_verify.py --networks 20000 --formulas 100000 --seed 1` runs until
done or until the first disagreement, which it prints with the seed that repeats it (exit status 1).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from brute_force import agree
from pysat.solvers import Cadical195
from random_formulas import random_formula
from random_models import random_model, random_pixels

from bnnhw.model.reference import predict
from bnnhw.verify import Agree, Avoids, Budget, Keeps, NotUnanimouslyWrong, Plan, Region
from bnnhw.verify.cross_check import clauses_of
from bnnhw.verify.formula import load

SHAPES = [
    ((1, 2, 2), 7),
    ((1, 2, 3), 3),
    ((1, 3, 3), 1),
    ((2, 2, 2), 2),
    ((1, 3, 4), 1),
    ((1, 1, 4), 9),
    ((3, 1, 2), 3),
]
"""Image shapes with a largest pixel value that keeps the region's images below ten thousand."""


def ask_one(seed: int) -> tuple[str, str, str]:
    """One random question, checked against brute force; what it was about and how it was decided."""
    rng = np.random.default_rng(seed)
    shape, largest = SHAPES[int(rng.integers(len(SHAPES)))]

    def model() -> Any:
        return random_model(
            rng,
            shape,
            levels=int(rng.integers(1, 7)),
            hidden=int(rng.integers(1, 4)),
            classes=3,
            pixel_range=(0, largest),
        )

    models = [model() for _ in range(int(rng.integers(1, 4)))]
    image = random_pixels(rng, models[0], 1)[0]
    label = int(predict(models[0], image[None])[0]) if rng.random() < 0.8 else int(rng.integers(3))
    low = np.maximum(image - rng.integers(0, largest + 1, shape), 0)
    high = np.minimum(image + rng.integers(0, largest + 1, shape), largest)
    budget = None
    if rng.random() < 0.5:
        weight = rng.integers(0, 4, shape) if rng.random() < 0.3 else None
        norm = ("l0", "l1", "l2_squared")[int(rng.integers(3))]
        budget = Budget(norm, int(rng.integers(0, 8)), weight)  # type: ignore[arg-type]
    condition = [
        Keeps(label, bool(rng.random() < 0.3)),
        Avoids(label),
        NotUnanimouslyWrong(label),
        Agree(),
    ][int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))]
    count = {Keeps: 1, Avoids: 1, Agree: 2}.get(type(condition), len(models))
    while len(models) < count:
        models.append(model())
    plan = [Plan(), Plan(most_subsets=0), Plan(0, 0, 200)][int(rng.integers(3))]
    verdict = agree(models[:count], Region(image, low, high, budget) & condition, plan)
    return type(condition).__name__, verdict.stage, verdict.status


def solve_one(seed: int) -> tuple[str, str, str]:
    """One random formula, checked against CaDiCaL on totalizers; a model is evaluated."""
    rng = random.Random(seed)
    formula = random_formula(rng, 14)
    solver = load(formula, seed)
    answer = solver.solve().status
    clauses = clauses_of(formula)
    satisfiable = False
    if [] not in clauses:
        with Cadical195(bootstrap_with=clauses) as cadical:
            satisfiable = bool(cadical.solve())
    assert (answer == "sat") == satisfiable, (answer, satisfiable, formula)
    if answer == "sat":
        violation = formula.first_violation(solver.model())
        assert violation is None, (violation, formula)
    return "formula", "solver", answer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--formulas", type=int, default=5000)
    parser.add_argument(
        "--seed", type=int, default=0, help="where the seeds start; question i has seed SEED * 10^9 + i"
    )
    arguments = parser.parse_args()
    for what, count, run in (("networks", arguments.networks, ask_one), ("formulas", arguments.formulas, solve_one)):
        begun = time.perf_counter()
        seen: Counter[tuple[str, str, str]] = Counter()
        for index in range(count):
            seed = arguments.seed * 10**9 + index
            try:
                seen[run(seed)] += 1
            except Exception as error:
                print(f"{what}: seed {seed}: {type(error).__name__}: {error}", file=sys.stderr)
                return 1
        print(
            f"{count} {what} from seed {arguments.seed * 10**9}, {time.perf_counter() - begun:.0f} s, no disagreement"
        )
        for (about, stage, status), times in sorted(seen.items()):
            print(f"  {about:20} {stage:12} {status:10} {times:8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
