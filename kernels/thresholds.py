"""Thresholds of a layer: from a sum to a bit, ``sum >= t`` or ``sum <= t``, chosen per output channel.

The kernels know one comparison, ``(sum >= limit) xor flip``: ``sum <= t`` is the opposite of ``sum >= t + 1``. Limits
beyond what a sum can be are clipped to +-(2**31 - 1), which no sum reaches (kernels refuse layers where one could).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bnnhw.kernels.weights import LANES, lane_count

LARGEST_SUM = 2**31 - 2
"""Sums stay within +-LARGEST_SUM."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """threshold: int32[outputs], or int32[outputs, rows, columns] where it differs by position.

    less_equal: bool[outputs]; True for ``sum <= threshold``, False for ``sum >= threshold``.
    """

    threshold: npt.NDArray[np.int32]
    less_equal: npt.NDArray[np.bool_]
    limits: npt.NDArray[np.int32] = field(init=False, repr=False)
    """int32[positions or 1, lanes]."""
    flips: npt.NDArray[np.uint8] = field(init=False, repr=False)
    """uint8[lanes / LANES], a bit an output."""

    def __post_init__(self) -> None:
        t, less_equal = np.asarray(self.threshold), np.asarray(self.less_equal)
        if t.dtype != np.int32 or t.ndim not in (1, 3) or t.size == 0:
            raise ValueError(
                f"thresholds must be int32 [outputs] or [outputs, rows, columns], not {t.dtype} of shape {t.shape}"
            )
        outputs = t.shape[0]
        if less_equal.dtype != np.bool_ or less_equal.shape != (outputs,):
            raise ValueError(
                f"comparison directions must be bool [{outputs}], not {less_equal.dtype} of shape {less_equal.shape}"
            )
        reached = t.astype(np.int64).reshape(outputs, -1) + less_equal[:, None]
        lanes = lane_count(outputs)
        limits = np.ones((reached.shape[1], lanes), np.int32)
        limits[:, :outputs] = np.clip(reached, -LARGEST_SUM - 1, LARGEST_SUM + 1).T
        flips = np.zeros(lanes, np.bool_)
        flips[:outputs] = less_equal
        object.__setattr__(self, "limits", limits)
        object.__setattr__(self, "flips", np.packbits(flips.reshape(-1, LANES), axis=1, bitorder="little").ravel())

    @property
    def outputs(self) -> int:
        return int(self.threshold.shape[0])

    def check(self, outputs: int, rows: int, columns: int) -> None:
        """ValueError unless the thresholds fit a layer of ``outputs`` channels at rows x columns positions."""
        if self.threshold.shape not in ((outputs,), (outputs, rows, columns)):
            raise ValueError(
                f"the layer makes {outputs} channels at {rows}x{columns} positions, "
                f"but its thresholds have shape {self.threshold.shape}"
            )


def thresholds_oracle(sums: npt.NDArray[np.int32], thresholds: Thresholds) -> npt.NDArray[np.bool_]:
    """Bits of sums [N, outputs] or [N, rows, columns, outputs]: the comparison as defined, in int64."""
    t = thresholds.threshold.astype(np.int64)
    if t.ndim == 3:
        t = t.transpose(1, 2, 0).reshape(sums.shape[1:])
    wide = sums.astype(np.int64)
    return np.where(thresholds.less_equal, wide <= t, wide >= t)
