"""The formula's meaning, its text form and the errors it refuses bad input with."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnnhw.verify import formula as formulas
from bnnhw.verify._solver import Solver
from bnnhw.verify.formula import Formula, FormulaError, LinearConstraint

VARIABLES = 5
literals = st.integers(1, VARIABLES).flatmap(lambda v: st.sampled_from([v, -v]))


@st.composite
def linear_constraints(draw: st.DrawFn) -> LinearConstraint:
    chosen = tuple(draw(st.lists(literals, max_size=6)))
    weights = draw(st.none() | st.tuples(*[st.integers(-3, 3)] * len(chosen)))
    out = draw(st.just(0) | literals)
    return LinearConstraint(out, chosen, draw(st.integers(-4, 8)), weights)


formula_values = st.builds(
    Formula,
    st.just(VARIABLES),
    st.lists(st.lists(literals, max_size=4).map(tuple), max_size=4).map(tuple),
    st.lists(linear_constraints(), max_size=4).map(tuple),
)


def assignments() -> list[np.ndarray]:
    return [np.array([0, *bits], dtype=np.int8) for bits in itertools.product([0, 1], repeat=VARIABLES)]


@given(formula_values)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_writing_and_reading_keeps_the_set_of_models(formula: Formula) -> None:
    again = formulas.parse(formulas.serialize(formula))
    assert [formula.satisfied_by(a) for a in assignments()] == [again.satisfied_by(a) for a in assignments()]
    assert formulas.serialize(again) == formulas.serialize(formula)


@given(formula_values)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_loading_keeps_satisfiability(formula: Formula) -> None:
    solver = formulas.load(formula)
    expected = any(formula.satisfied_by(a) for a in assignments())
    assert solver.solve().status == ("sat" if expected else "unsat")
    if expected:
        assert formula.first_violation(solver.model()) is None


def test_both_comparisons_mean_what_they_say() -> None:
    text = "p rknf 4 3\nc a comment\n1 -2 0\nr 3 <= 1 1 -2 -2 0\nr -4 >= 2 1 2 0\n"
    formula = formulas.parse(text)
    assert formula.clauses == ((1, -2),)
    for values in itertools.product([0, 1], repeat=4):
        a, b, c, d = values
        expected = (a or not b) and c == (a + 2 * (1 - b) <= 1) and (1 - d) == (a + b >= 2)
        assert formula.satisfied_by([0, *values]) == bool(expected)


def test_output_zero_asserts_the_constraint() -> None:
    formula = formulas.parse("p rknf 3 2\nr 0 >= 1 1 2 3 0\nr 0 <= 1 1 2 3 0\n")
    for values in itertools.product([0, 1], repeat=3):
        assert formula.satisfied_by([0, *values]) == (sum(values) == 1)


@pytest.mark.parametrize("name", ["query.knf", "query.knf.gz"])
def test_files_round_trip_and_are_reproducible(tmp_path: Path, name: str) -> None:
    formula = Formula(4, ((1, -2), (3,)), (LinearConstraint(-4, (1, 2, -3), 2), LinearConstraint(0, (1, 2), 1)))
    path = tmp_path / name
    formulas.write(formula, path)
    first = path.read_bytes()
    formulas.write(formula, path)
    assert path.read_bytes() == first
    assert formulas.read(path) == formula
    solver = formulas.load_file(path)
    assert solver.solve().status == "sat"
    assert formula.first_violation(solver.model()) is None


def test_violations_are_named() -> None:
    formula = Formula(2, ((1,),), (LinearConstraint(2, (1,), 1),))
    assert formula.first_violation([0, 0, 0]) == "clause 0 is false"
    assert formula.first_violation([0, 1, 0]) == "constraint 0 is false: its sum is 1 >= 1"
    assert formula.first_violation([0, 1, 1]) is None
    with pytest.raises(FormulaError, match="an assignment of 2 values does not fit 2 variables"):
        formula.first_violation([0, 1])


def counts(solver: Solver) -> dict[str, int | float]:
    """The statistics that the same search leaves equal."""
    return {k: v for k, v in solver.statistics().items() if k not in ("solve_seconds", "memory_bytes")}


@given(formula_values, st.integers(0, 3), st.sampled_from(["\n", "\r\n", " \n\n", "\nc 1 2 r p\n", "\n\tc\n "]))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_native_reader_sees_what_parse_sees(formula: Formula, seed: int, newline: str) -> None:
    text = formulas.serialize(formula)
    parsed = formulas.load(formulas.parse(text), seed)
    native = Solver(seed)
    native.read_knf(text.replace("\n", newline).rstrip().encode())
    assert native.variables == VARIABLES
    assert native.solve().status == parsed.solve().status
    assert counts(native) == counts(parsed)
    if any(formula.satisfied_by(a) for a in assignments()):
        assert formula.first_violation(native.model()) is None
        assert native.model().tolist() == parsed.model().tolist()


MALFORMED = [
    ("", "there is no header"),
    ("1 0\n", "line 1: comes before the header"),
    ("r 1 <= 1 1 0\n", "line 1: comes before the header"),
    ("p cnf 1 1\n1 0\n", "line 1: the header must read"),
    ("p rknf 1\n", "line 1: the header must read"),
    ("p rknf 1 0 0\n", "line 1: the header must read"),
    ("p rknf -1 0\n", "line 1: the header must read"),
    ("p rknf 1 1\np rknf 1 1\n", "line 2: a second header"),
    ("p rknf 1 2\n1 0\n", "declares 2 constraints but the file has 1"),
    ("p rknf 1 1\n1\n", "line 2: does not end in 0"),
    ("p rknf 1 1\n2 1\n", "line 2: does not end in 0"),
    ("p rknf 1 1\n2 0\n", "line 2: literal 2 is not among the 1 declared variables"),
    ("p rknf 1 1\n1 99999999999999999999 0\n", "line 2: literal 99999999999999999999 is not among the 1"),
    ("p rknf 1 1\n1 0 1 0\n", "line 2: literal 0 is not among"),
    ("p rknf 1 1\none 0\n", "line 2: 'one' is not an integer"),
    ("p rknf 1 1\n9 1_0 0\n", "line 2: '1_0' is not an integer"),
    ("p rknf 1 1\n- 0\n", "line 2: '-' is not an integer"),
    ("p rknf 1 1\nr 1 = 1 1 0\n", "line 2: a constraint must read"),
    ("p rknf 1 1\nr 1 <= 1\n", "line 2: a constraint must read"),
    ("p rknf 1 1\nr 5 <= 1 1 0\n", "line 2: output 5 is not among"),
    ("p rknf 1 1\nr 1 <= x 1 0\n", "line 2: 'x' is not an integer"),
    ("p rknf 1 1\nr 1 <= 4611686018427387904 1 0\n", "line 2: the bound 4611686018427387904 is too large"),
    ("p rknf 1 1\nr 0 >= -99999999999999999999 1 0\n", "line 2: the bound -99999999999999999999 is too large"),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_malformed_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        formulas.parse(text)


def refusal(read: Callable[[], object]) -> str | None:
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


@given(
    st.sampled_from(["", "p rknf 3 2\n", "p rknf 3 1\n"]),
    st.lists(
        st.sampled_from(["p", "rknf", "r", "c", "<=", ">=", "=", "x", "1_0", "--1", "-", "r3", "r 1 <=", "r 0 >="])
        | st.sampled_from(["0", "1", "-1", "2", "-3", "4", "-9", "+1", "007", "-0", "99999999999999999999"])
        | st.sampled_from(["1 0\n", "r 0 <= 1 1 2 3 0\n", " \n", "\n", "\t", "\r\n", "\f"]),
        max_size=12,
    ),
)
@settings(derandomize=True, deadline=None, max_examples=500)
@example("", [])
def test_both_readers_refuse_the_same_texts_in_the_same_words(header: str, words: list[str]) -> None:
    text = header + " ".join(words)
    solver = Solver()
    expected = refusal(lambda: formulas.parse(text))
    assert refusal(lambda: solver.read_knf(text.encode())) == expected
    if expected is not None:
        assert solver.variables == 0


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_the_native_reader_refuses_malformed_text_alike(text: str, message: str) -> None:
    assert refusal(lambda: Solver().read_knf(text.encode())) == refusal(lambda: formulas.parse(text))


def test_the_native_reader_shows_unprintable_words_and_takes_only_fresh_solvers() -> None:
    with pytest.raises(ValueError, match=r"line 1: comes before the header"):
        Solver().read_knf(b"\xff\x00")
    with pytest.raises(ValueError, match=r"line 2: '\\xff\\x00' is not an integer"):
        Solver().read_knf(b"p rknf 1 1\n\xff\x00 0\n")
    with pytest.raises(ValueError, match=r"line 1: 268435456 variables are too many"):
        Solver().read_knf(b"p rknf 268435456 0\n")
    solver = Solver()
    solver.read_knf(b"p rknf 2 1\n1 0")
    with pytest.raises(ValueError, match="needs a fresh solver, but this one has 2 variables"):
        solver.read_knf(b"p rknf 2 1\n1 0")


def test_malformed_files_are_refused_with_their_name(tmp_path: Path) -> None:
    path = tmp_path / "query.knf.gz"
    path.write_bytes(gzip.compress(b"p rknf 1 1\n1 0\n")[:-6])
    for read in (formulas.read, formulas.load_file):
        with pytest.raises(FormulaError, match=r"query\.knf\.gz is not a readable"):
            read(path)
    path.write_bytes(gzip.compress(b"p rknf 1 1\n7 0\n"))
    for read in (formulas.read, formulas.load_file):
        with pytest.raises(FormulaError, match=r"query\.knf\.gz: line 2"):
            read(path)


def test_inconsistent_values_are_refused() -> None:
    with pytest.raises(FormulaError, match="2 literals but 1 weights"):
        LinearConstraint(1, (1, 2), 1, (1,))
    with pytest.raises(FormulaError, match="literal -3 of clause 0"):
        Formula(2, ((-3,),), ())
    with pytest.raises(FormulaError, match="literal 0 of constraint 0"):
        Formula(2, (), (LinearConstraint(1, (0,), 1),))
    with pytest.raises(FormulaError, match="the output 3 of constraint 0"):
        Formula(2, (), (LinearConstraint(3, (1,), 1),))
    with pytest.raises(FormulaError, match="a bound does not fit 64 bits"):
        formulas.load(Formula(2, (), (LinearConstraint(1, (2,), 2**70),)))
