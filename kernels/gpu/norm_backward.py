"""Gradient of batch norm and binarization from recomputed accumulators, without anything the forward pass had stored.

Forward, of integer accumulators a: ``x = (a - mean) / deviation``, ``z = scale x + shift``, ``bit = [z >= 0]``.
Backward the bit's gradient g passes through with tanh's derivative, ``gz = g (1 - tanh(c z)^2)``, and batch norm gives
``ga = scale / deviation (gz - mean(gz) - x mean(gz x))`` (Ioffe and Szegedy, ICML 2015). Accumulators are integers that
the packed operands give again, bit for bit, so none of a, x, z is kept: two passes over a and g, one for the columns'
sums and one for ga. Rows are shared out in a fixed way and partial sums added in a fixed order: the same gradients
every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

ROWS = 32
COLUMNS = 32
PROGRAMS = 512
"""About how many programs the rows of the first pass are shared by."""
WARPS = 4


@dataclass(frozen=True, eq=False)
class Norm:
    """float32[N] each: batch mean, 1 / deviation, scale and shift; ``slope``: float32[1], c of tanh(c z)."""

    mean: torch.Tensor
    inverse: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor
    slope: torch.Tensor

    def __post_init__(self) -> None:
        named = {"mean": self.mean, "inverse": self.inverse, "scale": self.scale, "shift": self.shift}
        for name, given in named.items():
            if given.dtype != torch.float32 or given.shape != self.mean.shape or not given.is_contiguous():
                raise ValueError(f"{name} must be contiguous float32 [N], not {given.dtype} {tuple(given.shape)}")
        if self.slope.dtype != torch.float32 or self.slope.numel() != 1:
            raise ValueError(f"the slope must be one float32, not {self.slope.dtype} {tuple(self.slope.shape)}")


@triton.jit
def through_step(
    g: tl.tensor,
    a: tl.tensor,
    mean: tl.tensor,
    inverse: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    slope: tl.tensor,
) -> tuple[tl.tensor, tl.tensor]:
    """x and gz, float32."""
    x = (a.to(tl.float32) - mean) * inverse
    # 1 - tanh(u)^2 = 4 e / (1 + e)^2 with e = exp(-2 |u|), which neither overflows nor cancels.
    e = tl.exp(-2 * tl.abs((x * scale + shift) * slope))
    return x, g * (4 * e / ((1 + e) * (1 + e)))


@triton.jit
def norm_backward_sums_kernel(
    accumulators: tl.tensor,  # int32[rows, columns]
    gradients: tl.tensor,  # float32[rows, columns]
    mean: tl.tensor,
    inverse: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    slope: tl.tensor,
    partial: tl.tensor,  # float32[programs, 2, columns]: sums of gz and of gz x
    rows: tl.tensor,
    columns: tl.tensor,
    rows_each: tl.tensor,  # of a program, a multiple of ROWS
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < columns
    m = tl.load(mean + column, mask=inside, other=0)[None, :]
    i = tl.load(inverse + column, mask=inside, other=0)[None, :]
    s = tl.load(scale + column, mask=inside, other=0)[None, :]
    t = tl.load(shift + column, mask=inside, other=0)[None, :]
    c = tl.load(slope)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    with_x = tl.zeros([ROWS, COLUMNS], tl.float32)
    first = tl.program_id(1) * rows_each
    for start in range(first, tl.minimum(first + rows_each, rows), ROWS):
        row = start + tl.arange(0, ROWS)
        place = row.to(tl.int64)[:, None] * columns + column[None, :]
        mask = (row < rows)[:, None] & inside[None, :]
        a = tl.load(accumulators + place, mask=mask, other=0)
        x, gz = through_step(tl.load(gradients + place, mask=mask, other=0), a, m, i, s, t, c)
        total += gz
        with_x += gz * x
    to = partial + tl.program_id(1).to(tl.int64) * 2 * columns + column
    tl.store(to, tl.sum(total, axis=0), mask=inside)
    tl.store(to + columns, tl.sum(with_x, axis=0), mask=inside)


@triton.jit
def norm_backward_kernel(
    accumulators: tl.tensor,  # int32[rows, columns]
    gradients: tl.tensor,  # float32[rows, columns]
    mean: tl.tensor,
    inverse: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    slope: tl.tensor,
    means: tl.tensor,  # float32[2, columns]: of gz and of gz x
    out: tl.tensor,  # float32[rows, columns]
    rows: tl.tensor,
    columns: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < columns
    m = tl.load(mean + column, mask=inside, other=0)[None, :]
    i = tl.load(inverse + column, mask=inside, other=0)[None, :]
    s = tl.load(scale + column, mask=inside, other=0)[None, :]
    t = tl.load(shift + column, mask=inside, other=0)[None, :]
    mean_gz = tl.load(means + column, mask=inside, other=0)[None, :]
    mean_gzx = tl.load(means + columns + column, mask=inside, other=0)[None, :]
    place = row.to(tl.int64)[:, None] * columns + column[None, :]
    mask = (row < rows)[:, None] & inside[None, :]
    a = tl.load(accumulators + place, mask=mask, other=0)
    x, gz = through_step(tl.load(gradients + place, mask=mask, other=0), a, m, i, s, t, tl.load(slope))
    tl.store(out + place, s * i * (gz - mean_gz - x * mean_gzx), mask=mask)


def norm_backward(
    accumulators: torch.Tensor, gradients: torch.Tensor, norm: Norm
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients float32[R, N] of accumulators int32[R, N], and float32[N] of the scale and of the shift.

    gradients: float32[R, N] of the bits. Both contiguous; ValueError if anything does not fit.
    """
    _check(accumulators, gradients, norm)
    rows, columns = accumulators.shape
    column_programs = triton.cdiv(columns, COLUMNS)
    steps = triton.cdiv(rows, ROWS)
    steps_each = triton.cdiv(steps, min(steps, max(1, PROGRAMS // column_programs)))
    programs = triton.cdiv(steps, steps_each)
    parameters = (norm.mean, norm.inverse, norm.scale, norm.shift, norm.slope)
    partial = torch.empty(programs, 2, columns, dtype=torch.float32, device=accumulators.device)
    norm_backward_sums_kernel[(column_programs, programs)](
        accumulators,
        gradients,
        *parameters,
        partial,
        rows,
        columns,
        steps_each * ROWS,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    sums = partial.sum(0)
    out = torch.empty_like(gradients)
    norm_backward_kernel[(steps, column_programs)](
        accumulators,
        gradients,
        *parameters,
        sums / rows,
        out,
        rows,
        columns,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    # Two tensors, not two views of one: operators of torch.library may not return aliases.
    return out, sums[1].clone(), sums[0].clone()


def norm_backward_oracle(
    accumulators: torch.Tensor, gradients: torch.Tensor, norm: Norm
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same in float64 with torch's operations, rounded at the end."""
    _check(accumulators, gradients, norm)
    x = (accumulators.double() - norm.mean.double()) * norm.inverse.double()
    z = x * norm.scale.double() + norm.shift.double()
    gz = gradients.double() * (1 - torch.tanh(z * norm.slope.double()).square())
    spread = gz - gz.mean(0) - x * (gz * x).mean(0)
    ga = norm.scale.double() * norm.inverse.double() * spread
    return ga.float(), (gz * x).sum(0).float(), gz.sum(0).float()


def _check(accumulators: torch.Tensor, gradients: torch.Tensor, norm: Norm) -> None:
    a, g = accumulators, gradients
    fits = a.ndim == 2 and a.shape == g.shape and a.numel() > 0 and norm.mean.shape == a.shape[1:]
    if a.dtype != torch.int32 or g.dtype != torch.float32 or not fits or not (a.is_contiguous() and g.is_contiguous()):
        raise ValueError(
            f"accumulators and gradients must be contiguous int32 and float32 [R, {norm.mean.shape[0]}], not {a.dtype} "
            f"{tuple(a.shape)} and {g.dtype} {tuple(g.shape)}"
        )
