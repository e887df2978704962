"""The solver's answers: against brute force, against CaDiCaL through our own encoding, and on known CNF families."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from pysat.solvers import Solver as PysatSolver
from random_formulas import random_formula, random_literal

from bnnhw.verify import formula as formulas
from bnnhw.verify._solver import Solver
from bnnhw.verify.formula import Formula, LinearConstraint


def all_models(formula: Formula) -> np.ndarray:
    """bool[models, variables + 1], by vectorised evaluation over all assignments."""
    variables = formula.variables
    numbers = np.arange(2**variables)
    true = {0: np.ones(len(numbers), dtype=bool)}
    for variable in range(1, variables + 1):
        true[variable] = (numbers >> (variable - 1) & 1).astype(bool)
        true[-variable] = ~true[variable]
    good = np.ones(len(numbers), dtype=bool)
    for clause in formula.clauses:
        good &= np.any([true[literal] for literal in clause], axis=0)
    for constraint in formula.constraints:
        weights = constraint.weights or (1,) * len(constraint.literals)
        total = np.zeros(len(numbers), dtype=np.int64)
        for weight, literal in zip(weights, constraint.literals, strict=True):
            total += weight * true[literal]
        good &= (total >= constraint.bound) == true[constraint.out]
    models: np.ndarray = np.stack([true[variable][good] for variable in range(variables + 1)], axis=1)
    return models


def restricted(models: np.ndarray, literals: list[int]) -> np.ndarray:
    keep = np.ones(len(models), dtype=bool)
    for literal in literals:
        keep &= models[:, abs(literal)] == (literal > 0)
    kept: np.ndarray = models[keep]
    return kept


def check_answer(solver: Solver, formula: Formula, models: np.ndarray, assumptions: list[int]) -> str:
    result = solver.solve(assumptions)
    assert result.reason == ""
    if len(restricted(models, assumptions)):
        assert result.status == "sat"
        model = solver.model()
        assert formula.first_violation(model) is None
        assert all(model[abs(literal)] == (literal > 0) for literal in assumptions)
    else:
        assert result.status == "unsat"
        failed = solver.failed_assumptions()
        assert set(failed) <= set(assumptions)
        assert len(restricted(models, failed)) == 0
    return result.status


@pytest.mark.parametrize("part", range(4))
def test_random_mixed_formulas_agree_with_brute_force(part: int) -> None:
    rng = random.Random(part)
    answers = {"sat": 0, "unsat": 0}
    for index in range(600):
        formula = random_formula(rng)
        models = all_models(formula)
        solver = formulas.load(formula, seed=index)
        answers[check_answer(solver, formula, models, [])] += 1
        for _ in range(2):
            assumptions = [random_literal(rng, formula.variables) for _ in range(rng.randint(1, 5))]
            answers[check_answer(solver, formula, models, assumptions)] += 1
    assert min(answers.values()) > 300


def test_adding_between_solves_agrees_with_brute_force() -> None:
    rng = random.Random(77)
    answers = {"sat": 0, "unsat": 0}
    for index in range(300):
        whole = random_formula(rng)
        solver = Solver(index)
        clauses: tuple[tuple[int, ...], ...] = ()
        constraints: tuple[LinearConstraint, ...] = ()
        parts: list[tuple[int, ...] | LinearConstraint] = [*whole.clauses, *whole.constraints]
        rng.shuffle(parts)
        for part in parts:
            literals = (*part.literals, part.out) if isinstance(part, LinearConstraint) else part
            missing = max(map(abs, literals)) - solver.variables
            if missing > 0:
                assert solver.new_variables(missing) + missing - 1 == solver.variables
            if isinstance(part, LinearConstraint):
                constraints += (part,)
                solver.add_at_least(part.out, part.literals, part.bound, part.weights)
            else:
                clauses += (part,)
                solver.add_clause(part)
            if solver.variables and rng.random() < 0.4:
                formula = Formula(solver.variables, clauses, constraints)
                assumptions = [random_literal(rng, formula.variables) for _ in range(rng.randint(0, 3))]
                answers[check_answer(solver, formula, all_models(formula), assumptions)] += 1
    assert min(answers.values()) > 300


class Totalizer:
    """Clauses that define, in both directions, literals for "at least k of these are true"."""

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self.clauses: list[list[int]] = []

    def fresh(self) -> int:
        self.variables += 1
        return self.variables

    def counts(self, literals: list[int]) -> list[int]:
        """Literals c[0], c[1], ...; c[k - 1] is true exactly if at least k of the literals are."""
        if len(literals) <= 1:
            return literals
        half = len(literals) // 2
        left, right = self.counts(literals[:half]), self.counts(literals[half:])
        out = [self.fresh() for _ in literals]
        for i in range(len(left) + 1):
            for j in range(len(right) + 1):
                if i + j > 0:  # i on the left and j on the right make i + j.
                    premises = ([-left[i - 1]] if i else []) + ([-right[j - 1]] if j else [])
                    self.clauses.append([*premises, out[i + j - 1]])
                if i + j < len(out):  # Fewer than i + 1 and fewer than j + 1 make fewer than i + j + 1.
                    premises = ([left[i]] if i < len(left) else []) + ([right[j]] if j < len(right) else [])
                    self.clauses.append([*premises, -out[i + j]])
        return out

    def reify(self, constraint: LinearConstraint) -> None:
        literals: list[int] = []
        bound = constraint.bound
        for weight, literal in zip(
            constraint.weights or (1,) * len(constraint.literals), constraint.literals, strict=True
        ):
            literals += [literal if weight > 0 else -literal] * abs(weight)
            bound -= min(weight, 0)
        if 0 < bound <= len(literals):
            reached = self.counts(literals)[bound - 1]
            if constraint.out == 0:
                self.clauses.append([reached])
            else:
                self.clauses += [[-constraint.out, reached], [constraint.out, -reached]]
        elif (bound <= 0 and constraint.out != 0) or bound > len(literals):
            unit = constraint.out if bound <= 0 else -constraint.out
            self.clauses.append([unit] if unit else [])


def network_query(rng: random.Random, inputs: int, hidden: int, fan_in: int, demand: float) -> Formula:
    """Two layers of random neurons and a demand that so many of the second layer take a given sign."""
    constraints: list[LinearConstraint] = []
    below, variables = list(range(1, inputs + 1)), inputs
    for _ in range(2):
        layer = list(range(variables + 1, variables + hidden + 1))
        variables += hidden
        for neuron in layer:
            chosen = rng.sample(below, min(fan_in, len(below)))
            literals = tuple(rng.choice([-1, 1]) * literal for literal in chosen)
            weights = tuple(rng.randint(1, 3) for _ in literals) if rng.random() < 0.5 else None
            middle = (sum(weights) if weights else len(literals)) // 2
            constraints.append(LinearConstraint(neuron, literals, middle + rng.randint(0, 2), weights))
        below = layer
    signed = tuple(rng.choice([-1, 1]) * literal for literal in below)
    constraints.append(LinearConstraint(0, signed, int(demand * len(signed))))
    return Formula(variables, (), tuple(constraints))


def test_network_queries_agree_with_cadical_on_a_totalizer_encoding() -> None:
    rng = random.Random(5)
    answers = {"sat": 0, "unsat": 0}
    for index in range(60):
        formula = network_query(rng, inputs=12, hidden=14, fan_in=7, demand=rng.choice([0.7, 0.8, 0.9]))
        encoding = Totalizer(formula.variables)
        for constraint in formula.constraints:
            encoding.reify(constraint)
        with PysatSolver(name="cadical195", bootstrap_with=encoding.clauses) as other:
            expected = "sat" if other.solve() else "unsat"
        solver = formulas.load(formula, seed=index)
        assert solver.solve().status == expected
        if expected == "sat":
            assert formula.first_violation(solver.model()) is None
        answers[expected] += 1
    assert min(answers.values()) >= 10


def solve_clauses(variables: int, clauses: list[list[int]], seed: int = 0) -> tuple[str, list[int]]:
    solver = Solver(seed)
    solver.new_variables(variables)
    solver.add_clauses(np.array([number for clause in clauses for number in (*clause, 0)], dtype=np.int32))
    status = solver.solve().status
    return status, solver.model().tolist() if status == "sat" else []


def test_random_3sat_at_the_threshold_agrees_with_cadical() -> None:
    rng = random.Random(1)
    answers = {"sat": 0, "unsat": 0}
    for seed in range(30):
        variables = 120
        clauses = [
            [rng.choice([-1, 1]) * variable for variable in rng.sample(range(1, variables + 1), 3)]
            for _ in range(round(4.26 * variables))
        ]
        with PysatSolver(name="cadical195", bootstrap_with=clauses) as other:
            expected = "sat" if other.solve() else "unsat"
        status, model = solve_clauses(variables, clauses, seed)
        assert status == expected
        if status == "sat":
            assert all(any(model[abs(literal)] == (literal > 0) for literal in clause) for clause in clauses)
        answers[status] += 1
    assert min(answers.values()) >= 5


@pytest.mark.parametrize("holes", [6, 7])
def test_pigeonhole_clauses_are_unsatisfiable(holes: int) -> None:
    def place(pigeon: int, hole: int) -> int:
        return pigeon * holes + hole + 1

    clauses = [[place(pigeon, hole) for hole in range(holes)] for pigeon in range(holes + 1)]
    for hole in range(holes):
        clauses += [[-place(a, hole), -place(b, hole)] for a, b in itertools.combinations(range(holes + 1), 2)]
    assert solve_clauses((holes + 1) * holes, clauses)[0] == "unsat"


@pytest.mark.parametrize("parity", [0, 1])
def test_two_parity_chains_over_the_same_variables(parity: int) -> None:
    rng = random.Random(parity)
    count = 20
    variables = count
    clauses: list[list[int]] = []
    ends = []
    for _ in range(2):
        order = rng.sample(range(1, count + 1), count)
        running = order[0]
        for following in order[1:]:
            variables += 1
            for a, b in itertools.product([-1, 1], repeat=2):
                clauses.append([-a * running, -b * following, -a * b * variables])
            running = variables
        ends.append(running)
    # Each step negates the parity; both chains have the same number of steps, so their ends are equal.
    clauses += [[ends[0], ends[1]], [-ends[0], -ends[1]]] if parity else [[ends[0]], [ends[1]]]
    assert solve_clauses(variables, clauses)[0] == ("unsat" if parity else "sat")


def test_weighted_propagation_forces_every_literal_heavier_than_the_slack() -> None:
    solver = Solver()
    solver.new_variables(5)
    solver.add_at_least(0, [1, 2, 3, 4], 7, [4, 2, 2, 1])
    solver.add_at_least(5, [1, 2], 2)
    # Slack 2: literal 1 is forced without any search, so its negation fails by itself.
    assert solver.solve([-1]).status == "unsat"
    assert solver.failed_assumptions() == [-1]
    assert solver.statistics()["decisions"] == 0
    assert solver.solve([-2, -5]).status == "sat"
    assert solver.solve([-2, -3]).status == "unsat"
    assert set(solver.failed_assumptions()) == {-2, -3}
