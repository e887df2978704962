"""Every solver behind one face: which queries it takes, and one measured run. All run on one thread."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from measure import Answer, Report, Run, forked, less_loading, within, write
from queries import Query
from translations import cardinality_cnf, largest_total, opb_text, totalizers_size

from bnnhw.verify import formula as formulas
from bnnhw.verify import opb
from bnnhw.verify._engine import Query as EngineQuery
from bnnhw.verify._solver import Solver
from bnnhw.verify.check import ask, replay
from bnnhw.verify.cross_check import clauses_of
from bnnhw.verify.formula import LinearConstraint
from bnnhw.verify.optimize import Objective, minimize

LARGEST_REPETITION = 20_000
"""Sums beyond this many repeated literals are not handed to solvers that have no weights."""

LARGEST_CNF = 3_000_000
"""Clauses; an encoding beyond this takes Python minutes and gigabytes, so such a query is not asked."""


class Peer(Protocol):
    """A solver. `seeded`: another seed takes another path, so a satisfiable query is worth asking again."""

    name: str
    version: str
    seeded: bool

    def takes(self, query: Query) -> bool:
        """Whether it can be asked this at all."""

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        """One run of at most `limit` CPU seconds; `folder` is the query's own, for files that all its runs share."""


class Ours:
    """Formulas go to the binary of `make binary` if its path is given, and are timed as other binaries are."""

    name = "bnnhw"
    seeded = True

    def __init__(self, binary: Path | None) -> None:
        self.version = importlib.metadata.version("bnnhw") + ("" if binary is None else " binary")
        self._binary = binary

    def takes(self, query: Query) -> bool:
        return True

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        if query.problem is not None:
            file = write(folder / "query.opb", lambda: opb_text(query))
            return forked(lambda: self._load_opb(file, seed), self._solve, limit)
        file = write(folder / "query.knf", lambda: formulas.serialize(query.formula))
        if self._binary is not None:
            return self._run_binary(self._binary, query, folder, seed, limit)

        def load() -> tuple[Solver, None]:
            return formulas.load_file(file, seed), None

        return forked(load, self._solve, limit, lambda: load()[0].solve(conflict_limit=0))

    @staticmethod
    def _run_binary(binary: Path, query: Query, folder: Path, seed: int, limit: float) -> Run:
        # An empty sum of at least 1, behind all others, leaves nothing but reading to do.
        impossible = LinearConstraint(0, (), 1)
        formula = query.formula
        twin = write(
            folder / "twin.knf",
            lambda: formulas.serialize(replace(formula, constraints=(*formula.constraints, impossible))),
        )
        empty = write(folder / "empty.knf", lambda: "p rknf 1 0\n")
        code, output, load, solve = less_loading(
            [str(binary), str(folder / "query.knf"), str(seed)],
            [str(binary), str(twin), str(seed)],
            [str(binary), str(empty), str(seed)],
            limit,
        )
        status = {10: "SAT", 20: "UNSAT"}.get(code, "UNKNOWN")
        conflicts = re.search(r"^c conflicts (\d+)", output, re.MULTILINE)
        model = re.search(r"^v (.*) 0$", output, re.MULTILINE)
        values = [0, *(int(not word.startswith("-")) for word in model[1].split())] if model else None
        answer = Answer(status, values=values, conflicts=int(conflicts[1]) if conflicts else None)
        return within(Run(answer, load, solve), limit)

    @staticmethod
    def _load_opb(file: Path, seed: int) -> tuple[Solver, Objective | None]:
        problem = opb.read(file)
        return formulas.load(opb.recognize(problem), seed), problem.objective

    @staticmethod
    def _solve(loaded: tuple[Solver, Objective | None], report: Report) -> Answer:
        solver, objective = loaded
        if objective is None:
            status = solver.solve().status
            values = solver.model().tolist() if status == "sat" else None
            return Answer(status.upper(), values=values, conflicts=int(solver.statistics()["conflicts"]))
        best = minimize(solver, objective, progress=report)
        conflicts = int(solver.statistics()["conflicts"])
        if best.model is None:
            return Answer("UNSAT", conflicts=conflicts)
        return Answer("OPTIMUM", best.lower, best.upper, best.model.tolist(), conflicts)


class Engine:
    """The way a model's queries really go: bounds and encoding in C++, in place of a formula's file."""

    name = "bnnhw-engine"
    seeded = True

    def __init__(self) -> None:
        self.version = importlib.metadata.version("bnnhw")

    def takes(self, query: Query) -> bool:
        return query.question is not None

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        assert query.question is not None
        network, question = query.question

        def load() -> EngineQuery:
            asked = ask([network], question)
            asked.bound()
            asked.encode(seed)
            return asked

        def solve(asked: EngineQuery, _: Report) -> Answer:
            found = asked.solve()
            if found.image is not None:
                replay([network], question, np.array(found.image, np.int64))
            return Answer(found.status.upper(), conflicts=int(found.statistics["conflicts"]))

        return forked(load, solve, limit)


