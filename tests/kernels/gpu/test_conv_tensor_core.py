"""The tensor core convolution's own source, run on NumPy with the model of the instruction, equals the oracle."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from gluon_on_numpy import AddressesOnly, Memory, run
from gpu_images import Case, cases, check_conv
from gpu_operands import seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels.gpu import fragments
from bnnhw.kernels.gpu.conv_oracle import conv_oracle
from bnnhw.kernels.gpu.conv_tensor_core import (
    CONFIGURATIONS,
    Configuration,
    conv_tensor_core,
    conv_tensor_core_kernel,
    conv_tensor_core_threshold,
)
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.packed_images import PackedImages, empty_images, pack_images
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import window_taps

ONE_WARP = Configuration(1, 1, 1, 2)
ONES = np.full((32, 2), -1, np.int32)


def multiply_accumulate(a, b, left, right):
    """What the inline assembly does, warp by warp."""
    pairs = [(fragments.multiply_accumulate(x, y[:, :2], c), fragments.multiply_accumulate(x, y[:, 2:], d))
             for x, y, c, d in zip(a, b, left, right, strict=True)]  # fmt: skip
    return tuple(np.stack(sums) for sums in zip(*pairs, strict=True))


def add_row_popcounts(a, counts):
    return np.stack([fragments.multiply_accumulate(x, ONES, c) for x, c in zip(a, counts, strict=True)])


class OnNumpy:
    """Stands in for the compiled kernel: launched in the same way, with tensors of the host."""

    def __getitem__(self, grid):
        (programs,) = grid

        def launch(*arguments, num_warps, **constants):
            given = dict(zip(conv_tensor_core_kernel.arg_names, arguments, strict=False)) | constants
            assert list(given) == conv_tensor_core_kernel.arg_names
            assert num_warps == constants["WARPS_M"] * constants["WARPS_N"]
            passed = {name: Memory(x.numpy()) if isinstance(x, torch.Tensor) else x for name, x in given.items()}
            run(
                conv_tensor_core_kernel,
                programs,
                passed,
                multiply_accumulate=multiply_accumulate,
                add_row_popcounts=add_row_popcounts,
            )
            # Nothing is written twice, so this is everything that there is.
            assert passed["out"].writes.sum() == passed["out"].elements.size

        return launch


@pytest.fixture(autouse=True, scope="module")
def _on_numpy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(conv_tensor_core.__globals__, "conv_tensor_core_kernel", OnNumpy())
        yield


def check(case: Case, seed: int, configuration: Configuration):
    with_it = (partial(of, configuration=configuration) for of in (conv_tensor_core, conv_tensor_core_threshold))
    check_conv(case, seed, *with_it, "cpu")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(cases(), seeds, st.sampled_from([ONE_WARP, *CONFIGURATIONS]))
def test_sums_and_bits_equal_the_oracle(case, seed, configuration):
    check(case, seed, configuration)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: f"{c.rows}x{c.columns}")
@pytest.mark.parametrize("binary", [False, True], ids=["ternary", "binary"])
def test_several_programs_in_both_directions(configuration, binary):
    case = Case(2, 40, (11, 9), configuration.columns + 9, (3, 4), (1, 2), Padding(1, 2, 1), binary)
    check(case, 1, configuration)


def test_a_flipped_bit_shows_exactly_under_its_windows():
    """The comparison above is able to fail: each bit reaches each sum whose window covers it."""
    rng = np.random.default_rng(2)
    case = Case(1, 33, (5, 5), 20, (2, 3), (1, 1), Padding(1, 0), True)
    images, filters, _ = case.random(rng)
    bits = images.unpack()
    bits[0, 32, 2, 4] ^= True
    sums = conv_tensor_core(pack_images(bits), filters, case.stride, case.padding, configuration=ONE_WARP)
    different = (sums != conv_oracle(images, filters, case.stride, case.padding))[0]
    assert different.all(-1).nonzero().tolist() == different.any(-1).nonzero().tolist() == [[2, 2], [3, 2]]


def test_addresses_past_32_bits():
    """The last image of a batch of which only the addresses exist."""
    count, side, words, n = 3, 2**14 + 1, 4, 40
    rows = count * side * side
    taps = window_taps(1, 1, words * 32)
    images = AddressesOnly(rows * words)
    out = AddressesOnly(rows * 2)
    c = CONFIGURATIONS[1]
    programs = -(-rows // c.rows) * -(-n // c.columns)
    arguments = (images, AddressesOnly(2 * 3 * 128), Memory(taps), out, AddressesOnly(n), AddressesOnly(n), None)
    sizes = (rows, n, 1, side, side, words // 2, side, side, 1, 1, 0, 0)
    constants = (c.warps_m, c.warps_n, c.tiles_m, c.tiles_n, False, True, False, True, False, False)
    run(
        conv_tensor_core_kernel,
        range(programs - 2, programs),
        dict(zip(conv_tensor_core_kernel.arg_names, (*arguments, *sizes, *constants), strict=True)),
        multiply_accumulate=lambda a, b, left, right: (left, right),
        add_row_popcounts=lambda a, counts: counts,
    )
    assert images.highest == images.size - 1 > 2**31
    assert out.highest == out.size - 1


def test_what_does_not_fit_is_refused():
    images, filters, thresholds = Case(1, 3, (4, 4), 5, (2, 2), (1, 1), Padding(), False).random(
        np.random.default_rng(0)
    )
    fewer = PositionThresholds(thresholds.limits[:, :4].contiguous(), thresholds.flips[:4])
    with pytest.raises(ValueError, match="take 3 channels, but the images have 4"):
        conv_tensor_core(pack_images(np.zeros((1, 4, 4, 4), bool)), filters)
    with pytest.raises(ValueError, match="does not fit images of 1x1"):
        conv_tensor_core(pack_images(np.zeros((1, 3, 1, 1), bool)), filters)
    with pytest.raises(ValueError, match=r"contiguous int32 \[1, 3, 3, 5\]"):
        conv_tensor_core(images, filters, out=torch.empty(1, 3, 3, 6, dtype=torch.int32))
    with pytest.raises(ValueError, match="strides are 1 or more"):
        conv_tensor_core(images, filters, (0, 1))
    with pytest.raises(ValueError, match="thresholds are"):
        conv_tensor_core_threshold(images, filters, fewer)
    with pytest.raises(ValueError, match="the bits must be"):
        conv_tensor_core_threshold(images, filters, thresholds, out=empty_images(1, 4, 4, 5, torch.device("cpu")))
    with pytest.raises(ValueError, match="contiguous int32 words"):
        PackedImages(torch.zeros(1, 4, 4, 2, dtype=torch.int32), 3)
