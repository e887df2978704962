"""The examples of docs/verification.md, run in their order."""

import re
import shlex
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture
def demo(digits_model, tmp_path, monkeypatch):
    """A folder in which there is runs/demo/model.bnn."""
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    digits_model[0].rename(folder / "model.bnn")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("demo")
def test_commands(call):
    pytest.importorskip("pysat")
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) > 5
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "bnnhw"
        code, out, err = call(*arguments, "--workers", 1)
        assert (code, bool(out)) == (0, True), (command, err)


@pytest.mark.usefixtures("demo")
def test_python(capsys):
    (example,) = blocks("python")
    exec(compile(example, str(DOCUMENT), "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3