class MiniSatCS:
    """The solver of EEV (Jia and Rinard, NeurIPS 2020), as its authors run it or with its own defaults."""

    version = "binary"

    def __init__(self, binary: Path, name: str, options: Sequence[str]) -> None:
        self.name = name
        # Its defaults make no random choice.
        self.seeded = "-rnd-pol" in options
        self._binary = binary
        self._options = options

    def takes(self, query: Query) -> bool:
        return not query.optimizes and largest_total(query.formula) <= LARGEST_REPETITION

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        twin = write(folder / "twin.cnf", lambda: cardinality_cnf(query.formula, contradictory=True))
        file = write(folder / "query.cnf", lambda: cardinality_cnf(query.formula))
        empty = write(folder / "empty.cnf", lambda: "p cnf 1 0\n")
        answer_file = str(folder / "answer.txt")
        command = [str(self._binary), *self._options, *([f"-rnd-seed={seed}"] if seed else [])]
        code, output, load, solve = less_loading(
            [*command, str(file), answer_file],
            [*command, str(twin), answer_file],
            [*command, str(empty), answer_file],
            limit,
        )
        status = {10: "SAT", 20: "UNSAT"}.get(code, "UNKNOWN")
        conflicts = re.search(r"^conflicts\s*:\s*(\d+)", output, re.MULTILINE)
        values = None
        if status == "SAT":
            literals = set(map(int, Path(answer_file).read_text().split()[1:]))
            values = [0] + [int(variable in literals) for variable in range(1, query.formula.variables + 1)]
        answer = Answer(status, values=values, conflicts=int(conflicts[1]) if conflicts else None)
        return within(Run(answer, load, solve), limit)


class Clasp:
    name = "clasp"
    seeded = True

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self.version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.split()[2]

    def takes(self, query: Query) -> bool:
        return True

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        twin = write(folder / "twin.opb", lambda: opb_text(query, contradictory=True))
        file = write(folder / "query.opb", lambda: opb_text(query))
        empty = write(folder / "empty.opb", lambda: "* #variable= 1 #constraint= 0\n")
        command = [self._binary, f"--seed={seed + 1}"]
        _, output, load, solve = less_loading(
            [*command, str(file)], [*command, str(twin)], [*command, str(empty)], limit
        )
        verdict = re.search(r"^s (.+)$", output, re.MULTILINE)
        names = {"SATISFIABLE": "SAT", "UNSATISFIABLE": "UNSAT", "OPTIMUM FOUND": "OPTIMUM"}
        status = names.get(verdict[1].strip() if verdict else "", "UNKNOWN")
        if status == "SAT" and query.optimizes:
            status = "UNKNOWN"
        words = {word for line in re.findall(r"^v (.*)$", output, re.MULTILINE) for word in line.split()}
        values = [0] + [int(f"x{variable}" in words) for variable in range(1, query.formula.variables + 1)]
        found = _judge(query, status, values if words else None)
        return within(Run(found, load, solve), limit)


class Cadical:
    """CaDiCaL 1.9.5 through PySAT, on totalizers that are not too large."""

    name = "cadical-totalizer"
    seeded = False

    def __init__(self) -> None:
        self.version = f"1.9.5, python-sat {importlib.metadata.version('python-sat')}"

    def takes(self, query: Query) -> bool:
        return not query.optimizes and totalizers_size(query.formula) <= LARGEST_CNF

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        from pysat.solvers import Cadical195

        def solve(cadical: Any, _: Report) -> Answer:
            if not cadical.solve():
                return Answer("UNSAT")
            literals = set(cadical.get_model())
            values = [0] + [int(variable in literals) for variable in range(1, query.formula.variables + 1)]
            return Answer("SAT", values=values)

        return forked(lambda: Cadical195(bootstrap_with=clauses_of(query.formula)), solve, limit)


