"""Thresholds of a layer's columns as the GPU kernels read them: ``bit = (sum >= limit) xor flip``.

The comparison of `bnnhw.kernels.Thresholds`, whose limits and flips these are; only thresholds that are the same at
every position, since a matrix product has no positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bnnhw.kernels.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class ColumnThresholds:
    """limits, flips: int32[N], contiguous and on one device; ValueError otherwise. Flips are 0 or 1, not checked."""

    limits: torch.Tensor
    flips: torch.Tensor

    def __post_init__(self) -> None:
        for name, given in (("limits", self.limits), ("flips", self.flips)):
            if given.dtype != torch.int32 or given.ndim != 1 or not given.is_contiguous():
                raise ValueError(
                    f"{name} must be contiguous int32 [N], not {given.dtype} of shape {tuple(given.shape)}"
                )
        if self.limits.shape != self.flips.shape or self.limits.device != self.flips.device:
            raise ValueError(
                f"limits and flips must have one shape and device, not {tuple(self.limits.shape)} on "
                f"{self.limits.device} and {tuple(self.flips.shape)} on {self.flips.device}"
            )

    @property
    def outputs(self) -> int:
        return self.limits.shape[0]

    def to(self, device: torch.device | str) -> ColumnThresholds:
        """A copy on ``device``, or views of these if they are there."""
        return ColumnThresholds(self.limits.to(device), self.flips.to(device))


def column_thresholds(thresholds: Thresholds) -> ColumnThresholds:
    """On the host, from a layer's thresholds; ValueError if they differ by position."""
    if thresholds.threshold.ndim != 1:
        raise ValueError(
            f"a matrix product has one threshold a column, but these have shape {thresholds.threshold.shape}"
        )
    limits = torch.from_numpy(thresholds.limits[0, : thresholds.outputs].copy())
    return ColumnThresholds(limits, torch.from_numpy(thresholds.less_equal).to(torch.int32))
