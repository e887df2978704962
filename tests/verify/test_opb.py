"""OPB files: what they mean, which pairs are recognized as reified constraints, and how bad ones are refused."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.verify import formula as formulas
from bnnhw.verify import opb
from bnnhw.verify.formula import FormulaError

VARIABLES = 5
TERMS = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(1, VARIABLES), st.booleans()), min_size=1, max_size=VARIABLES + 1
)


def assignments(variables: int = VARIABLES) -> Iterator[list[int]]:
    for bits in itertools.product([0, 1], repeat=variables):
        yield [0, *bits]


def constraint_text(terms: list[tuple[int, int, bool]], relation: str, bound: int) -> str:
    sums = "".join(f"{coefficient:+d} {'~' if negated else ''}x{variable} " for coefficient, variable, negated in terms)
    return f"{sums}{relation} {bound} ;\n"


@st.composite
def any_constraint(draw: st.DrawFn) -> str:
    return constraint_text(draw(TERMS), draw(st.sampled_from([">=", "<=", "="])), draw(st.integers(-12, 12)))


@st.composite
def near_neuron(draw: st.DrawFn) -> str:
    """Two constraints of which one often, but not always, is the other half of a reified constraint."""
    size = draw(st.integers(1, VARIABLES - 1))
    chosen = draw(st.permutations(range(1, VARIABLES + 1)))[: size + 1]
    weights = [draw(st.integers(1, 3)) for _ in range(size)]
    negated = [draw(st.booleans()) for _ in range(size + 1)]
    total, bound = sum(weights), draw(st.integers(1, 6))
    first, second = bound + draw(st.integers(-1, 2)), total - bound + 1 + draw(st.integers(-1, 2))
    gap = draw(st.sampled_from([0, 0, 0, -1, 1]))
    terms = list(zip(weights, chosen[1:], negated[1:], strict=True))
    half = constraint_text([(first, chosen[0], not negated[0]), *terms], ">=", bound)
    other = [(-weight, variable, sign) for weight, variable, sign in reversed(terms)]
    return half + constraint_text([*other, (second, chosen[0], negated[0])], ">=", gap + 1 - bound)


@given(st.lists(any_constraint() | near_neuron(), max_size=4).map("".join))
@settings(derandomize=True, deadline=None, max_examples=400)
def test_recognizing_keeps_the_set_of_models(text: str) -> None:
    problem = opb.parse(text)
    formula = opb.recognize(problem)
    models = [a for a in assignments(problem.variables) if problem.first_violation(a) is None]
    assert [a for a in assignments(problem.variables) if formula.satisfied_by(a)] == models
    solver = formulas.load(formula)
    assert solver.solve().status == ("sat" if models else "unsat")
    if models:
        assert problem.first_violation(solver.model()) is None


def big_m_pair(first: int, second: int) -> str:
    """x1 <-> 2 x2 + x3 + (not x4) >= 2, if both coefficients of x1 are large enough."""
    return (
        constraint_text([(-first, 1, False), (2, 2, False), (1, 3, False), (1, 4, True)], ">=", 2 - first)
        + "* a comment between\n"
        + constraint_text([(1, 3, False), (-second, 1, False), (-1, 4, False), (2, 2, False)], "<=", 0)
    )


@pytest.mark.parametrize(
    ("first", "second", "reified"),
    [(2, 3, True), (5, 3, True), (2, 100, True), (1, 3, False), (2, 2, False)],
)
def test_a_pair_is_one_reified_constraint_exactly_when_its_coefficients_reach(
    first: int, second: int, reified: bool
) -> None:
    problem = opb.parse(big_m_pair(first, second))
    formula = opb.recognize(problem)
    assert [constraint.out for constraint in formula.constraints] == ([1] if reified else [0, 0])
    if reified:
        assert formula.constraints[0].bound == 2
        assert dict(zip(formula.constraints[0].literals, (2, 1, 1), strict=True)) == {2: 2, 3: 1, -4: 1}
    meant = [a for a in assignments(4) if a[1] == (2 * a[2] + a[3] + 1 - a[4] >= 2)]
    assert [a for a in assignments(4) if problem.first_violation(a) is None] == meant or not reified


def test_clauses_and_one_sided_implications_stay_what_they_are() -> None:
    formula = opb.recognize(opb.parse("+7 x1 -3 x2 >= -2 ;\n-300 x1 +1 x2 +1 x3 +1 x4 >= -298 ;\n+1 x1 +1 x2 >= 0 ;"))
    assert formula.clauses == ((1, -2),)
    (implication,) = formula.constraints
    assert (implication.out, implication.literals, implication.bound) == (0, (-1, 2, 3, 4), 2)
    assert implication.weights == (2, 1, 1, 1)


def test_the_text_may_be_laid_out_freely() -> None:
    text = "* #variable= 3 #constraint= 2\r\nmin: +2 x1 -1 ~x3;\r\n+1 x1\r\n+1 x2 >=\r\n1;1 x2 -1 x3 = 0;\r\n* end\r\n"
    problem = opb.parse(text)
    assert problem.variables == 3
    assert problem.objective is not None
    assert [problem.objective.value([0, *bits]) for bits in ([0, 0, 0], [1, 0, 0], [1, 0, 1])] == [-1, 1, 2]
    assert [constraint.line for constraint in problem.constraints] == [3, 5]
    assert problem.first_violation([0, 0, 0, 0]) == "the constraint of line 3 is false: its sum is 0, not >= 1"
    assert problem.first_violation([0, 1, 0, 1]) == "the constraint of line 5 is false: its sum is -1, not = 0"
    assert problem.first_violation([0, 0, 1, 1]) is None
    assert opb.parse("min:;").objective is not None
    with pytest.raises(FormulaError, match="an assignment of 2 values does not fit 3 variables"):
        problem.first_violation([0, 1])


def test_a_sum_without_terms_is_compared_all_the_same() -> None:
    assert formulas.load(opb.recognize(opb.parse(">= 1;"))).solve().status == "unsat"
    assert formulas.load(opb.recognize(opb.parse("+1 x1 -1 x1 >= 0;"))).solve().status == "sat"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+1 x1 >= 1", "line 1: the last statement does not end in ';'"),
        ("\n;", "line 2: there is nothing before ';'"),
        ("+1 x1 > 1;", "line 1: a constraint must end in"),
        ("* c\n+1 x1 >= 1 2;", "line 2: a constraint must end in"),
        ("+1 x1 >= one;", "line 1: 'one' is not an integer"),
        ("+1 x1 1_0 x2 >= 1;", "line 1: '1_0' is not an integer"),
        ("+1 x1 x2 >= 1;", "line 1: 'x2' is not an integer"),
        ("+1 x1 +2 >= 1;", "line 1: the last coefficient, \\+2, has no variable"),
        ("+1 y1 >= 1;", "line 1: 'y1' stands where a literal such as x1 or ~x1 must"),
        ("+1 x0 >= 1;", "line 1: 'x0' stands where"),
        ("+1 x268435455 >= 1;", "line 1: the number of 'x268435455' is too large"),
        ("+2147483648 x1 >= 1;", "line 1: the coefficient 2147483648 does not fit 32 bits"),
        ("max: +1 x1;", "line 1: 'max:' is not supported"),
        ("+1 x1 >= 1;\nmin: +1 x1;", "line 2: 'min:' comes after a constraint"),
        ("min: +1 x1;\nmin: +1 x1;", "line 2: 'min:' comes after a constraint or another"),
        ("soft: 6;\n[3] +1 x1 >= 1;", "line 1: 'soft:' is not supported"),
    ],
)
def test_malformed_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        opb.parse(text)


def test_sums_that_the_solver_cannot_hold_are_refused() -> None:
    large = 2**27 + 1
    with pytest.raises(FormulaError, match=r"line 1: the coefficients add up to more than 2\^28"):
        opb.recognize(opb.parse(f"{large} x1 {large} x2 1 x3 >= {large + 1};"))
    # What the bound makes of a coefficient counts, not the coefficient.
    opb.recognize(opb.parse(f"{large} x1 {large} x2 1 x3 >= 2;"))


def test_files_may_be_compressed_and_are_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "query.opb.gz"
    path.write_bytes(gzip.compress(b"+1 x1 >= 1;"))
    assert opb.read(path).constraints[0].bound == 1
    path.write_bytes(gzip.compress(b"+1 x1 >= \xff;"))
    with pytest.raises(FormulaError, match=r"query\.opb\.gz: line 1: '.xff' is not an integer"):
        opb.read(path)
    path.write_bytes(gzip.compress(b"+1 x1 >= 1;")[:-3])
    with pytest.raises(FormulaError, match=r"query\.opb\.gz is not a readable file"):
        opb.read(path)
