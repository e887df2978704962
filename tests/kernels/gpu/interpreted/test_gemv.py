"""The product of few rows equals the oracle, in Triton's interpreter, however K is split."""

import numpy as np
import pytest
import torch
from gpu_operands import POISON, counts, flip, interpreted, random_operand, seeds, sizes
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle
from bnnhw.kernels.gpu.gemv import CONFIGURATIONS, Configuration, gemv

# Steps of two words, so that short rows are many steps.
SHORT = Configuration(16, 8, 2)


@interpreted(40)
@given(
    st.sampled_from([1, 2, 3, 4, 5, 15, 16]), sizes, counts, seeds, st.sampled_from([None, SHORT]), st.integers(1, 40)
)
def test_sums_equal_the_oracle(m, n, k, seed, configuration, programs):
    rng = np.random.default_rng(seed)
    a, b = random_operand(rng, m, k), random_operand(rng, n, k)
    out = torch.full((m, n), POISON, dtype=torch.int32)
    assert gemv(a, b, out, configuration, programs) is out
    assert torch.equal(out, gemm_oracle(a, b))


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: str(c.rows))
def test_each_configuration_over_many_steps(configuration):
    rng = np.random.default_rng(5)
    k = 3 * 32 * configuration.step + 33
    a, b = random_operand(rng, configuration.rows, k), random_operand(rng, 9, k)
    for programs in (1, 2, 4, 1000):
        assert torch.equal(gemv(a, b, None, configuration, programs), gemm_oracle(a, b))


def test_a_flipped_bit_of_an_operand_shows():
    rng = np.random.default_rng(2)
    a, b = random_operand(rng, 4, 70), random_operand(rng, 20, 70)
    different = gemv(flip(a, 3, 69), b) != gemm_oracle(a, b)
    assert np.flatnonzero(different.any(1).numpy()).tolist() == [3]
    assert different[3].all()


def test_too_many_rows_are_refused():
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="at most 16 rows, not 17"):
        gemv(random_operand(rng, 17, 40), random_operand(rng, 5, 40))
    with pytest.raises(ValueError, match="at most 1 rows, not 2"):
        gemv(random_operand(rng, 2, 40), random_operand(rng, 5, 40), None, CONFIGURATIONS[0])
