"""The binary activation: one bit, 0 or 1, with a smooth stand-in for its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(z, scale)
        return (z >= 0).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        z, scale = ctx.saved_tensors
        slope = torch.tanh(z * scale).square_().neg_().add_(1.0)
        return slope.mul_(gradients[0]), None


_step: Any = _Step.apply


class Binarize(nn.Module):
    """``bit = [z >= 0]``, in {0, 1}; backward ``dz = (1 - tanh(c z)^2) * dbit``.

    The straight-through gradient has the shape of tanh's derivative, so it never vanishes exactly and is widest where a
    small change of z flips the bit. Buffer ``scale`` (c > 0): float32 scalar; a larger c narrows the window.
    Input: float32 or float64 of any shape. Output: float32, 0.0 or 1.0. Example: ``Binarize(1.0)``.
    Reference: Jia and Rinard, NeurIPS 2020, section 3 (adaptive gradient cancelling tunes c).
    """

    scale: Tensor

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"gradient scale {scale} must be positive")
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, z: Tensor) -> Tensor:
        bits: Tensor = _step(z, self.scale.to(z.dtype))
        return bits
