"""What every binary GEMM here must equal, by definition: an integer matrix product of +-1 values; and its checks.

Also what `dispatch` runs on tensors of the host. numpy, int64, no packing tricks.
"""

from __future__ import annotations

import numpy as np
import torch

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.packed_tensor import PackedTensor, from_packed_bits
from bnnhw.kernels.packed_bits import pack


def gemm_oracle(a: PackedTensor, b: PackedTensor) -> torch.Tensor:
    """Sums int32[M, N] on the host of a [M] and b [N]; ValueError if they do not fit."""
    check_operands(a, b)
    sums = a.unpack().astype(np.int64) @ b.unpack().astype(np.int64).T
    return torch.from_numpy(sums.astype(np.int32))


def gemm_threshold_oracle(a: PackedTensor, b: PackedTensor, thresholds: ColumnThresholds) -> PackedTensor:
    """M rows of N bits on the host, ``(sum >= limit) xor flip``; ValueError if shapes do not fit."""
    check_thresholds(b, thresholds)
    reached = gemm_oracle(a, b) >= thresholds.limits.cpu()
    return from_packed_bits(pack((reached ^ thresholds.flips.cpu().bool()).numpy()))


def check_operands(a: PackedTensor, b: PackedTensor) -> None:
    """ValueError unless a and b have rows of one length on one device."""
    if a.count != b.count:
        raise ValueError(f"the operands' rows must be of one length, not {a.count} and {b.count} bits")
    if a.device != b.device:
        raise ValueError(f"the operands must be on one device, not {a.device} and {b.device}")


def check_thresholds(b: PackedTensor, thresholds: ColumnThresholds) -> None:
    """ValueError unless there is a threshold for each row of b, on its device."""
    if thresholds.outputs != b.rows:
        raise ValueError(f"the product has {b.rows} columns, but there are {thresholds.outputs} thresholds")
    if thresholds.limits.device != b.device:
        raise ValueError(f"the thresholds must be on {b.device}, not {thresholds.limits.device}")


def output_sums(a: PackedTensor, b: PackedTensor, out: torch.Tensor | None) -> torch.Tensor:
    """``out``, or new int32[M, N]; ValueError unless ``out`` has that dtype and shape, unit stride and a's device."""
    if out is None:
        return torch.empty(a.rows, b.rows, dtype=torch.int32, device=a.device)
    fits = out.dtype == torch.int32 and tuple(out.shape) == (a.rows, b.rows) and out.device == a.device
    if not fits or (b.rows > 1 and out.stride(1) != 1):
        raise ValueError(
            f"the sums must be int32 [{a.rows}, {b.rows}] on {a.device} with unit stride, not {out.dtype} of shape "
            f"{tuple(out.shape)}, strides {out.stride()} on {out.device}"
        )
    return out
