"""The kernels on a GPU, where there is one: every backend it can run equals the oracle, bit for bit."""

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

if not torch.cuda.is_available():
    pytest.skip("no GPU", allow_module_level=True)

from functools import partial

from gpu_images import Case, check_conv
from gpu_operands import POISON, flip, random_operand, random_thresholds, same

from bnnhw.kernels.gpu import Layout, binary_gemm, binary_gemm_threshold, gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.bipolar_conv import (
    bipolar_conv,
    bipolar_conv_oracle,
    bipolar_thresholds,
    counted_weights,
    padding_of,
)
from bnnhw.kernels.gpu.conv import ternary_conv, ternary_conv_threshold
from bnnhw.kernels.gpu.conv_oracle import conv_oracle, conv_threshold_oracle
from bnnhw.kernels.gpu.conv_popcount import CONFIGURATIONS as CONV_POPCOUNT
from bnnhw.kernels.gpu.conv_popcount import conv_popcount, conv_popcount_threshold
from bnnhw.kernels.gpu.conv_tensor_core import CONFIGURATIONS as CONV_TENSOR_CORE
from bnnhw.kernels.gpu.conv_tensor_core import conv_tensor_core, conv_tensor_core_threshold
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import CONFIGURATIONS as GEMV
from bnnhw.kernels.gpu.gemv import gemv
from bnnhw.kernels.gpu.pack_sign import DTYPES, pack_sign_and_clip_mask, pack_sign_oracle
from bnnhw.kernels.gpu.packed_images import PackedImages, pack_images
from bnnhw.kernels.gpu.ternary_filters import ternary_filters

NVIDIA = torch.version.hip is None
CASES = [(gemm_popcount, gemm_popcount_threshold, c) for c in POPCOUNT]
CASES += [(gemm_int8, gemm_int8_threshold, c) for c in INT8]
if NVIDIA and torch.cuda.get_device_capability()[0] >= 8:
    CASES += [(gemm_tensor_core, gemm_tensor_core_threshold, c) for c in TENSOR_CORE]
CONV_CASES = [(conv_popcount, conv_popcount_threshold, c) for c in CONV_POPCOUNT]
if NVIDIA and torch.cuda.get_device_capability()[0] >= 8:
    CONV_CASES += [(conv_tensor_core, conv_tensor_core_threshold, c) for c in CONV_TENSOR_CORE]
CONV_BACKENDS = sorted({case[0].__name__.removeprefix("conv_") for case in CONV_CASES})
CONVS = [
    # From one fragment, through words that no instruction fills, to the layers of the published networks.
    Case(1, 256, (1, 1), 16, (1, 1), (1, 1), Padding(), True),
    Case(1, 1, (1, 1), 1, (1, 1), (1, 1), Padding(), False),
    Case(3, 31, (5, 4), 33, (2, 3), (1, 2), Padding(1, 2, 1), False),
    Case(2, 33, (6, 7), 70, (3, 3), (2, 1), Padding(4, 1, 0), True),
    Case(5, 65, (4, 4), 129, (4, 4), (1, 1), Padding(), False),
    Case(7, 96, (9, 8), 31, (3, 1), (3, 3), Padding(0, 2, 1), True),
    Case(33, 16, (14, 14), 32, (4, 4), (2, 2), Padding(1, 1), False),
    Case(4, 128, (16, 16), 256, (3, 3), (1, 1), Padding(1, 1), False),
    Case(1, 512, (4, 4), 512, (4, 4), (1, 1), Padding(), True),
]
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


@pytest.mark.parametrize("case", CONVS, ids=range(len(CONVS)))
@pytest.mark.parametrize(
    ("conv", "conv_threshold", "configuration"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[2].rows}x{case[2].columns}") for case in CONV_CASES],
)
def test_convolutions(conv, conv_threshold, configuration, case):
    # Twice: thresholds are by position or not, images mixed or all ones, as the seed has it.
    for seed in (1, 2):
        with_it = (partial(of, configuration=configuration) for of in (conv, conv_threshold))
        check_conv(case, seed, *with_it, "cuda")


