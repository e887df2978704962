"""Which kernel is chosen, by whom, and what happens on the host; and who needs Triton."""

import logging
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from gpu_operands import POISON, random_operand, random_thresholds, same

from bnnhw.kernels.gpu import (
    binary_gemm,
    binary_gemm_threshold,
    dispatch,
    gemm_oracle,
    gemm_threshold_oracle,
    select,
)
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS


@pytest.mark.parametrize(
    ("capability", "m", "n", "k", "output", "expected"),
    [
        ((9, 0), 4096, 4096, 4096, "sums", "tensor_core"),
        ((8, 6), 17, 10, 256, "bits", "tensor_core"),
        ((9, 0), 16, 4096, 4096, "sums", "gemv"),
        ((9, 0), 16, 4096, 4096, "bits", "tensor_core"),
        ((9, 0), 4096, 4096, 255, "sums", "int8"),
        ((9, 0), 4096, 4096, 64, "sums", "popcount"),
        ((10, 0), 4096, 4096, 4096, "bits", "int8"),
        ((12, 0), 32, 4096, 4096, "sums", "popcount"),
        ((7, 0), 4096, 4096, 4096, "sums", "popcount"),
        (None, 4096, 4096, 4096, "sums", "int8"),
        (None, 1, 4096, 4096, "bits", "popcount"),
        (None, 1, 4096, 4096, "sums", "gemv"),
    ],
)
def test_policy(capability, m, n, k, output, expected):
    assert select("gemm", capability, m, n, k, output) == expected


def test_no_kernel_is_selected_for_what_there_is_none():
    with pytest.raises(ValueError, match="no kernel for 'conv'"):
        select("conv", (9, 0), 1, 1, 1, "sums")
    with pytest.raises(ValueError, match="output 'floats'"):
        select("gemm", (9, 0), 1, 1, 1, "floats")


def test_tiles_grow_with_the_product():
    tiles = [dispatch.largest_that_fills(CONFIGURATIONS, size, size, 132) for size in (64, 700, 1100, 1500, 4096)]
    assert [(c.rows, c.columns) for c in tiles] == [(64, 64), (64, 64), (128, 64), (128, 128), (128, 256)]
    tall = [dispatch.largest_that_fills(CONFIGURATIONS, 10**6, n, 132) for n in (10, 64, 65, 128, 129)]
    assert [(c.rows, c.columns) for c in tall] == [(128, 64), (128, 64), (128, 128), (128, 128), (128, 256)]
    flat = [dispatch.largest_that_fills(CONFIGURATIONS, m, 10**6, 132) for m in (10, 64, 65)]
    assert [(c.rows, c.columns) for c in flat] == [(64, 64), (64, 64), (128, 256)]


def test_the_host_runs_the_oracle(caplog, monkeypatch):
    # The variable is about GPUs.
    monkeypatch.setenv(dispatch.OVERRIDE, "popcount")
    rng = np.random.default_rng(6)
    a, b, thresholds = random_operand(rng, 5, 70), random_operand(rng, 40, 70), random_thresholds(rng, 40, 70)
    out = torch.full((5, 40), POISON, dtype=torch.int32)
    with caplog.at_level(logging.DEBUG, dispatch.__name__):
        assert binary_gemm(a, b, out=out) is out
    assert torch.equal(out, gemm_oracle(a, b))
    assert caplog.messages == ["gemm 5 x 40 x 70 to sums: oracle (on the host)"]
    assert same(binary_gemm_threshold(a, b, thresholds), gemm_threshold_oracle(a, b, thresholds))
    assert torch.equal(binary_gemm(a, b, "oracle"), out)


def test_a_backend_that_cannot_is_refused():
    rng = np.random.default_rng(7)
    a, b = random_operand(rng, 5, 70), random_operand(rng, 4, 70)
    for backend in ("tensor_core", "int8", "popcount", "gemv"):
        with pytest.raises(ValueError, match=f"{backend} needs its operands on a GPU"):
            binary_gemm(a, b, backend)
    with pytest.raises(ValueError, match=r"no backend 'cublas' \(argument\): choose one of tensor_core"):
        binary_gemm(a, b, "cublas")
    with pytest.raises(ValueError, match="gemv makes sums of at most 16 rows only"):
        binary_gemm_threshold(a, b, random_thresholds(rng, 4, 70), "gemv")


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_kernels_of_the_processor_need_neither_torch_nor_triton():
    assert run("import sys, bnnhw.kernels; print({'torch', 'triton'} & set(sys.modules))") == "set()\n"


def test_without_triton_the_error_says_what_to_install():
    program = """
import sys
sys.modules["triton"] = None
try:
    import bnnhw.kernels.gpu
except ImportError as error:
    print(error)
"""
    assert run(program) == "bnnhw.kernels.gpu needs Triton: pip install 'bnnhw[gpu]'\n"
