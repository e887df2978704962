"""Random operands and thresholds for the tests of GPU kernels, and what equality of packed tensors means."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st

from bnnhw.kernels import Thresholds, pack
from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds, column_thresholds
from bnnhw.kernels.gpu.packed_tensor import PackedTensor, from_packed_bits

POISON = -(2**31)
"""What outputs hold before a kernel runs; no sum is equal to it."""

sizes = st.sampled_from([1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 70])
counts = st.sampled_from([1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300])
seeds = st.integers(0, 2**32)


def interpreted(examples: int) -> settings:
    """The interpreter is slow: making a failing case smaller would take it many minutes."""
    phases = (Phase.explicit, Phase.generate)
    return settings(derandomize=True, deadline=None, max_examples=examples, phases=phases)


def random_operand(rng: np.random.Generator, rows: int, count: int) -> PackedTensor:
    """Mostly mixed rows, sometimes all ones or all zeros."""
    density = rng.choice([0.0, 0.3, 0.5, 1.0], p=[0.1, 0.2, 0.6, 0.1])
    return from_packed_bits(pack(rng.random((rows, count)) < density))


def random_thresholds(rng: np.random.Generator, outputs: int, count: int) -> ColumnThresholds:
    """In the range where sums of random bits are, with a few at and past the ends of what a sum can be."""
    t = rng.integers(-count // 4 - 2, count // 4 + 3, outputs).astype(np.int32)
    t[rng.random(outputs) < 0.2] = rng.choice([POISON, 2**31 - 1, -count, count, 0])
    return column_thresholds(Thresholds(t, rng.random(outputs) < 0.5))


def flip(operand: PackedTensor, row: int, bit: int) -> PackedTensor:
    """The operand with one bit changed."""
    bits = operand.unpack() > 0
    bits[row, bit] ^= True
    return from_packed_bits(pack(bits))


def same(a: PackedTensor, b: PackedTensor) -> bool:
    """One layout, equal words and equal popcounts."""
    alike = (a.rows, a.count, a.layout) == (b.rows, b.count, b.layout)
    return alike and torch.equal(a.words, b.words) and torch.equal(a.popcounts, b.popcounts)
