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
