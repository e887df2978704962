"""The kernels on a GPU, where there is one: every backend it can run equals the oracle, bit for bit."""

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

if not torch.cuda.is_available():
    pytest.skip("no GPU", allow_module_level=True)

from gpu_operands import POISON, flip, random_operand, random_thresholds, same

from bnnhw.kernels.gpu import Layout, binary_gemm, binary_gemm_threshold, gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import CONFIGURATIONS as GEMV
from bnnhw.kernels.gpu.gemv import gemv
from bnnhw.kernels.gpu.pack_sign import DTYPES, pack_sign_and_clip_mask, pack_sign_oracle

NVIDIA = torch.version.hip is None
CASES = [(gemm_popcount, gemm_popcount_threshold, c) for c in POPCOUNT]
CASES += [(gemm_int8, gemm_int8_threshold, c) for c in INT8]
if NVIDIA and torch.cuda.get_device_capability()[0] >= 8:
    CASES += [(gemm_tensor_core, gemm_tensor_core_threshold, c) for c in TENSOR_CORE]
SHAPES = [(1, 1, 1), (16, 16, 256), (64, 64, 256), (17, 33, 255), (129, 257, 257), (300, 70, 31), (1000, 513, 4099)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("product", "product_threshold", "configuration"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[2].rows}x{case[2].columns}") for case in CASES],
)
def test_sums_and_bits(product, product_threshold, configuration, shape):
    m, n, k = shape
    rng = np.random.default_rng(m * n * k)
    a, b, thresholds = random_operand(rng, m, k), random_operand(rng, n, k), random_thresholds(rng, n, k)
    out = torch.full((m, n + 3), POISON, dtype=torch.int32, device="cuda")
    product(a.to("cuda"), b.to("cuda"), out[:, :n], configuration)
    assert torch.equal(out[:, :n].cpu(), gemm_oracle(a, b))
    assert bool((out[:, n:] == POISON).all())
    made = product_threshold(a.to("cuda"), b.to("cuda"), thresholds.to("cuda"), configuration)
    assert same(made.to("cpu"), gemm_threshold_oracle(a, b, thresholds))


@pytest.mark.skipif(gemm_tensor_core not in [case[0] for case in CASES], reason="no 1-bit tensor cores")
@pytest.mark.parametrize("configuration", TENSOR_CORE, ids=lambda c: f"{c.rows}x{c.columns}")
def test_bits_as_the_next_operand(configuration):
    rng = np.random.default_rng(11)
    a, b, thresholds = random_operand(rng, 150, 700), random_operand(rng, 301, 700), random_thresholds(rng, 301, 700)
    operands = a.to("cuda"), b.to("cuda"), thresholds.to("cuda")
    made = gemm_tensor_core_threshold(*operands, configuration, Layout.A_FRAGMENTS)
    assert same(made.to("cpu"), gemm_threshold_oracle(a, b, thresholds).relayout(Layout.A_FRAGMENTS))


@pytest.mark.parametrize("configuration", GEMV, ids=lambda c: str(c.rows))
@pytest.mark.parametrize(("n", "k"), [(1, 1), (9, 2049), (1000, 4099), (4096, 4096), (3, 100_000)])
def test_gemv(configuration, n, k):
    rng = np.random.default_rng(n * k)
    a, b = random_operand(rng, configuration.rows, k), random_operand(rng, n, k)
    out = torch.full((configuration.rows, n), POISON, dtype=torch.int32, device="cuda")
    gemv(a.to("cuda"), b.to("cuda"), out, configuration)
    assert torch.equal(out.cpu(), gemm_oracle(a, b))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (5, 31), (9, 4096), (64, 1000)], ids=str)
def test_pack_sign(dtype, shape):
    # Bit patterns at random: subnormals, infinities and NaNs of both signs among them.
    patterns = np.random.default_rng(shape[1]).integers(0, 2**16, shape, dtype=np.uint16)
    bits = torch.from_numpy(patterns.view(np.int16))
    x = bits.view(torch.float16).float() if dtype is torch.float32 else bits.view(dtype)
    signs, mask = pack_sign_and_clip_mask(x.cuda())
    expected_signs, expected_mask = pack_sign_oracle(x)
    assert same(signs.to("cpu"), expected_signs)
    assert same(mask.to("cpu"), expected_mask)


def test_layouts_and_the_choice_of_backend():
    rng = np.random.default_rng(9)
    a, b, thresholds = random_operand(rng, 200, 700), random_operand(rng, 96, 700), random_thresholds(rng, 96, 700)
    left, right = a.to("cuda"), b.to("cuda")
    for layout in Layout:
        assert torch.equal(binary_gemm(left.relayout(layout), right.relayout(layout)).cpu(), gemm_oracle(a, b))
    made = binary_gemm_threshold(left, right, thresholds.to("cuda"))
    assert same(made.to("cpu"), gemm_threshold_oracle(a, b, thresholds))
    different = (binary_gemm(flip(a, 150, 699).to("cuda"), right).cpu() != gemm_oracle(a, b)).any(1)
    assert different.nonzero().flatten().tolist() == [150]


def test_sums_past_two_gigabytes():
    """One row, 46,400 times, with itself: each sum is K, also where offsets do not fit 32 bits."""
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("needs 12 GB of free GPU memory")
    size, k = 46_400, 256
    a = random_operand(np.random.default_rng(10), 1, k)
    rows = type(a)(a.words.expand(size, -1).contiguous(), a.popcounts.expand(size).contiguous(), size, k, Layout.ROWS)
    sums = binary_gemm(rows.to("cuda"), rows.to("cuda"))
    assert sums.numel() > 2**31
    assert bool((sums == k).all())
