"""Autotuning runs end to end in Triton's interpreter, and every kernel it tries there is right."""

import sys

import pytest

from bnnhw.kernels.gpu import autotune
from bnnhw.kernels.gpu.tuned import key, read


def test_a_table_is_made(tmp_path, monkeypatch, capsys):
    path = tmp_path / "table.json"
    monkeypatch.setattr(sys, "argv", ["autotune", "--tiny", "--out", str(path)])
    assert autotune.main() == 0
    table = read(path)
    assert capsys.readouterr().err == ""
    assert set(table.choices) == {
        *(key("gemm", output, *shape) for output in ("sums", "bits") for shape in autotune.TINY_GEMMS),
        *(key("conv", output, 36, 10, 4 * 32) for output in ("sums", "bits")),
    }


@pytest.mark.parametrize("arguments", [["--out", "table.json"], ["--tiny", "--out", "nowhere/table.json"]])
def test_what_cannot_be_done_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["autotune", *arguments])
    assert autotune.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
