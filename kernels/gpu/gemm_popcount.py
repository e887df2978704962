"""Binary GEMM on any GPU's ordinary cores: ``C[m, n] = K - 2 popcount(a[m] ^ b[n])`` of +-1 values, exact in int32.

Every +-1 product is the equality of two bits, so a sum is K minus twice the number of differing bits (Rastegari et al.,
"XNOR-Net", ECCV 2016). A program adds one word of K at a time to a tile of sums, as an outer product: the words of a
tile's rows and columns are loaded once a step and each thread reuses its few for many sums. For that, words lie with K
outermost, so that neighbouring threads read neighbouring words. Spreading K over threads instead costs three shuffles a
population count. Oracle: `gemm_oracle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.gemm_oracle import check_operands, check_thresholds, output_sums
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, word_count
from bnnhw.kernels.gpu.popcount import popcount
from bnnhw.kernels.gpu.threshold_epilogue import store_bits


@dataclass(frozen=True)
class Configuration:
    """A program's tile of sums, and how many warps share it. Both sides are powers of two of 32 or more."""

    rows: int
    columns: int
    warps: int = 4


CONFIGURATIONS = (Configuration(64, 64), Configuration(64, 128))


@triton.jit
def gemm_popcount_kernel(
    a: tl.tensor,  # int32 words [words, m]
    b: tl.tensor,  # int32 words [words, n]
    out: tl.tensor,  # int32 sums [m, n], or words [m, ceil(n / 32)] with THRESHOLD
    limits: tl.tensor,  # int32[n] with THRESHOLD, else None
    flips: tl.tensor,  # int32[n] with THRESHOLD, else None
    out_popcounts: tl.tensor,  # int32[m] of zeros with THRESHOLD, else None
    m: tl.tensor,
    n: tl.tensor,
    count: tl.tensor,
    words: tl.tensor,
    out_stride: tl.tensor,  # from a row of `out` to the next
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    THRESHOLD: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    a_words = a + row
    b_words = b + column
    differing = tl.zeros([ROWS, COLUMNS], tl.int32)
    for _ in range(0, words):
        left = tl.load(a_words, mask=row < m, other=0).to(tl.uint32, bitcast=True)
        right = tl.load(b_words, mask=column < n, other=0).to(tl.uint32, bitcast=True)
        differing += popcount(left[:, None] ^ right[None, :]).to(tl.int32)
        # Pointers are 64 bits wide; word * m may not fit 32.
        a_words += m
        b_words += n
    sums = count - 2 * differing
    if THRESHOLD:
        first_row = tl.program_id(0) * ROWS
        first_column = tl.program_id(1) * COLUMNS
        store_bits(sums, limits, flips, out, out_popcounts, first_row, first_column, m, n, out_stride, ROWS, COLUMNS)
    else:
        place = out + row.to(tl.int64)[:, None] * out_stride + column[None, :]
        tl.store(place, sums, mask=(row < m)[:, None] & (column < n)[None, :])


def gemm_popcount(
    a: PackedTensor,
    b: PackedTensor,
    out: torch.Tensor | None = None,
    configuration: Configuration = CONFIGURATIONS[0],
) -> torch.Tensor:
    """Sums int32[M, N] of a [M] and b [N], in ``out`` if given; ValueError if counts, devices or ``out`` do not fit."""
    check_operands(a, b)
    sums = output_sums(a, b, out)
    _launch(a, b, sums, None, None, configuration)
    return sums


def gemm_popcount_threshold(
    a: PackedTensor,
    b: PackedTensor,
    thresholds: ColumnThresholds,
    configuration: Configuration = CONFIGURATIONS[0],
) -> PackedTensor:
    """M rows of N bits, ``(sum >= limit) xor flip`` of `gemm_popcount`'s sums; ValueError if shapes do not fit."""
    check_operands(a, b)
    check_thresholds(b, thresholds)
    words = torch.empty(a.rows, word_count(b.rows), dtype=torch.int32, device=a.device)
    popcounts = torch.zeros(a.rows, dtype=torch.int32, device=a.device)
    _launch(a, b, words, thresholds, popcounts, configuration)
    return PackedTensor(words, popcounts, a.rows, b.rows, Layout.ROWS)


def _launch(
    a: PackedTensor,
    b: PackedTensor,
    out: torch.Tensor,
    thresholds: ColumnThresholds | None,
    popcounts: torch.Tensor | None,
    configuration: Configuration,
) -> None:
    left, right = (operand.relayout(Layout.ROWS).words.t().contiguous() for operand in (a, b))
    gemm_popcount_kernel[(-(-a.rows // configuration.rows), -(-b.rows // configuration.columns))](
        left,
        right,
        out,
        None if thresholds is None else thresholds.limits,
        None if thresholds is None else thresholds.flips,
        popcounts,
        a.rows,
        b.rows,
        a.count,
        word_count(a.count),
        out.stride(0),
        ROWS=configuration.rows,
        COLUMNS=configuration.columns,
        THRESHOLD=thresholds is not None,
        num_warps=configuration.warps,
    )
