"""Packing floats equals the oracle, in Triton's interpreter, for every type and for the values that are special."""

import numpy as np
import pytest
import torch
from gpu_operands import counts, interpreted, same, seeds
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.kernels.gpu.pack_sign import DTYPES, pack_sign, pack_sign_and_clip_mask, pack_sign_oracle

SPECIAL = [0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1.0, -1.0, 1.0078125, -1.0078125]
SUBNORMAL = {torch.float32: 1e-40, torch.float16: 6e-8}
"""Of bfloat16 none: the interpreter takes its smallest ones for 0."""


def random_floats(rng, rows, count, dtype):
    x = torch.from_numpy(rng.normal(size=(rows, count)).astype(np.float32))
    values = [*SPECIAL, SUBNORMAL.get(dtype, 0.0), -SUBNORMAL.get(dtype, 0.0)]
    special = torch.tensor(values)[torch.from_numpy(rng.integers(0, len(values), (rows, count)))]
    return torch.where(torch.from_numpy(rng.random((rows, count)) < 0.3), special, x).to(dtype)


@interpreted(16)
@given(
    st.integers(1, 9),
    counts | st.just(700),
    seeds,
    st.sampled_from(DTYPES),
    st.sampled_from(["rows", "columns", "every"]),
)
def test_bits_and_mask_equal_the_oracle(rows, count, seed, dtype, order):
    rng = np.random.default_rng(seed)
    if order == "rows":
        x = random_floats(rng, rows, count, dtype)
    elif order == "columns":
        x = random_floats(rng, count, rows, dtype).t()
    else:
        x = random_floats(rng, rows * 2, count * 3, dtype)[::2, ::3]
    signs, mask = pack_sign_and_clip_mask(x)
    expected_signs, expected_mask = pack_sign_oracle(x)
    assert same(signs, expected_signs)
    assert same(mask, expected_mask)
    assert same(pack_sign(x), expected_signs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_zeros_are_plus_one_and_nan_is_minus_one(dtype):
    x = torch.tensor([[0.0, -0.0, float("nan"), -float("nan"), 1.0, -1.0, 2.0, -2.0]], dtype=dtype)
    signs, mask = pack_sign_and_clip_mask(x)
    assert signs.unpack().tolist() == [[1, 1, -1, -1, 1, -1, 1, -1]]
    assert mask.unpack().tolist() == [[1, 1, -1, -1, 1, 1, -1, -1]]


def test_anything_else_is_refused():
    for x in (torch.zeros(3), torch.zeros(2, 0), torch.zeros(2, 3, dtype=torch.float64)):
        with pytest.raises(ValueError, match="non-empty float32"):
            pack_sign(x)
