"""The output layer's scores and class: ``score[n, c] = (sum[n, c] << shift) + bias[c]``, the class is the arg max.

On a tie the lowest index wins.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu


def scores_argmax(
    sums: npt.NDArray[np.int32], bias: npt.NDArray[np.int32], shift: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Scores int64[N, classes] and classes int64[N].

    sums: int32[N, classes]. bias: int32[classes]. shift: 0..31. ValueError if they do not fit.
    """
    if sums.dtype != np.int32 or sums.ndim != 2 or sums.shape[1] == 0:
        raise ValueError(f"sums must be int32 [N, classes], not {sums.dtype} of shape {sums.shape}")
    if bias.dtype != np.int32 or bias.shape != sums.shape[1:]:
        raise ValueError(f"bias must be int32 [{sums.shape[1]}], not {bias.dtype} of shape {bias.shape}")
    if not 0 <= shift <= 31:
        raise ValueError(f"shift must be from 0 to 31, not {shift}")
    scores = np.empty(sums.shape, np.int64)
    winners = np.empty(sums.shape[0], np.int64)
    sums, bias = np.ascontiguousarray(sums), np.ascontiguousarray(bias)
    _cpu.scores_argmax(sums, sums.shape[0], bias, shift, scores, winners)
    return scores, winners


def scores_argmax_oracle(
    sums: npt.NDArray[np.int32], bias: npt.NDArray[np.int32], shift: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`scores_argmax` in NumPy."""
    scores = (sums.astype(np.int64) << shift) + bias.astype(np.int64)
    return scores, np.argmax(scores, axis=1).astype(np.int64)
