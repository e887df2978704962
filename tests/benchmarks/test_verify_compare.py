"""The comparison of solvers: translations that keep the models, limits that hold, wrong answers that end the run."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import compare
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure import Answer, Run, forked, less_loading
from peers import Ours
from queries import Query
from report import Record, ratio_table
from translations import cardinality_cnf, opb_text, totalizers_size

from bnnhw.verify import formula as formulas
from bnnhw.verify import opb
from bnnhw.verify._solver import Solver
from bnnhw.verify.cross_check import clauses_of
from bnnhw.verify.formula import Formula, LinearConstraint

VARIABLES = 4
literals = st.integers(1, VARIABLES).flatmap(lambda v: st.sampled_from([v, -v]))


@st.composite
def linear_constraints(draw: st.DrawFn) -> LinearConstraint:
    chosen = tuple(draw(st.lists(literals, max_size=6)))
    weights = draw(st.none() | st.tuples(*[st.integers(-3, 3)] * len(chosen)))
    return LinearConstraint(draw(st.just(0) | literals), chosen, draw(st.integers(-4, 8)), weights)


formula_values = st.builds(
    Formula,
    st.just(VARIABLES),
    st.lists(st.lists(literals, max_size=3).map(tuple), max_size=3).map(tuple),
    st.lists(linear_constraints(), max_size=3).map(tuple),
)


def solver_of_cardinality_cnf(text: str) -> Solver:
    header, *lines = text.splitlines()
    _, kind, variables, count = header.split()
    assert (kind, int(count)) == ("cnf", len(lines))
    solver = Solver()
    solver.new_variables(int(variables))
    for line in lines:
        *head, last = line.split()
        if "#" not in head:
            assert last == "0"
            solver.add_clause(map(int, head))
            continue
        *own, comparison, bound, _ = head
        numbers = [int(word) for word in own]
        assert len(set(map(abs, numbers))) == len(numbers)
        at_most = comparison == "<="
        solver.add_at_least(-int(last) if at_most else int(last), numbers, int(bound) + at_most)
    return solver


@given(formula_values)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_translations_keep_the_models(formula: Formula) -> None:
    query = Query("set", "query", formula)
    assert len(clauses_of(formula)) <= totalizers_size(formula)
    by_cardinality = solver_of_cardinality_cnf(cardinality_cnf(formula))
    problem = opb.parse(opb_text(query))
    for bits in itertools.product([0, 1], repeat=VARIABLES):
        model = formula.satisfied_by([0, *bits])
        assumed = [variable if bit else -variable for variable, bit in enumerate(bits, start=1)]
        assert by_cardinality.solve(assumed).status == ("sat" if model else "unsat")
        assert (problem.first_violation([0, *bits][: problem.variables + 1]) is None) == model


def test_twins_are_contradictory_whatever_the_formula() -> None:
    formula = Formula(2, ((1, 2),), (LinearConstraint(1, (2,), 1),))
    assert solver_of_cardinality_cnf(cardinality_cnf(formula, contradictory=True)).solve().status == "unsat"
    twin = opb.parse(opb_text(Query("set", "query", formula), contradictory=True))
    assert formulas.load(opb.recognize(twin)).solve().status == "unsat"


def spin(seconds: float) -> None:
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        pass


def test_a_fork_is_measured_and_limited_apart_for_loading_and_solving() -> None:
    run = forked(lambda: spin(0.2), lambda _, __: spin(0.1) or Answer("SAT"), 5)
    assert run.answer.status == "SAT"
    assert 0.2 <= run.load < 0.3
    assert 0.1 <= run.solve < 0.2
    begun = time.monotonic()
    run = forked(lambda: None, lambda _, report: report(1, 7) or spin(60) or Answer("SAT"), 0.3)
    assert time.monotonic() - begun < 10
    assert (run.answer.status, run.answer.lower, run.answer.upper, run.solve) == ("UNKNOWN", 1, 7, 0.3)
    run = forked(lambda: None, lambda _, __: Answer(str(1 // 0)), 5)
    assert (run.answer.status, run.solve) == ("UNKNOWN", 5)
    assert "ZeroDivisionError" in run.answer.detail


def test_a_binary_is_measured_without_its_loading() -> None:
    code = "import time\nt = time.process_time()\nwhile time.process_time() - t < {}: pass\nprint('done')\nexit(10)"
    whole, loading, start = ([sys.executable, "-c", code.format(seconds)] for seconds in (0.6, 0.3, 0.0))
    exit_code, output, load, solve = less_loading(whole, loading, start, 5)
    assert (exit_code, output) == (10, "done\n")
    assert 0.2 < load < 0.4
    assert 0.2 < solve < 0.4
    exit_code, *_ = less_loading([sys.executable, "-c", code.format(60)], start, start, 0.3)
    assert exit_code < 0


FORMULA = Formula(2, ((1, 2),), ())


def record(peer: str, status: str, solve: float = 1.0, seed: int = 0, **answer: object) -> Record:
    return Record("set", "query", peer, seed, Run(Answer(status, **answer), 0.5, solve))


@pytest.mark.parametrize(
    ("earlier", "latest", "known", "wrong"),
    [
        (record("a", "SAT"), record("b", "SAT", values=[0, 1, 0]), "SAT", None),
        (record("a", "SAT"), record("b", "UNKNOWN"), "SAT", None),
        (record("a", "SAT"), record("b", "UNSAT"), None, "b says UNSAT, a SAT"),
        (record("a", "UNKNOWN"), record("b", "UNSAT"), "SAT", "b says UNSAT, results.tsv SAT"),
        (record("a", "SAT"), record("b", "SAT", values=[0, 0, 0]), None, "the model of b is none, clause 0 is false"),
        (record("a", "OPTIMUM", lower=2, upper=2), record("b", "UNKNOWN", lower=1, upper=3), None, None),
        (
            record("a", "OPTIMUM", lower=2, upper=2),
            record("b", "OPTIMUM", lower=3, upper=3),
            None,
            "b says the optimum is at least 3, but a found 2",
        ),
        (
            record("a", "UNKNOWN", lower=4),
            record("b", "UNKNOWN", upper=3),
            None,
            "a says the optimum is at least 4, but b found 3",
        ),
    ],
)
def test_disagreements_are_seen(earlier: Record, latest: Record, known: str | None, wrong: str | None) -> None:
    query = Query("set", "query", FORMULA, None, known)
    assert compare.disagreement(query, [earlier, latest]) == wrong


def test_ratios_are_geometric_means_by_kind_of_query() -> None:
    def runs(query: str, ours: list[float], theirs: list[float], status: str) -> list[Record]:
        times = [("bnnhw", ours), ("minisatcs", theirs), ("minisatcs-eev", [2 * seconds for seconds in theirs])]
        return [
            Record("set", query, peer, seed, Run(Answer(status if own < 60 else "UNKNOWN"), 0.5, min(own, 60)))
            for peer, seconds in times
            for seed, own in enumerate(seconds)
        ]

    records = [
        *runs("medium", [1.0], [2.0], "UNSAT"),
        *runs("hard", [1.0], [40.0], "UNSAT"),
        *runs("sat", [1.0, 4.0], [1.0, 1.0], "SAT"),
        *runs("easy", [0.5], [0.04], "UNSAT"),
        *runs("nobody", [70.0], [70.0], "UNSAT"),
    ]
    rows = [line.split(" | ") for line in ratio_table(records).splitlines() if line.startswith("| minisatcs")]
    assert rows[0] == ["| minisatcs", "4 of 5", "2.00 (1)", "40.00 (1)", "0.50 (1)", "-", "0.54 (1)", "1.94 (4) |"]
    assert rows[1][:4] == ["| minisatcs-eev", "3 of 5", "4.00 (1)", "60.00 (1, 1 not decided)"]
    assert rows[2] == ["| minisatcs, the better", *rows[0][1:]]


def folder(tmp_path: Path, answer: str) -> Path:
    formulas.write(Formula(2, ((1,), (-1, 2)), (LinearConstraint(0, (1, 2), 2),)), tmp_path / "small.knf.gz")
    (tmp_path / "results.tsv").write_text(f"file\tanswer\nsmall.knf\t{answer}\n")
    return tmp_path


def test_a_run_leaves_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--knf", str(folder(tmp_path, "SAT")), "--time-limit", "5", "--seeds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["compare.py", *arguments, "--solvers", "bnnhw", "cadical-totalizer"])
    assert compare.main() == 0
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert [line.split(",")[2:5] for line in lines[1:]] == [
        ["bnnhw", "0", "SAT"],
        ["cadical-totalizer", "0", "SAT"],
        ["bnnhw", "1", "SAT"],
    ]
    table = (tmp_path / "table.md").read_text()
    assert "1 queries, 1 decided by bnnhw" in table
    assert "| cadical-totalizer | 1 of 1 |" in table


def test_a_wrong_answer_ends_the_run_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--knf", str(folder(tmp_path, "UNSAT")), "--out", str(tmp_path), "--solvers", "bnnhw"]
    monkeypatch.setattr(sys, "argv", ["compare.py", *arguments])
    assert compare.main() == 1
    assert "small.knf: bnnhw says SAT, results.tsv UNSAT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "code", "answer"),
    [
        ("c conflicts 3\ns SATISFIABLE\nv 1 -2 0\n", 10, Answer("SAT", values=[0, 1, 0], conflicts=3)),
        ("c conflicts 12\ns UNSATISFIABLE\n", 20, Answer("UNSAT", conflicts=12)),
        ("line 1: an error\n", 1, Answer("UNKNOWN")),
    ],
)
def test_what_our_binary_prints_is_understood(tmp_path, text, code, answer):
    binary = tmp_path / "solver"
    binary.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
    binary.chmod(0o755)
    query = Query("group", "query", Formula(2, ((1,), (-2,)), ()))
    assert Ours(binary).run(query, tmp_path, 0, 10.0).answer == answer
    assert (tmp_path / "query.knf").read_text() == formulas.serialize(query.formula)
