"""``bnnhw solve``: the solver alone, on a formula file of ours or a pseudo-Boolean one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli.console import print_json, say
from bnnhw.cli.options import Json
from bnnhw.verify import UnsoundnessError, formula, opb
from bnnhw.verify._solver import Solver
from bnnhw.verify.certificate import ProofLog, write_of_formula
from bnnhw.verify.optimize import Objective, minimize

FormulaFile = Annotated[Path, typer.Argument(help="A file *.knf or *.opb, or either with .gz.", show_default=False)]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0.0, help="Seconds of search; no limit by default.")]
Conflicts = Annotated[int | None, typer.Option("--conflicts", min=0, help="Conflicts; no limit by default.")]
SolverSeed = Annotated[int, typer.Option("--seed", min=0, max=2**64 - 1, help="Seed of the solver's random choices.")]
ProofFile = Annotated[
    Path | None,
    typer.Option("--proof", metavar="OUT", help="Write a certificate of the answer UNSAT, for `bnnhw certify check`."),
]
WithModel = Annotated[bool, typer.Option("--model", help="Print the model: 1 -2 ... 0, or x1 -x2 ... for OPB.")]


@dataclass(frozen=True)
class Question:
    """What a file asks: its formula in a solver, perhaps an objective, and the check of a model by adding up."""

    solver: Solver
    objective: Objective | None
    first_violation: Callable[[list[int]], str | None]
    literal_prefix: str


@dataclass(frozen=True)
class Answer:
    """SAT, UNSAT, OPTIMUM or UNKNOWN with its reason; the bounds are an objective's; `values` is the best model."""

    status: str
    reason: str = ""
    lower: int | None = None
    upper: int | None = None
    values: list[int] | None = None


def solve(
    file: FormulaFile,
    timeout: Timeout = None,
    conflicts: Conflicts = None,
    seed: SolverSeed = 0,
    model: WithModel = False,
    proof: ProofFile = None,
    json: Json = False,
) -> None:
    """Decide a formula or minimise an OPB file's objective: prints SAT, UNSAT, OPTIMUM value or UNKNOWN reason.

    No model counts before the file's own constraints, added up, have held for it. An objective's bounds appear on
    stderr as they improve, and Ctrl-C ends with those reached. --proof leaves no file unless the answer is UNSAT.

    Exit codes: 0 decided (SAT, UNSAT or OPTIMUM); 2 the file cannot be used; 3 unknown; 70 a model failed its check,
    which is a defect of bnnhw; 130 interrupted.
    """
    with ProofLog() as log:
        begun = time.perf_counter()
        question = load(file, seed, None if proof is None else log)
        loaded = time.perf_counter()
        variables = question.solver.variables
        answer = ask(question, timeout, conflicts)
        solved = time.perf_counter()
        if proof is not None and answer.status == "UNSAT":
            question.solver.finish_proof()
            write_of_formula(proof, formula.read_bytes(file), seed, question.solver.statistics(), log)
    check(question, answer)
    values = answer.values[: variables + 1] if answer.values is not None and model else []
    literals = [variable if values[variable] else -variable for variable in range(1, len(values))]
    statistics = {
        "solve_seconds": solved - loaded,
        "load_seconds": loaded - begun,
        "conflicts": question.solver.statistics()["conflicts"],
    }
    if json:
        result = {"file": str(file), "answer": answer.status, "reason": answer.reason}
        print_json(result | {"lower": answer.lower, "upper": answer.upper, **statistics, "model": literals or None})
    else:
        print_answer(answer)
        if literals:
            prefix = question.literal_prefix
            words = [f"{'-' if literal < 0 else ''}{prefix}{abs(literal)}" for literal in literals]
            print("v", *words, *([] if prefix else [0]))
        print("{solve_seconds:.4f} s, {conflicts} conflicts; loaded in {load_seconds:.4f} s".format(**statistics))
    if answer.status == "UNKNOWN":
        raise typer.Exit(130 if answer.reason == "interrupted" else 3)


def load(file: Path, seed: int, log: ProofLog | None = None) -> Question:
    """Read the file by what its name ends in; raises FormulaError, a ValueError, if it cannot be used.

    log: takes the proof, should there be no model; only formulas have one.
    """
    suffix = Path(file.name.removesuffix(".gz")).suffix
    if log is not None and suffix != ".knf":
        raise ValueError(f"{file} must end in .knf or .knf.gz to be proven: certificates speak of no other format")
    match suffix:
        case ".knf":
            solver = formula.load_file(file, seed, log=None if log is None else log.write)
            return Question(solver, None, lambda values: formula.read(file).first_violation(values), "")
        case ".opb":
            problem = opb.read(file)
            solver = formula.load(opb.recognize(problem), seed)
            return Question(solver, problem.objective, problem.first_violation, "x")
        case _:
            raise ValueError(f"{file} must end in .knf or .opb, or either with .gz, to say how it is to be read")


def ask(question: Question, timeout: float | None, conflicts: int | None) -> Answer:
    """Decide or minimise within the limits."""
    if question.objective is None:
        result = question.solver.solve(time_limit=timeout, conflict_limit=conflicts)
        found = result.status == "sat"
        return Answer(result.status.upper(), result.reason, values=question.solver.model().tolist() if found else None)
    best = minimize(
        question.solver, question.objective, time_limit=timeout, conflict_limit=conflicts, progress=say_bounds
    )
    if best.status == "infeasible":
        return Answer("UNSAT")
    values = best.model.tolist() if best.model is not None else None
    return Answer(best.status.upper(), best.reason, best.lower, best.upper, values)


def say_bounds(lower: int, upper: int | None) -> None:
    """One line of progress."""
    say(f"{lower} <= optimum" if upper is None else f"{lower} <= optimum <= {upper}")


def check(question: Question, answer: Answer) -> None:
    """Replay the model on the constraints as the file has them; raises UnsoundnessError if it is none."""
    if answer.values is None:
        return
    violation = question.first_violation(answer.values)
    if violation is not None:
        raise UnsoundnessError(f"the solver's model is none: {violation}")
    if question.objective is not None and question.objective.value(answer.values) != answer.upper:
        raise UnsoundnessError(
            f"the model's objective is {question.objective.value(answer.values)}, not {answer.upper}"
        )


def print_answer(answer: Answer) -> None:
    """The first line says it all; a second one gives the bounds where there is no optimum yet."""
    detail = {"UNKNOWN": f" {answer.reason}", "OPTIMUM": f" {answer.upper}"}
    print(answer.status + detail.get(answer.status, ""))
    if answer.status == "UNKNOWN" and answer.lower is not None:
        print(f"{answer.lower} <= optimum" + ("" if answer.upper is None else f" <= {answer.upper}"))
