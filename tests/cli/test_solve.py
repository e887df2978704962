"""``bnnhw solve``: right answers, replayed models, bounds, and the documented exit codes."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnnhw.cli import main, solve
from bnnhw.verify import formula, opb
from bnnhw.verify.optimize import Optimum

Call = Callable[..., tuple[int, str, str]]

CONTRADICTION = "p rknf 2 2\nr 0 >= 2 1 2 0\n-1 -2 0\n"
EXACTLY_ONE = "p rknf 3 3\nr 0 >= 1 1 2 3 0\nr 0 <= 1 1 2 3 0\n-2 0\n"
COVER = "min: +3 x1 +2 x2 +2 x3;\n+1 x1 +1 x2 >= 1;\n+1 x1 +1 x3 >= 1;\n"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``bnnhw`` with arguments: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file, compressed if its name says so."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return put


def pigeonhole(holes: int) -> str:
    """holes + 1 pigeons, at most one in each hole: a contradiction that takes clause learning for ever."""
    rows = [[pigeon * holes + hole + 1 for hole in range(holes)] for pigeon in range(holes + 1)]
    lines = [" ".join(map(str, [*row, 0])) for row in rows]
    lines += [f"r 0 <= 1 {' '.join(map(str, column))} 0" for column in zip(*rows, strict=True)]
    return f"p rknf {holes * (holes + 1)} {len(lines)}\n" + "\n".join(lines)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_decisions(call: Call, write: Callable[[str, str], Path], suffix: str) -> None:
    code, out, _ = call("solve", write("a.knf" + suffix, CONTRADICTION))
    assert (code, out.splitlines()[0]) == (0, "UNSAT")
    path = write("b.knf" + suffix, EXACTLY_ONE)
    code, out, _ = call("solve", path, "--model", "--seed", 1)
    answer, model, figures = out.splitlines()
    assert (code, answer) == (0, "SAT")
    assert model.startswith("v ")
    assert model.endswith(" 0")
    literals = [int(word) for word in model.split()[1:-1]]
    values = [0] + [int(literal > 0) for literal in literals]
    assert [abs(literal) for literal in literals] == [1, 2, 3]
    assert formula.read(path).first_violation(values) is None
    assert " conflicts" in figures
    code, out, _ = call("solve", path, "--json")
    result = json.loads(out)
    assert (code, result["answer"], result["model"], result["lower"]) == (0, "SAT", None, None)
    assert result["conflicts"] >= 0


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_pseudo_boolean_files(call: Call, write: Callable[[str, str], Path], suffix: str) -> None:
    path = write("cover.opb" + suffix, COVER)
    code, out, err = call("solve", path, "--model")
    assert code == 0
    assert out.splitlines()[:2] == ["OPTIMUM 3", "v x1 -x2 -x3"]
    assert "3 <= optimum <= 3" in err
    code, out, _ = call("solve", path, "--json", "--model")
    result = json.loads(out)
    assert (result["answer"], result["lower"], result["upper"], result["model"]) == ("OPTIMUM", 3, 3, [1, -2, -3])
    code, out, _ = call("solve", write("decide.opb" + suffix, "+1 x1 +1 x2 = 3;"))
    assert (code, out.splitlines()[0]) == (0, "UNSAT")
    code, out, _ = call("solve", write("none.opb" + suffix, "min: +1 x1;\n+1 x1 +1 x2 >= 3;"))
    assert (code, out.splitlines()[0]) == (0, "UNSAT")
    code, out, _ = call("solve", write("some.opb" + suffix, "+1 x1 +1 ~x2 >= 2;"), "--model")
    assert out.splitlines()[:2] == ["SAT", "v x1 -x2"]


def test_limits_end_unknown(call: Call, write: Callable[[str, str], Path]) -> None:
    path = write("pigeons.knf", pigeonhole(14))
    code, out, _ = call("solve", path, "--timeout", 0.2)
    assert (code, out.splitlines()[0]) == (3, "UNKNOWN time")
    code, out, _ = call("solve", path, "--conflicts", 100, "--json")
    result = json.loads(out)
    assert (code, result["answer"], result["reason"]) == (3, "UNKNOWN", "conflicts")
    code, out, _ = call("solve", write("cover.opb", COVER), "--timeout", 0)
    assert (code, out.splitlines()[:2]) == (3, ["UNKNOWN time", "0 <= optimum"])


def test_an_interrupted_optimization_prints_its_bounds(
    call: Call, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "minimize", lambda *_, **__: Optimum("unknown", "interrupted", 2, None, None))
    code, out, err = call("solve", write("cover.opb", COVER))
    assert (code, out.splitlines()[:2]) == (130, ["UNKNOWN interrupted", "2 <= optimum"])
    assert "interrupted" in err


def test_a_model_that_fails_its_check_is_a_defect_and_not_an_answer(
    call: Call, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("cover.opb", COVER)
    monkeypatch.setattr(opb.Problem, "first_violation", lambda *_: "a constraint is false")
    code, out, err = call("solve", path)
    assert (code, out) == (70, "")
    assert "a constraint is false" in err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "must end in .knf or .opb"),
        ("a.knf", "p rknf 1 1\n2 0\n", "a.knf: line 2: literal 2 is not among the 1 declared variables"),
        ("a.opb.gz", "+1 x1 > 2;\n", "a.opb.gz: line 1: a constraint must end in"),
        ("a.opb", "+3000000000 x1 >= 2;\n", "a.opb: line 1: the coefficient 3000000000 does not fit 32 bits"),
    ],
)
def test_bad_files_are_one_sentence(
    call: Call, write: Callable[[str, str], Path], name: str, text: str, message: str
) -> None:
    code, out, err = call("solve", write(name, text))
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err


def test_missing_files_are_named(call: Call, tmp_path: Path) -> None:
    for name in ("absent.knf", "absent.opb"):
        code, _, err = call("solve", tmp_path / name)
        assert code == 2
        assert name in err.replace("\n", "")
