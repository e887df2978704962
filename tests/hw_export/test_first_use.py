"""The first use of a tool that compiles itself: alone, and once."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

import pytest

from bnnhw.hw_export.first_use import compiled


def test_a_tool_runs_once_and_while_nobody_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runs: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        runs.append(command)
        (held,) = tmp_path.iterdir()
        with held.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        assert compiled("tool", "with an argument") == ["tool", "with an argument"]
    assert runs == [["tool", "with an argument", "--version"]]
    with next(tmp_path.iterdir()).open("w") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
