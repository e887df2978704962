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
from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_tensor_core import (
    CONFIGURATIONS,
    Configuration,
    gemm_tensor_core,
    gemm_tensor_core_kernel,
    gemm_tensor_core_threshold,
)
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, word_count

ONE_WARP = Configuration(1, 1, 1, 2, group_m=2)


def multiply_accumulate(a, b, left, right):
    """What the inline assembly does, warp by warp."""
    pairs = [(fragments.multiply_accumulate(x, y[:, :2], c), fragments.multiply_accumulate(x, y[:, 2:], d))
             for x, y, c, d in zip(a, b, left, right, strict=True)]  # fmt: skip
    return tuple(np.stack(sums) for sums in zip(*pairs, strict=True))


class OnNumpy:
    """Stands in for the compiled kernel: launched in the same way, with tensors of the host."""

    def __getitem__(self, grid):
        (programs,) = grid

        def launch(*arguments, num_warps, **constants):
            given = dict(zip(gemm_tensor_core_kernel.arg_names, arguments, strict=False)) | constants
            assert list(given) == gemm_tensor_core_kernel.arg_names
            assert num_warps == constants["WARPS_M"] * constants["WARPS_N"]
            passed = {name: Memory(x.numpy()) if isinstance(x, torch.Tensor) else x for name, x in given.items()}
            run(gemm_tensor_core_kernel, programs, passed, multiply_accumulate=multiply_accumulate)
            # Nothing is written twice, so this is everything that there is; what pads fragments stays 0.
            columns = word_count(given["n"]) if constants["THRESHOLD"] else given["n"]
            assert passed["out"].writes.sum() == given["m"] * columns

        return launch


@pytest.fixture(autouse=True, scope="module")
def _on_numpy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(gemm_tensor_core.__globals__, "gemm_tensor_core_kernel", OnNumpy())
        yield


def sums_of(a: PackedTensor, b: PackedTensor, configuration: Configuration) -> torch.Tensor:
    out = torch.full((a.rows, b.rows), POISON, dtype=torch.int32)
    assert gemm_tensor_core(a, b, out, configuration) is out
    return out


SHAPES = [ONE_WARP, *CONFIGURATIONS]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(sizes, sizes, counts | st.just(700), seeds, st.sampled_from(SHAPES), st.booleans())
def test_sums_and_bits_equal_the_oracle(m, n, k, seed, configuration, threshold):
    rng = np.random.default_rng(seed)
    a, b = random_operand(rng, m, k), random_operand(rng, n, k)
    if threshold:
        thresholds = random_thresholds(rng, n, k)
        expected = gemm_threshold_oracle(a, b, thresholds)
        assert same(gemm_tensor_core_threshold(a, b, thresholds, configuration), expected)
        fragments_made = gemm_tensor_core_threshold(a, b, thresholds, configuration, Layout.A_FRAGMENTS)
        assert same(fragments_made, expected.relayout(Layout.A_FRAGMENTS))
    else:
        assert torch.equal(sums_of(a, b, configuration), gemm_oracle(a, b))


@pytest.mark.parametrize("configuration", SHAPES, ids=lambda c: f"{c.rows}x{c.columns}")
def test_several_programs_in_both_directions(configuration):
    """More row tiles than a group has, the last of each direction partial."""
    rng = np.random.default_rng(1)
    m, n, k = configuration.rows * 3 - 5, configuration.columns + 9, 290
    c = Configuration(configuration.warps_m, configuration.warps_n, configuration.tiles_m, configuration.tiles_n, 2)
    a, b = random_operand(rng, m, k), random_operand(rng, n, k)
    thresholds = random_thresholds(rng, n, k)
    assert torch.equal(sums_of(a, b, c), gemm_oracle(a, b))
    expected = gemm_threshold_oracle(a, b, thresholds)
    assert same(gemm_tensor_core_threshold(a, b, thresholds, c), expected)
    assert same(
        gemm_tensor_core_threshold(a, b, thresholds, c, Layout.A_FRAGMENTS), expected.relayout(Layout.A_FRAGMENTS)
    )


def test_a_flipped_bit_of_an_operand_shows():
    """The comparison above is able to fail: each bit reaches each sum of its row."""
    rng = np.random.default_rng(2)
    a, b = random_operand(rng, 20, 300), random_operand(rng, 20, 300)
    different = sums_of(flip(a, 17, 299), b, ONE_WARP) != gemm_oracle(a, b)
    assert np.flatnonzero(different.any(1).numpy()).tolist() == [17]
    assert different[17].all()


# The last element stored, of 150 rows: column 39; word 1; word 1 of row 5 of tile 9, the first that thread 21 holds.
@pytest.mark.parametrize(
    ("threshold", "as_fragments", "stride", "last"),
    [
        (False, False, 2**26 + 4, 149 * (2**26 + 4) + 39),
        (True, False, 2**26 + 4, 149 * (2**26 + 4) + 1),
        (True, True, 2**29 + 128, 9 * (2**29 + 128) + 21 * 4),
    ],
    ids=["sums", "rows", "fragments"],
)
def test_addresses_past_32_bits(threshold, as_fragments, stride, last):
    """Only the last of many blocks runs, on tensors of which only the addresses exist."""
    m, n, blocks = 150, 40, 2**21 - 3
    operands = [AddressesOnly(-(-rows // 16) * blocks * 128) for rows in (m, n)]
    out = AddressesOnly(last + 1)
    columns = [AddressesOnly(n) if threshold else None for _ in range(2)]
    ones = AddressesOnly(m) if threshold else None
    c = CONFIGURATIONS[0]
    sizes_of = (m, n, blocks * 256, blocks, stride)
    constants = (c.warps_m, c.warps_n, c.tiles_m, c.tiles_n, c.group_m, threshold, as_fragments)
    arguments = (*operands, AddressesOnly(m), AddressesOnly(n), out, *columns, ones, *sizes_of, *constants)
    run(
        gemm_tensor_core_kernel,
        -(-m // c.rows),
        dict(zip(gemm_tensor_core_kernel.arg_names, arguments, strict=True)),
        multiply_accumulate=lambda a, b, left, right: (left, right),
        range=lambda start, end: range(end - 1, end),
    )
    assert [memory.highest for memory in operands] == [memory.size - 1 for memory in operands]
    assert operands[0].size > 2**31
    assert out.highest == last > 2**32


def test_bits_are_not_made_as_right_operands():
    rng = np.random.default_rng(3)
    a, b = random_operand(rng, 3, 40), random_operand(rng, 5, 40)
    with pytest.raises(ValueError, match="not as B fragments"):
        gemm_tensor_core_threshold(a, b, random_thresholds(rng, 5, 40), ONE_WARP, Layout.B_FRAGMENTS)
