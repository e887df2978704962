"""Binary GEMM of few rows, ``C[m, n] = K - 2 popcount(a[m] ^ b[n])`` for M <= 16: limited by reading b once.

A matrix times a vector, or a few, reuses no weight, so tiles and tensor cores have nothing to save: what counts is that
enough programs read b at once, in long contiguous pieces. K is split between programs where N alone makes too few. Each
thread adds up population counts of its own words and the threads' sums meet once, at the end, in an integer atomic
addition: exact, whatever the order. Oracle: `gemm_oracle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.gemm_oracle import check_operands, output_sums
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, word_count
from bnnhw.kernels.gpu.popcount import popcount

LARGEST_ROWS = 16
PROGRAMS = 1024
"""About how many programs K is split for: a few for each of a large GPU's multiprocessors."""


@dataclass(frozen=True)
class Configuration:
    """rows: up to how many rows of a. columns, step: a program's share of b, and how many words of it at a time.

    All are powers of two.
    """

    rows: int
    columns: int
    step: int
    warps: int = 4


CONFIGURATIONS = (Configuration(1, 16, 64), Configuration(4, 8, 64), Configuration(16, 8, 32))


@triton.jit
def gemv_kernel(
    a: tl.tensor,  # int32 words [m, words]
    b: tl.tensor,  # int32 words [n, words]
    out: tl.tensor,  # int32 sums [m, n], zeros before the first program
    m: tl.tensor,
    n: tl.tensor,
    count: tl.tensor,
    words: tl.tensor,
    words_each: tl.tensor,  # how many words of K a program adds, a multiple of STEP
    a_stride: tl.tensor,  # from a row to the next, like the others
    b_stride: tl.tensor,
    out_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> None:
    row = tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    first = tl.program_id(1) * words_each
    a_words = a + row.to(tl.int64)[:, None, None] * a_stride
    b_words = b + column.to(tl.int64)[None, :, None] * b_stride
    differing = tl.zeros([ROWS, COLUMNS, STEP], tl.int32)
    for start in range(first, tl.minimum(first + words_each, words), STEP):
        word = start + tl.arange(0, STEP)
        inside = (word < words)[None, None, :]
        left = tl.load(a_words + word[None, None, :], mask=(row < m)[:, None, None] & inside, other=0)
        right = tl.load(b_words + word[None, None, :], mask=(column < n)[None, :, None] & inside, other=0)
        different = left.to(tl.uint32, bitcast=True) ^ right.to(tl.uint32, bitcast=True)
        differing += popcount(different).to(tl.int32)
    sums = -2 * tl.sum(differing, axis=2)
    if tl.program_id(1) == 0:
        sums += count
    place = out + row.to(tl.int64)[:, None] * out_stride + column[None, :]
    tl.atomic_add(place, sums, mask=(row < m)[:, None] & (column < n)[None, :], sem="relaxed")


def gemv(
    a: PackedTensor,
    b: PackedTensor,
    out: torch.Tensor | None = None,
    configuration: Configuration | None = None,
    programs: int = PROGRAMS,
) -> torch.Tensor:
    """Sums int32[M, N] of a [M <= 16] and b [N], in ``out`` if given; ValueError if M, counts, devices, ``out`` or the
    configuration do not fit. The default is the configuration for the fewest rows that hold M."""
    check_operands(a, b)
    if a.rows > LARGEST_ROWS:
        raise ValueError(f"gemv takes at most {LARGEST_ROWS} rows, not {a.rows}")
    c = configuration or next(c for c in CONFIGURATIONS if c.rows >= a.rows)
    if c.rows < a.rows:
        raise ValueError(f"this configuration takes at most {c.rows} rows, not {a.rows}")
    sums = output_sums(a, b, out).zero_()
    left, right = a.relayout(Layout.ROWS).words, b.relayout(Layout.ROWS).words
    words, column_programs = word_count(a.count), -(-b.rows // c.columns)
    steps = -(-words // c.step)
    steps_each = -(-steps // min(steps, max(1, programs // column_programs)))
    gemv_kernel[(column_programs, -(-steps // steps_each))](
        left,
        right,
        sums,
        a.rows,
        b.rows,
        a.count,
        words,
        steps_each * c.step,
        left.stride(0),
        right.stride(0),
        sums.stride(0),
        ROWS=c.rows,
        COLUMNS=c.columns,
        STEP=c.step,
        num_warps=c.warps,
    )
    return sums
