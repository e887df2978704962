"""Sums and sums of squares of integer accumulators by column on a GPU: exact in int64, whatever the order of additions.

Batch norm needs the mean and the variance of what a binary layer sums up. In floating point they depend on the order in
which a GPU happens to add; accumulators are integers, so here they do not. K < 2^29 inputs and R rows need R K^2 <
2^63.
"""

from __future__ import annotations

import torch
import triton
from triton import language as tl

ROWS = 32
COLUMNS = 32
PROGRAMS = 1024
"""About how many programs the rows are shared by."""
WARPS = 4


@triton.jit
def batch_norm_statistics_kernel(
    accumulators: tl.tensor,  # int32[rows, columns]
    sums: tl.tensor,  # int64[2, columns], zeros before the first program
    rows: tl.tensor,
    columns: tl.tensor,
    rows_each: tl.tensor,  # of a program, a multiple of ROWS
    row_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    first = tl.program_id(1) * rows_each
    total = tl.zeros([ROWS, COLUMNS], tl.int64)
    squares = tl.zeros([ROWS, COLUMNS], tl.int64)
    for start in range(first, tl.minimum(first + rows_each, rows), ROWS):
        row = start + tl.arange(0, ROWS)
        place = accumulators + row.to(tl.int64)[:, None] * row_stride + column[None, :]
        values = tl.load(place, mask=(row < rows)[:, None] & (column < columns)[None, :], other=0).to(tl.int64)
        total += values
        squares += values * values
    inside = column < columns
    tl.atomic_add(sums + column, tl.sum(total, axis=0), mask=inside, sem="relaxed")
    tl.atomic_add(sums + columns + column, tl.sum(squares, axis=0), mask=inside, sem="relaxed")


def batch_norm_statistics(accumulators: torch.Tensor) -> torch.Tensor:
    """int64[2, C]: sums and sums of squares of accumulators int32[R, C] with unit stride; ValueError for others."""
    _check(accumulators)
    rows, columns = accumulators.shape
    sums = torch.zeros(2, columns, dtype=torch.int64, device=accumulators.device)
    column_programs = triton.cdiv(columns, COLUMNS)
    steps = triton.cdiv(rows, ROWS)
    steps_each = triton.cdiv(steps, min(steps, max(1, PROGRAMS // column_programs)))
    batch_norm_statistics_kernel[(column_programs, triton.cdiv(steps, steps_each))](
        accumulators,
        sums,
        rows,
        columns,
        steps_each * ROWS,
        accumulators.stride(0),
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    return sums


def batch_norm_statistics_oracle(accumulators: torch.Tensor) -> torch.Tensor:
    """The same on the host."""
    _check(accumulators)
    wide = accumulators.cpu().to(torch.int64)
    return torch.stack([wide.sum(0), (wide * wide).sum(0)])


def _check(accumulators: torch.Tensor) -> None:
    a = accumulators
    if a.dtype != torch.int32 or a.ndim != 2 or a.numel() == 0 or (a.shape[1] > 1 and a.stride(1) != 1):
        raise ValueError(
            f"accumulators must be non-empty int32 [R, C] with unit stride, not {a.dtype} {tuple(a.shape)}"
        )
