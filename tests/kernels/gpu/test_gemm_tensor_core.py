"""The tensor core kernel's own source, run on NumPy with the model of the instruction, equals the oracle."""

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from gluon_on_numpy import AddressesOnly, Memory, run
from gpu_operands import POISON, counts, flip, random_operand, random_thresholds, same, seeds, sizes
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels.gpu import fragments
from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS, Configuration, gemm_tensor_core_kernel
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, fragment_shape, word_count

ONE_WARP = Configuration(1, 1, 1, 2, group_m=2)


def multiply_accumulate(a, b, left, right):
    """What the inline assembly does, warp by warp."""
    pairs = [(fragments.multiply_accumulate(x, y[:, :2], c), fragments.multiply_accumulate(x, y[:, 2:], d))
             for x, y, c, d in zip(a, b, left, right, strict=True)]  # fmt: skip
    return tuple(np.stack(sums) for sums in zip(*pairs, strict=True))


def compute(a, b, thresholds: ColumnThresholds | None, c: Configuration, layout: Layout = Layout.ROWS):
    """Sums, or packed bits and their popcounts, by the kernel."""
    left, right = a.relayout(Layout.A_FRAGMENTS), b.relayout(Layout.B_FRAGMENTS)
    shape = (a.rows, b.rows if thresholds is None else word_count(b.rows))
    if layout is Layout.A_FRAGMENTS:
        shape = fragment_shape(a.rows, b.rows)
    # Fragments are padded with zeros, rows with nothing.
    out = Memory(np.full(shape, 0 if layout is Layout.A_FRAGMENTS else POISON, np.int32))
    ones = Memory(np.zeros(a.rows, np.int32))
    run(
        gemm_tensor_core_kernel,
        -(-a.rows // c.rows) * -(-b.rows // c.columns),
        {
            "a": Memory(left.words.numpy()),
            "b": Memory(right.words.numpy()),
            "a_popcounts": Memory(a.popcounts.numpy()),
            "b_popcounts": Memory(b.popcounts.numpy()),
            "out": out,
            "limits": thresholds and Memory(thresholds.limits.numpy()),
            "flips": thresholds and Memory(thresholds.flips.numpy()),
            "out_popcounts": thresholds and ones,
            "m": a.rows,
            "n": b.rows,
            "count": a.count,
            "blocks": fragment_shape(a.rows, a.count)[1],
            "out_stride": int(np.prod(shape[1:])),
            "WARPS_M": c.warps_m,
            "WARPS_N": c.warps_n,
            "TILES_M": c.tiles_m,
            "TILES_N": c.tiles_n,
            "GROUP_M": c.group_m,
            "THRESHOLD": thresholds is not None,
            "FRAGMENTS": layout is Layout.A_FRAGMENTS,
        },
        multiply_accumulate=multiply_accumulate,
    )
    assert out.writes.sum() == a.rows * (b.rows if thresholds is None else word_count(b.rows))
    words = torch.from_numpy(out.elements.reshape(shape))
    if thresholds is None:
        return words
    return PackedTensor(words, torch.from_numpy(ones.elements), a.rows, b.rows, layout)


SHAPES = [ONE_WARP, *CONFIGURATIONS]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(sizes, sizes, counts | st.just(700), seeds, st.sampled_from(SHAPES), st.booleans())
def test_sums_and_bits_equal_the_oracle(m, n, k, seed, configuration, threshold):
    rng = np.random.default_rng(seed)
    a, b = random_operand(rng, m, k), random_operand(rng, n, k)
    if threshold:
        thresholds = random_thresholds(rng, n, k)
        expected = gemm_threshold_oracle(a, b, thresholds)
        assert same(compute(a, b, thresholds, configuration), expected)
        fragments_made = compute(a, b, thresholds, configuration, Layout.A_FRAGMENTS)
        assert same(fragments_made, expected.relayout(Layout.A_FRAGMENTS))
    else:
        assert torch.equal(compute(a, b, None, configuration), gemm_oracle(a, b))


@pytest.mark.parametrize("configuration", SHAPES, ids=lambda c: f"{c.rows}x{c.columns}")
def test_several_programs_in_both_directions(configuration):
    """More row tiles than a group has, the last of each direction partial."""
    rng = np.random.default_rng(1)
    m, n, k = configuration.rows * 3 - 5, configuration.columns + 9, 290
    c = Configuration(configuration.warps_m, configuration.warps_n, configuration.tiles_m, configuration.tiles_n, 2)
    a, b = random_operand(rng, m, k), random_operand(rng, n, k)
    thresholds = random_thresholds(rng, n, k)
    assert torch.equal(compute(a, b, None, c), gemm_oracle(a, b))
    expected = gemm_threshold_oracle(a, b, thresholds)
    assert same(compute(a, b, thresholds, c), expected)
    assert same(compute(a, b, thresholds, c, Layout.A_FRAGMENTS), expected.relayout(Layout.A_FRAGMENTS))


def test_a_flipped_bit_of_an_operand_shows():
    """The comparison above is able to fail: each bit reaches each sum of its row."""
    rng = np.random.default_rng(2)
    a, b = random_operand(rng, 20, 300), random_operand(rng, 20, 300)
    different = compute(flip(a, 17, 299), b, None, ONE_WARP) != gemm_oracle(a, b)
    assert np.flatnonzero(different.any(1).numpy()).tolist() == [17]
    assert different[17].all()


def test_addresses_past_32_bits():
    """Only the last of many blocks runs, on tensors of which only the addresses exist."""
    m, n, blocks, stride = 150, 40, 2**21 - 3, 2**26 + 4
    operands = [AddressesOnly(-(-rows // 16) * blocks * 128) for rows in (m, n)]
    out = AddressesOnly(m * stride)
    rows, columns = (AddressesOnly(size) for size in (m, n))
    c = CONFIGURATIONS[0]
    run(
        gemm_tensor_core_kernel,
        -(-m // c.rows),
        {
            "a": operands[0],
            "b": operands[1],
            "a_popcounts": rows,
            "b_popcounts": columns,
            "out": out,
            "limits": None,
            "flips": None,
            "out_popcounts": None,
            "m": m,
            "n": n,
            "count": blocks * 256,
            "blocks": blocks,
            "out_stride": stride,
            "WARPS_M": c.warps_m,
            "WARPS_N": c.warps_n,
            "TILES_M": c.tiles_m,
            "TILES_N": c.tiles_n,
            "GROUP_M": c.group_m,
            "THRESHOLD": False,
            "FRAGMENTS": False,
        },
        multiply_accumulate=lambda a, b, left, right: (left, right),
        range=lambda start, end: range(end - 1, end),
    )
    assert [memory.highest for memory in operands] == [memory.size - 1 for memory in operands]
    assert operands[0].size > 2**31
    assert out.highest == (m - 1) * stride + n - 1 > 2**32