@pytest.mark.parametrize("value", [-1, 0, 1])
@pytest.mark.parametrize("backend", CONV_BACKENDS)
def test_convolutions_of_plus_and_minus_one(backend, value):
    rng = np.random.default_rng(value + 7)
    values = rng.choice(np.array([-1, 1], np.int8), (3, 40, 9, 8))
    weights = rng.choice(np.array([-1, 0, 1], np.int8), (35, 40, 3, 3))
    walk, pads = (1, 2), (1, 1)
    images, filters = pack_images(values > 0), ternary_filters(weights)
    counted = counted_weights(filters, 9, 8, walk, pads, value)
    on = images.to("cuda"), filters.to("cuda")
    sums = bipolar_conv(*on, torch.from_numpy(counted).cuda(), walk, pads, value, backend)
    assert np.array_equal(sums.cpu().numpy(), bipolar_conv_oracle(values, weights, walk, pads, value))
    _, _, thresholds = Case(1, 40, (9, 8), 35, (3, 3), walk, padding_of(pads, value), False).random(rng)
    mapped = bipolar_thresholds(thresholds, counted)
    bits = ternary_conv_threshold(*on, mapped.to("cuda"), walk, padding_of(pads, value), backend)
    side = (9, 4) if thresholds.positions > 1 else (1, 1)
    wanted = (sums.cpu() >= thresholds.limits.reshape(*side, 35)) ^ thresholds.flips.bool()
    assert np.array_equal(bits.unpack().transpose(0, 2, 3, 1), wanted.numpy())


def test_convolutions_in_a_graph():
    """With outputs given, nothing is allocated and nothing waits, so that launches can be recorded and replayed."""
    case = Case(9, 64, (8, 8), 70, (3, 3), (1, 1), Padding(1, 1), False)
    images, filters, thresholds = case.random(np.random.default_rng(3))
    on, into = images.to("cuda"), filters.to("cuda")
    limits = thresholds.to("cuda")
    sums = torch.empty(9, 8, 8, 70, dtype=torch.int32, device="cuda")
    bits = PackedImages(torch.empty(9, 8, 8, 3, dtype=torch.int32, device="cuda"), 70)

    def launch():
        ternary_conv(on, into, case.stride, case.padding, out=sums)
        ternary_conv_threshold(on, into, limits, case.stride, case.padding, out=bits)

    launch()
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    torch.cuda.set_sync_debug_mode("error")
    try:
        launch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch()
    for seed in (4, 5):
        other = pack_images(np.random.default_rng(seed).random((9, 64, 8, 8)) < 0.5)
        on.words.copy_(other.words)
        sums.fill_(POISON)
        bits.words.fill_(POISON)
        graph.replay()
        assert torch.equal(sums.cpu(), conv_oracle(other, filters, case.stride, case.padding))
        wanted = conv_threshold_oracle(other, filters, thresholds, case.stride, case.padding)
        assert torch.equal(bits.words.cpu(), wanted.words)


@pytest.mark.parametrize("backend", CONV_BACKENDS)
def test_convolutions_past_two_gigabytes(backend):
    """One pixel, 9 * 2**26 times: each has the sums and bits of the first, also where offsets do not fit 32 bits."""
    if torch.cuda.mem_get_info()[0] < 32 * 2**30:
        pytest.skip("needs 32 GB of free GPU memory")
    side = (9, 2**13, 2**13)
    case = Case(1, 128, (1, 1), 4, (1, 1), (1, 1), Padding(), False)
    pixel, filters, thresholds = case.random(np.random.default_rng(10))
    images = PackedImages(pixel.words.cuda().expand(*side, 4).contiguous(), 128)
    assert images.words.numel() > 2**31
    sums = ternary_conv(images, filters.to("cuda"), backend=backend)
    assert sums.numel() > 2**31
    assert bool((sums == conv_oracle(pixel, filters).cuda()).all())
    del sums
    bits = ternary_conv_threshold(images, filters.to("cuda"), thresholds.to("cuda"), backend=backend)
    assert bool((bits.words == conv_threshold_oracle(pixel, filters, thresholds).words.cuda()).all())
