"""Random formulas of clauses and reified linear constraints, with every oddity the solver must take."""

from __future__ import annotations

import random

from bnnhw.verify.formula import Formula, LinearConstraint


def random_literal(rng: random.Random, variables: int) -> int:
    return rng.choice([-1, 1]) * rng.randint(1, variables)


def random_constraint(rng: random.Random, variables: int) -> LinearConstraint:
    """With duplicates, opposite literals, the output among the literals, zero and negative weights, trivial bounds."""
    out = 0 if rng.random() < 0.15 else random_literal(rng, variables)
    literals = tuple(
        rng.choice([-1, 1]) * out if out and rng.random() < 0.08 else random_literal(rng, variables)
        for _ in range(rng.randint(0, 9))
    )
    weights = tuple(rng.randint(-2, 6) for _ in literals) if rng.random() < 0.5 else None
    most = sum(max(weight, 0) for weight in weights) if weights is not None else len(literals)
    return LinearConstraint(out, literals, rng.randint(-1, most + 1), weights)


def random_formula(rng: random.Random, most_variables: int = 9) -> Formula:
    variables = rng.randint(1, most_variables)
    clauses = tuple(
        tuple(random_literal(rng, variables) for _ in range(rng.choice([1, 2, 3, 3, 4])))
        for _ in range(rng.randint(0, 2 * variables))
    )
    constraints = tuple(random_constraint(rng, variables) for _ in range(rng.randint(0, variables)))
    return Formula(variables, clauses, constraints)


def layered_formula(rng: random.Random) -> Formula:
    """Two layers of neurons and a demand on the last, about as hard to meet as not: answers take conflicts.

    A neuron's bound is near the median of its sum; a third of them is weighted.
    """
    sizes = [rng.randint(8, 12), rng.randint(6, 10), rng.randint(4, 8)]
    constraints: list[LinearConstraint] = []
    first, end = 1, sizes[0] + 1
    for size in sizes[1:]:
        for out in range(end, end + size):
            chosen = rng.sample(range(first, end), min(end - first, rng.randint(4, 8)))
            constraints.append(_balanced(rng, rng.choice([-1, 1]) * out, chosen, rng.randint(-1, 1)))
        first, end = end, end + size
    clauses = tuple(
        tuple(rng.choice([-1, 1]) * variable for variable in rng.sample(range(1, end), 3))
        for _ in range(rng.randint(0, 3 * sizes[0]))
    )
    for _ in range(rng.randint(1, 4)):
        last = rng.sample(range(first, end), rng.randint(3, end - first))
        constraints.append(_balanced(rng, 0, last, rng.randint(0, 2)))
    return Formula(end - 1, clauses, tuple(constraints))


def _balanced(rng: random.Random, out: int, variables: list[int], above: int) -> LinearConstraint:
    literals = tuple(rng.choice([-1, 1]) * variable for variable in variables)
    weights = tuple(rng.randint(1, 5) for _ in literals) if rng.random() < 0.33 else (1,) * len(literals)
    return LinearConstraint(out, literals, (sum(weights) + 1) // 2 + above * max(weights) // 2, weights)