class CpSat:
    """OR-tools' CP-SAT on one worker, reified sums as enforced linear constraints in both directions."""

    name = "cp-sat"
    seeded = True

    def __init__(self) -> None:
        self.version = importlib.metadata.version("ortools")

    def takes(self, query: Query) -> bool:
        return True

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        from ortools.sat.python import cp_model

        def load() -> tuple[Any, list[Any]]:
            model = cp_model.CpModel()
            variables = [model.new_bool_var("") for _ in range(query.formula.variables + 1)]

            def total(weights: Sequence[int], literals: Sequence[int]) -> Any:
                signed = [variables[v] if v > 0 else variables[-v].negated() for v in literals]
                return cp_model.LinearExpr.weighted_sum(signed, list(weights))

            for row in query.rows():
                value = total(row.weights, row.literals)
                relation = {">=": value >= row.bound, "<=": value <= row.bound, "=": value == row.bound}[row.relation]
                if row.out == 0:
                    model.add(relation)
                else:
                    out = variables[abs(row.out)]
                    model.add(relation).only_enforce_if(out if row.out > 0 else out.negated())
                    model.add(value < row.bound).only_enforce_if(out.negated() if row.out > 0 else out)
            if query.problem is not None and query.problem.objective is not None:
                model.minimize(total(query.problem.objective.weights, query.problem.objective.literals))
            return model, variables

        def solve(loaded: tuple[Any, list[Any]], _: Report) -> Answer:
            model, variables = loaded
            solver = cp_model.CpSolver()
            solver.parameters.num_workers = 1
            solver.parameters.random_seed = seed
            solver.parameters.max_time_in_seconds = limit
            code = solver.solve(model)
            if code == cp_model.INFEASIBLE:
                return Answer("UNSAT")
            found = code in (cp_model.OPTIMAL, cp_model.FEASIBLE)
            values = [int(solver.value(variable)) for variable in variables] if found else None
            best = "OPTIMUM" if code == cp_model.OPTIMAL else "UNKNOWN"
            status = best if query.optimizes else "SAT" if found else "UNKNOWN"
            lower = round(solver.best_objective_bound) if query.optimizes else None
            return _judge(query, status, values, lower)

        return forked(load, solve, limit)


class Exact:
    """Exact, a pseudo-Boolean solver with cutting planes, through its Python package."""

    name = "exact"
    seeded = True

    def __init__(self) -> None:
        self.version = importlib.metadata.version("exact")

    def takes(self, query: Query) -> bool:
        return True

    def run(self, query: Query, folder: Path, seed: int, limit: float) -> Run:
        import exact

        names = [f"x{variable}" for variable in range(query.formula.variables + 1)]

        def terms(weights: Sequence[int], literals: Sequence[int]) -> tuple[list[tuple[int, str]], int]:
            """w [not v] = w - w [v]: the terms, and what the bound loses to the constants."""
            constant = sum(weight for weight, literal in zip(weights, literals, strict=True) if literal < 0)
            signed = zip(weights, literals, strict=True)
            return [(weight if v > 0 else -weight, names[abs(v)]) for weight, v in signed], constant

        def load() -> Any:
            solver = exact.Exact([("verbosity", "0"), ("seed", str(seed + 1))])
            for name in names[1:]:
                solver.addVariable(name)
            for row in query.rows():
                own, constant = terms(row.weights, row.literals)
                bound = row.bound - constant
                if row.out != 0:
                    solver.addReification(names[abs(row.out)], row.out > 0, own, bound)
                else:
                    solver.addConstraint(own, row.relation != "<=", bound, row.relation != ">=", bound)
            if query.problem is not None and query.problem.objective is not None:
                own, constant = terms(query.problem.objective.weights, query.problem.objective.literals)
                solver.setObjective(own, True, constant)
            return solver

        def solve(solver: Any, _: Report) -> Answer:
            code = solver.runFull(query.optimizes, limit)
            values = [0, *solver.getLastSolutionFor(names[1:])] if solver.hasSolution() else None
            if not query.optimizes:
                return _judge(query, {"SAT": "SAT", "UNSAT": "UNSAT"}.get(code, "UNKNOWN"), values)
            if code == "UNSAT":
                return _judge(query, "OPTIMUM" if values else "UNSAT", values)
            return _judge(query, "UNKNOWN", values, int(solver.getDualBound()))

        return forked(load, solve, limit)


def _judge(query: Query, status: str, values: list[int] | None, lower: int | None = None) -> Answer:
    """An answer whose upper bound is the objective of the model handed over, added up here."""
    if query.problem is None or query.problem.objective is None or values is None:
        return Answer(status, lower, None, values if status == "SAT" else None)
    upper = query.problem.objective.value(values)
    return Answer(status, upper if status == "OPTIMUM" else lower, upper, values)


def installed(binary: Path | None, minisatcs: Path | None) -> list[Peer]:
    """Ours first, as that binary if there is one, then every solver that is there."""
    peers: list[Peer] = [Ours(binary), Engine()]
    if minisatcs is not None:
        peers += [
            MiniSatCS(minisatcs, "minisatcs-eev", ["-phase-saving=0", "-rnd-pol"]),
            MiniSatCS(minisatcs, "minisatcs", []),
        ]
    if importlib.util.find_spec("pysat") is not None:
        peers.append(Cadical())
    if importlib.util.find_spec("ortools") is not None:
        peers.append(CpSat())
    if "exact" in importlib.metadata.packages_distributions():
        peers.append(Exact())
    clasp = shutil.which("clasp")
    if clasp is not None:
        peers.append(Clasp(clasp))
    return peers
