"""The matrix products in `tl` equal the oracle, in Triton's interpreter; so does their end in bits."""

import numpy as np
import pytest
import torch
from gpu_operands import POISON, counts, flip, interpreted, random_operand, random_thresholds, same, seeds, sizes
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.kernels.gpu import binary_gemm, binary_gemm_threshold
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.packed_tensor import Layout, from_words

PRODUCTS = {
    "popcount": (gemm_popcount, gemm_popcount_threshold, POPCOUNT),
    "int8": (gemm_int8, gemm_int8_threshold, INT8),
}
products = pytest.mark.parametrize("name", PRODUCTS)


@products
@interpreted(15)
@given(sizes, sizes, counts, seeds, st.integers(0, 1))
def test_sums_and_bits_equal_the_oracle(name, m, n, k, seed, which):
    product, product_threshold, configurations = PRODUCTS[name]
    rng = np.random.default_rng(seed)
    a, b, thresholds = random_operand(rng, m, k), random_operand(rng, n, k), random_thresholds(rng, n, k)
    out = torch.full((m, n), POISON, dtype=torch.int32)
    assert product(a, b, out, configurations[which]) is out
    assert torch.equal(out, gemm_oracle(a, b))
    made = product_threshold(a, b, thresholds, configurations[which])
    assert same(made, gemm_threshold_oracle(a, b, thresholds))


@products
def test_strided_words_strided_output_and_fragments(name):
    product = PRODUCTS[name][0]
    rng = np.random.default_rng(3)
    a, b = random_operand(rng, 20, 96), random_operand(rng, 33, 96)
    # Every second row of twice as many, and two words too many in each.
    wide = torch.full((40, 5), -1, dtype=torch.int32)
    wide[::2, :3] = a.words
    out = torch.full((20, 40), POISON, dtype=torch.int32)
    product(from_words(wide[::2, :3], 96), b.relayout(Layout.B_FRAGMENTS), out[:, :33])
    assert torch.equal(out[:, :33], gemm_oracle(a, b))
    assert torch.all(out[:, 33:] == POISON)


@products
def test_a_flipped_bit_of_an_operand_shows(name):
    """The comparisons above are able to fail: each bit reaches each sum of its row."""
    product = PRODUCTS[name][0]
    rng = np.random.default_rng(2)
    a, b = random_operand(rng, 20, 70), random_operand(rng, 20, 70)
    different = product(flip(a, 17, 69), b) != gemm_oracle(a, b)
    assert np.flatnonzero(different.any(1).numpy()).tolist() == [17]
    assert different[17].all()


@products
def test_what_does_not_fit_is_refused(name):
    product, product_threshold, _ = PRODUCTS[name]
    rng = np.random.default_rng(4)
    a, b = random_operand(rng, 3, 40), random_operand(rng, 5, 40)
    with pytest.raises(ValueError, match="of one length"):
        product(a, random_operand(rng, 5, 41))
    with pytest.raises(ValueError, match=r"int32 \[3, 5\]"):
        product(a, b, torch.empty(5, 3, dtype=torch.int32))
    with pytest.raises(ValueError, match="unit stride"):
        product(a, b, torch.empty(5, 3, dtype=torch.int32).t())
    with pytest.raises(ValueError, match="5 columns, but there are 4"):
        product_threshold(a, b, random_thresholds(rng, 4, 40))


@pytest.mark.parametrize("backend", ["popcount", "int8", "gemv", "oracle"])
def test_dispatch_gives_the_same_whichever_backend(backend):
    rng = np.random.default_rng(8)
    a, b, thresholds = random_operand(rng, 9, 130), random_operand(rng, 35, 130), random_thresholds(rng, 35, 130)
    assert torch.equal(binary_gemm(a, b, backend), gemm_oracle(a, b))
    if backend != "gemv":
        made = binary_gemm_threshold(a, b, thresholds, backend)
        assert same(made, gemm_threshold_oracle(a, b, thresholds))
