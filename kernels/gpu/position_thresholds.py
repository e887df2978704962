"""Thresholds of a convolution as the GPU kernels read them: ``bit = (sum >= limit) xor flip``, by output position or
not.

The comparison of `bnnhw.kernels.Thresholds`, whose limits and flips these are. `ColumnThresholds` is the same for
matrix products, which have no positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bnnhw.kernels.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class PositionThresholds:
    """limits: int32[positions or 1, outputs]; flips: int32[outputs], 0 or 1, which is not checked. Both contiguous and
    on one device; ValueError otherwise."""

    limits: torch.Tensor
    flips: torch.Tensor

    def __post_init__(self) -> None:
        for name, given, axes in (("limits", self.limits, 2), ("flips", self.flips, 1)):
            if given.dtype != torch.int32 or given.ndim != axes or not given.is_contiguous() or given.numel() == 0:
                raise ValueError(
                    f"{name} must be contiguous int32 of {axes} axes, not {given.dtype} of shape {tuple(given.shape)}"
                )
        if self.limits.shape[1:] != self.flips.shape or self.limits.device != self.flips.device:
            raise ValueError(
                f"limits and flips must be of one number of outputs and device, not {tuple(self.limits.shape)} on "
                f"{self.limits.device} and {tuple(self.flips.shape)} on {self.flips.device}"
            )

    @property
    def outputs(self) -> int:
        return self.flips.shape[0]

    @property
    def positions(self) -> int:
        """1 if they are the same at every position."""
        return self.limits.shape[0]

    def to(self, device: torch.device | str) -> PositionThresholds:
        """A copy on ``device``, or views of these if they are there."""
        return PositionThresholds(self.limits.to(device), self.flips.to(device))


def position_thresholds(thresholds: Thresholds) -> PositionThresholds:
    """On the host, from a layer's thresholds."""
    limits = np.ascontiguousarray(thresholds.limits[:, : thresholds.outputs])
    return PositionThresholds(torch.from_numpy(limits), torch.from_numpy(thresholds.less_equal.astype(np.int32)))
