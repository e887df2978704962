"""Binary GEMM on 8-bit integer tensor cores: bits become 0 or 1 in registers and ``tl.dot`` counts, exact in int32.

The portable one: Blackwell's and AMD's matrix units have no 1-bit type but multiply 8-bit integers fast, and operands
still travel as bits, an eighth of the bytes. As in `gemm_tensor_core`, ``C = K - 2 (ra + rb) + 4 (a . b)`` with the row
popcounts ra and rb, so that what pads K counts as 0. The order of K within a step is whatever unpacks best, as long as
it is the same for both operands: a thread unpacks whole words, four bits at a time into the four bytes of a register,
and stores them in wide pieces. Oracle: `gemm_oracle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.gemm_oracle import check_operands, check_thresholds, output_sums
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, word_count
from bnnhw.kernels.gpu.threshold_epilogue import store_bits


@dataclass(frozen=True)
class Configuration:
    """A program's tile of sums, how many words of K it adds in a step, and how many warps share it; powers of two."""

    rows: int
    columns: int
    step: int = 4
    warps: int = 4


CONFIGURATIONS = (Configuration(64, 64), Configuration(128, 128, warps=8))


@triton.jit
def load_bits(
    words: tl.tensor,  # int32[ROWS] of pointers, to the first word of each row in this step
    inside: tl.tensor,  # bool[ROWS]
    remaining: tl.tensor,  # words that rows still have
    ROWS: tl.constexpr,
    STEP: tl.constexpr,
) -> tl.tensor:
    """int8[ROWS, STEP * 32] of 0 and 1, a word's bits in the order 0, 8, 16, 24, 4, 12, ...; 0 past the end of rows."""
    word = tl.arange(0, STEP)
    mask = inside[:, None] & (word < remaining)[None, :]
    packed = tl.load(words[:, None] + word[None, :], mask=mask, other=0)
    # Joining puts values side by side in one thread: eight registers of four bytes, then each register's bytes.
    shifted = tl.join(packed, packed >> 4)
    shifted = tl.join(shifted, shifted >> 2)
    shifted = tl.join(shifted, shifted >> 1)
    octets = shifted & 0x01010101
    octets = tl.join(tl.join(octets, octets >> 16), tl.join(octets >> 8, octets >> 24))
    return tl.reshape(octets.to(tl.int8), [ROWS, STEP * 32])


@triton.jit
def gemm_int8_kernel(
    a: tl.tensor,  # int32 words [m, words]
    b: tl.tensor,  # int32 words [n, words]
    a_popcounts: tl.tensor,  # int32[m]
    b_popcounts: tl.tensor,  # int32[n]
    out: tl.tensor,  # int32 sums [m, n], or words [m, ceil(n / 32)] with THRESHOLD
    limits: tl.tensor,  # int32[n] with THRESHOLD, else None
    flips: tl.tensor,  # int32[n] with THRESHOLD, else None
    out_popcounts: tl.tensor,  # int32[m] of zeros with THRESHOLD, else None
    m: tl.tensor,
    n: tl.tensor,
    count: tl.tensor,
    words: tl.tensor,
    a_stride: tl.tensor,  # from a row to the next, like the others
    b_stride: tl.tensor,
    out_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    THRESHOLD: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    a_words = a + row.to(tl.int64) * a_stride
    b_words = b + column.to(tl.int64) * b_stride
    both = tl.zeros([ROWS, COLUMNS], tl.int32)
    for start in range(0, words, STEP):
        left = load_bits(a_words + start, row < m, words - start, ROWS, STEP)
        right = load_bits(b_words + start, column < n, words - start, COLUMNS, STEP)
        both = tl.dot(left, tl.trans(right), both, out_dtype=tl.int32)
    a_ones = tl.load(a_popcounts + row, mask=row < m, other=0)
    b_ones = tl.load(b_popcounts + column, mask=column < n, other=0)
    sums = count - 2 * (a_ones[:, None] + b_ones[None, :]) + 4 * both
    if THRESHOLD:
        first_row = tl.program_id(0) * ROWS
        first_column = tl.program_id(1) * COLUMNS
        store_bits(sums, limits, flips, out, out_popcounts, first_row, first_column, m, n, out_stride, ROWS, COLUMNS)
    else:
        place = out + row.to(tl.int64)[:, None] * out_stride + column[None, :]
        tl.store(place, sums, mask=(row < m)[:, None] & (column < n)[None, :])


def gemm_int8(
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


def gemm_int8_threshold(
    a: PackedTensor,
    b: PackedTensor,
    thresholds: ColumnThresholds,
    configuration: Configuration = CONFIGURATIONS[0],
) -> PackedTensor:
    """M rows of N bits, ``(sum >= limit) xor flip`` of `gemm_int8`'s sums; ValueError if shapes do not fit."""
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
    left, right = a.relayout(Layout.ROWS).words, b.relayout(Layout.ROWS).words
    gemm_int8_kernel[(-(-a.rows // configuration.rows), -(-b.rows // configuration.columns))](
        left,
        right,
        a.popcounts,
        b.popcounts,
        out,
        None if thresholds is None else thresholds.limits,
        None if thresholds is None else thresholds.flips,
        popcounts,
        a.rows,
        b.rows,
        a.count,
        word_count(a.count),
        left.stride(0),
        right.stride(0),
        out.stride(0),
        ROWS=configuration.rows,
        COLUMNS=configuration.columns,
        STEP=configuration.step,
        THRESHOLD=thresholds is not None,
        num_warps=configuration.warps,
    )
