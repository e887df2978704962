"""Autotuning runs end to end in Triton's interpreter, where every kernel it tries is right, unless it was spoilt."""

import sys

import pytest
import torch

from bnnhw.kernels.gpu import autotune
from bnnhw.kernels.gpu.tuned import key, read


def test_a_table_is_made(tmp_path, monkeypatch, capsys):
    # The interpreter is for the host, also where there is a GPU.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    path = tmp_path / "table.json"
    monkeypatch.setattr(sys, "argv", ["autotune", "--tiny", "--out", str(path)])
    assert autotune.main() == 0
    table = read(path)
    assert capsys.readouterr().err == ""
    assert set(table.choices) == {
        *(key("gemm", output, *shape) for output in ("sums", "bits") for shape in autotune.TINY_GEMMS),
        *(key("conv", output, 36, 10, 4 * 32) for output in ("sums", "bits")),
    }


def spoil_popcount(made):
    made.popcounts[1] += 1


def spoil_what_pads(made):
    made.words[..., -1] |= -(2**31)


@pytest.mark.parametrize(
    ("kernel", "spoil", "index"),
    [
        ("gemm_popcount_threshold", spoil_popcount, "[1, 64]: "),
        ("gemm_popcount_threshold", spoil_what_pads, "[0, 63]: 1, not 0"),
        ("conv_popcount_threshold", spoil_what_pads, "[0, 0, 0, 31]: 1, not 0"),
    ],
)
def test_what_the_next_layer_reads_is_compared_too(kernel, spoil, index, monkeypatch):
    right = getattr(autotune, kernel)

    def spoilt(*given):
        made = right(*given)
        spoil(made)
        return made

    monkeypatch.setattr(autotune, kernel, spoilt)
    of_gemms = kernel.startswith("gemm")
    shapes = ([(2, 40, 70)], []) if of_gemms else ([], autotune.TINY_CONVS)
    table, wrong = autotune.tune(torch.device("cpu"), lambda run: 1.0, *shapes)
    assert {one.candidate.backend for one in wrong} == {"popcount"}
    assert all(f"is wrong at {index}" in str(one) for one in wrong)
    bits = [name for name in table.choices if " bits " in name]
    assert [table.choices[name].backend for name in bits] == (["int8"] if of_gemms else [])


def test_a_kernel_that_writes_nothing_does_not_win(monkeypatch):
    monkeypatch.setattr(autotune, "gemm_int8", lambda a, b, out, configuration: out)
    table, wrong = autotune.tune(torch.device("cpu"), lambda run: 1.0, [(2, 40, 70)], [])
    assert len(wrong) == len(autotune.INT8)
    assert {one.candidate.backend for one in wrong} == {"int8"}
    assert table.choices[key("gemm", "sums", 2, 40, 70)].backend == "popcount"


@pytest.mark.parametrize(
    "arguments",
    [["--out", "table.json"], ["--tiny", "--out", "nowhere/table.json"], ["--tiny", "--out", "."]],
)
def test_what_cannot_be_done_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["autotune", *arguments])
    assert autotune.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
