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


class _HardStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(z, scale)
        return (z >= 0).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        z, scale = ctx.saved_tensors
        return gradients[0] * ((z * scale).abs() <= 1), None


_step: Any = _Step.apply
_hard_step: Any = _HardStep.apply


class Binarize(nn.Module):
    """``bit = [z >= 0]``, in {0, 1}; backward ``dz = (1 - tanh(c z)^2) * dbit``, or hard: ``dz = [|c z| <= 1] * dbit``.

    The straight-through gradient has the shape of tanh's derivative, so it never vanishes exactly and is widest where a
    small change of z flips the bit. Where the hard window vanishes, an attack by gradients sees nothing. Buffer
    ``scale`` (c > 0): float32 scalar; a larger c narrows the window (``bnnhw.train.gradient_scale`` tunes it).
    Input: float32 or float64 of any shape. Output: float32, 0.0 or 1.0. Example: ``Binarize(1.0)``.
    Reference: Jia and Rinard, NeurIPS 2020, section 3; hard: Hubara et al., NeurIPS 2016.
    """

    scale: Tensor

    def __init__(self, scale: float = 1.0, hard: bool = False) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"gradient scale {scale} must be positive")
        self.hard = hard
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, z: Tensor) -> Tensor:
        bits: Tensor = (_hard_step if self.hard else _step)(z, self.scale.to(z.dtype))
        return bits


class Rectify(nn.Module):
    """``max(z, 0)`` as float32: what a real-valued teacher has in place of ``Binarize``."""

    def forward(self, z: Tensor) -> Tensor:
        return z.clamp(min=0).to(torch.float32)
