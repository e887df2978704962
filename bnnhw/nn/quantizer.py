"""Input quantization: integer pixels to levels, by integer thresholds, in pixel units throughout.

A quantizer with few levels is itself a defence (Jia and Rinard, "Efficient Exact Verification of Binarized Neural
Networks", NeurIPS 2020): a pixel whose whole epsilon-interval lies between two thresholds cannot be attacked at all,
and the verifier needs no variable for it. Thresholds in integers leave no float comparison to disagree about.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from bnnhw.model.lowering import step_thresholds

PixelRange = tuple[int, int]


class _Levels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, thresholds: Tensor, slope: float) -> Tensor:
        ctx.slope = slope
        levels = (pixels >= thresholds[0]).to(pixels.dtype)
        for threshold in thresholds[1:]:
            levels += pixels >= threshold
        return levels

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.slope, None, None


_levels: Any = _Levels.apply


class InputQuantizer(nn.Module):
    """``level(p) = #{j : p >= thresholds[j]}`` of integer pixels, held in a float tensor.

    Straight-through gradient: ``levels / (pixel_max - pixel_min)``, the average slope of the staircase.
    Input: float[N, C, H, W] of pixels (the adversary may hand in fractions: a pixel p is then worth floor(p)).
    Output: the same shape, whole numbers 0..levels. Buffer ``thresholds``: int32[levels, c, h, w], broadcast over the
    image. Example: ``InputQuantizer((102,), (0, 255))`` is one bit a pixel. Reference: NeurIPS 2020 as above.
    Raises ValueError for thresholds that do not rise or that no pixel can straddle.
    """

    thresholds: Tensor

    def __init__(self, thresholds: Sequence[int] | Tensor, pixel_range: PixelRange) -> None:
        super().__init__()
        low, high = pixel_range
        if low >= high:
            raise ValueError(f"pixel range {low}..{high} is empty: the highest value must exceed the lowest")
        t = torch.as_tensor(thresholds)
        if t.numel() == 0 or t.is_floating_point() or t.ndim not in (1, 4):
            raise ValueError("input thresholds must be whole numbers, of shape (levels,) or (levels, c, h, w)")
        t = t.to(torch.int32).reshape(-1, 1, 1, 1) if t.ndim == 1 else t.to(torch.int32)
        if bool((t.diff(dim=0) <= 0).any()):
            raise ValueError("input thresholds must increase from one level to the next: sort them")
        if int(t.min()) <= low or int(t.max()) > high:
            raise ValueError(f"input thresholds must lie in {low + 1}..{high}, so that pixels fall on both sides")
        self.pixel_min, self.pixel_max = low, high
        self.register_buffer("thresholds", t)

    @classmethod
    def from_step(cls, step: float | str | Fraction, pixel_range: PixelRange) -> InputQuantizer:
        """The round-to-step quantizer (see ``step_thresholds``) as integer thresholds."""
        return cls(step_thresholds(step, pixel_range), pixel_range)

    @property
    def levels(self) -> int:
        """The highest level."""
        return int(self.thresholds.shape[0])

    def forward(self, pixels: Tensor) -> Tensor:
        slope = self.levels / (self.pixel_max - self.pixel_min)
        levels: Tensor = _levels(pixels, self.thresholds, slope)
        return levels
