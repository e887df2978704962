"""Which kernel is chosen, by whom, and what happens on the host; and who needs Triton."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from gpu_operands import POISON, random_operand, random_thresholds, same

from bnnhw.kernels.gpu import (
    binary_gemm,
    binary_gemm_threshold,
    conv,
    dispatch,
    gemm_oracle,
    gemm_threshold_oracle,
    select,
)
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.ternary_filters import ternary_filters
from bnnhw.kernels.gpu.tuned import OVERRIDE as TABLE
from bnnhw.kernels.gpu.tuned import Choice, Table, key, write


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


@pytest.fixture
def on_a_gpu(monkeypatch, tmp_path):
    """Says which kernel `dispatch` and `conv` would launch on a GPU of some capability that has a table of one choice
    for each kind of product; operands are shapes only."""
    device = torch.device("cuda", 0)

    def launch(capability, op, output, m, n, k, choice, backend=None):
        write(Table("any", {}, {key(op, output, m, n, k): choice}), tmp_path / "table.json")
        dispatch.table_for.cache_clear()
        monkeypatch.setenv(TABLE, str(tmp_path / "table.json"))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "any")
        for module, kernels in ((dispatch, ("gemm_tensor_core", "gemm_int8", "gemm_popcount", "gemv")),
                                (conv, ("conv_tensor_core", "conv_popcount"))):  # fmt: skip
            monkeypatch.setattr(module, "capability_of", lambda device: capability)
            monkeypatch.setattr(module, "multiprocessors", lambda device: 132)
            for name in kernels:
                monkeypatch.setattr(
                    module, name, lambda *given, name=name: (name, sum(c.rows for c in given if hasattr(c, "columns")))
                )
        if op == "conv":
            images = SimpleNamespace(channels=32, device=device, count=m, height=1, width=1, words=torch.empty(0, 1))
            filters = SimpleNamespace(
                channels=32, device=device, kernel=(1, 1), outputs=n, planes=torch.empty(2, k // 32, 0)
            )
            return conv.ternary_conv(images, filters, backend=backend)
        a, b = (SimpleNamespace(rows=rows, count=k, device=device) for rows in (m, n))
        return dispatch.binary_gemm(a, b, backend)

    yield launch
    dispatch.table_for.cache_clear()


def test_a_table_goes_before_the_rules(on_a_gpu):
    gemm, conv_ = ("gemm", "sums", 1000, 4096, 4096), ("conv", "sums", 1000, 64, 4096)
    assert on_a_gpu((9, 0), *gemm, Choice("popcount", "64x128", 1.0)) == ("gemm_popcount", 64)
    assert on_a_gpu((9, 0), *gemm, Choice("int8", "64x64", 1.0)) == ("gemm_int8", 64)
    assert on_a_gpu((9, 0), *gemm, Choice("tensor_core", "64x64", 1.0)) == ("gemm_tensor_core", 64)
    assert on_a_gpu((9, 0), *conv_, Choice("popcount", "32x32", 1.0)) == ("conv_popcount", 32)
    assert on_a_gpu((9, 0), *gemm, Choice("int8", "64x64", 1.0), "popcount")[0] == "gemm_popcount"


@pytest.mark.parametrize("capability", [None, (7, 5), (9, 0)])
@pytest.mark.parametrize("backend", ["tensor_core", "int8", "gemv", "cublas"])
def test_a_table_of_another_gpu_costs_time_only(on_a_gpu, backend, capability):
    """Triton compiles 1-bit products for no AMD GPU, and 8-bit ones for none of NVIDIA's before 8.0; gemv has few
    rows."""
    shape = ("gemm", "sums", 17, 4096, 4096)
    runs = {"tensor_core": capability == (9, 0), "int8": capability != (7, 5)}.get(backend, False)
    otherwise = "tensor_core" if capability == (9, 0) else "popcount"
    assert on_a_gpu(capability, *shape, Choice(backend, "", 1.0))[0] == f"gemm_{backend if runs else otherwise}"
    if backend == "tensor_core":
        made = on_a_gpu(capability, "conv", "sums", 17, 64, 4096, Choice(backend, "", 1.0))
        assert made[0] == f"conv_{backend if runs else otherwise}"


def test_a_backend_that_the_gpu_lacks_is_refused(on_a_gpu):
    nothing = Choice("popcount", "", 1.0)
    for capability in (None, (7, 5)):
        for op in ("gemm", "conv"):
            with pytest.raises(
                ValueError, match=r"tensor_core needs an NVIDIA GPU of compute capability 8\.0 or later"
            ):
                on_a_gpu(capability, op, "sums", 100, 64, 4096, nothing, "tensor_core")
    with pytest.raises(ValueError, match=r"int8 needs compute capability 8\.0 or later .* not 7\.5"):
        on_a_gpu((7, 5), "gemm", "sums", 100, 64, 4096, nothing, "int8")


def test_what_was_not_listened_to_is_logged_later(caplog):
    rng = np.random.default_rng(8)
    a, b = random_operand(rng, 3, 71), random_operand(rng, 4, 71)
    images = PackedImages(torch.zeros(1, 2, 3, 1, dtype=torch.int32), 7)
    filters = ternary_filters(np.ones((5, 7, 1, 1), np.int8))
    for level in (logging.INFO, logging.DEBUG, logging.DEBUG):
        with caplog.at_level(level, dispatch.__name__):
            binary_gemm(a, b)
            conv.ternary_conv(images, filters)
    assert caplog.messages == [
        "gemm 3 x 4 x 71 to sums: oracle (on the host)",
        "conv 6 x 5 x 1 words to sums: oracle (on the host)",
    ]


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
