"""Integer sums to packed bits by threshold: ``(sum >= limit) xor flip``, 32 columns a word, a row's ones counted.

What the epilogues of `gemm_*` and `conv_*` do with sums in registers, for sums that are in memory: training needs the
statistics of a whole batch before it knows where the thresholds are.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, from_packed_bits, word_count
from bnnhw.kernels.gpu.threshold_epilogue import store_bits
from bnnhw.kernels.packed_bits import pack

ROWS = 32
COLUMNS = 32
WARPS = 4


@triton.jit
def pack_threshold_kernel(
    sums: tl.tensor,  # int32[rows, columns]
    limits: tl.tensor,  # int32[columns]
    flips: tl.tensor,  # int32[columns]
    out: tl.tensor,  # int32 words [rows, ceil(columns / 32)]
    out_popcounts: tl.tensor,  # int32[rows] of zeros
    rows: tl.tensor,
    columns: tl.tensor,
    row_stride: tl.tensor,
    out_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    first_row = tl.program_id(0) * ROWS
    first_column = tl.program_id(1) * COLUMNS
    row = first_row + tl.arange(0, ROWS)
    column = first_column + tl.arange(0, COLUMNS)
    place = sums + row.to(tl.int64)[:, None] * row_stride + column[None, :]
    values = tl.load(place, mask=(row < rows)[:, None] & (column < columns)[None, :], other=0)
    store_bits(
        values, limits, flips, out, out_popcounts, first_row, first_column, rows, columns, out_stride, ROWS, COLUMNS
    )


def pack_threshold(sums: torch.Tensor, thresholds: ColumnThresholds) -> PackedTensor:
    """R rows of N bits of sums int32[R, N] with unit stride; ValueError if sums or thresholds do not fit."""
    _check(sums, thresholds)
    rows, columns = sums.shape
    words = torch.empty(rows, word_count(columns), dtype=torch.int32, device=sums.device)
    popcounts = torch.zeros(rows, dtype=torch.int32, device=sums.device)
    pack_threshold_kernel[(triton.cdiv(rows, ROWS), triton.cdiv(columns, COLUMNS))](
        sums,
        thresholds.limits,
        thresholds.flips,
        words,
        popcounts,
        rows,
        columns,
        sums.stride(0),
        words.stride(0),
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    return PackedTensor(words, popcounts, rows, columns, Layout.ROWS)


def pack_threshold_oracle(sums: torch.Tensor, thresholds: ColumnThresholds) -> PackedTensor:
    """The same on the host."""
    _check(sums, thresholds)
    reached = sums.cpu().numpy() >= thresholds.limits.cpu().numpy()
    return from_packed_bits(pack(reached ^ thresholds.flips.cpu().numpy().astype(np.bool_)))


def _check(sums: torch.Tensor, thresholds: ColumnThresholds) -> None:
    if sums.dtype != torch.int32 or sums.ndim != 2 or sums.numel() == 0 or (sums.shape[1] > 1 and sums.stride(1) != 1):
        raise ValueError(f"sums must be non-empty int32 [R, N] with unit stride, not {sums.dtype} {tuple(sums.shape)}")
    if thresholds.outputs != sums.shape[1] or thresholds.limits.device != sums.device:
        raise ValueError(
            f"{sums.shape[1]} columns on {sums.device} need as many thresholds there, not {thresholds.outputs} on "
            f"{thresholds.limits.device}"
        )
