"""Ternary and binary weights with straight-through gradients, and the convolution and the matrix product that use them.

In BinMask each weight has two latent numbers, W for its sign and M for its presence. Gradients pass straight through; a
constant push on M (``mask decay``) removes the weights whose gradient is small. Adam divides by the gradient's size, so
the push sparsifies every layer alike, which plain weight decay on a ternary weight does not (Jia and Rinard, NeurIPS
2020). The others are what it is compared with: one latent number cut at a threshold, bits without a latent number for
the optimizer Bop, and real weights for a teacher.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.nn.products import convolution, product

LATENT_SPREAD = 0.01
"""Standard deviation of the latent W and M at the start."""
TERNARY_THRESHOLD = 0.005
"""Latent weights of ``TernaryWeight`` that are smaller than this are absent."""


class _Ternary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, mask: Tensor) -> Tensor:
        sign = latent.sign()
        present = (mask >= 0).to(sign.dtype)
        ctx.save_for_backward(sign, present)
        return sign * present

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        sign, present = ctx.saved_tensors
        return gradients[0] * present, gradients[0] * sign


_ternary: Any = _Ternary.apply


class BinMask(nn.Module):
    """``w = sign(W) * [M >= 0]``, elementwise, in {-1, 0, +1}; ``dW = dw * [M >= 0]``, ``dM = dw * sign(W)``.

    Parameters ``latent`` (W) and ``mask`` (M): float32 of the weight's shape, kept in [-1, 1] by ``clamp`` after each
    optimizer step. density: the share of weights that start present. Example: ``BinMask((16, 1, 4, 4))()``.
    Reference: Jia and Rinard, NeurIPS 2020, section 3.
    """

    def __init__(self, shape: tuple[int, ...], density: float = 1.0) -> None:
        super().__init__()
        if not 0 < density <= 1:
            raise ValueError(f"initial density {density} must lie in (0, 1]")
        self.latent = nn.Parameter(torch.randn(shape) * LATENT_SPREAD)
        magnitude = torch.randn(shape).abs() * LATENT_SPREAD
        absent = torch.rand(shape) >= density
        self.mask = nn.Parameter(torch.where(absent, -magnitude, magnitude))

    def forward(self) -> Tensor:
        """float32 of the weight's shape, each -1, 0 or +1."""
        weights: Tensor = _ternary(self.latent, self.mask)
        return weights

    @torch.no_grad()
    def decay(self, rate: float) -> None:
        """Add ``rate`` to the gradient of M wherever the weight is present: call between backward and step."""
        if rate and self.mask.grad is not None:
            self.mask.grad.add_((self.mask >= 0).to(self.mask.dtype), alpha=rate)

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep W and M in [-1, 1]: call after each optimizer step."""
        self.latent.clamp_(-1, 1)
        self.mask.clamp_(-1, 1)


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, threshold: float) -> Tensor:
        return latent.sign() * (latent.abs() >= threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


_cut: Any = _Cut.apply


class TernaryWeight(nn.Module):
    """``w = sign(W) * [|W| >= 0.005]``, elementwise, in {-1, 0, +1}; ``dW = dw``, and decay adds ``rate * w`` to it.

    Parameter ``latent`` (W): float32 of the weight's shape, kept in [-1, 1] by ``clamp``. density: the share of weights
    that start present, in (0, 1); it fixes W's spread, and 0.617 means the usual 0.01. Example:
    ``TernaryWeight((16, 1, 4, 4), 0.617)()``. Reference: Narodytska et al., ICLR 2020; the baseline of Jia and Rinard.
    """

    def __init__(self, shape: tuple[int, ...], density: float) -> None:
        super().__init__()
        if not 0 < density < 1:
            raise ValueError(f"initial density {density} of ternary weights must lie in (0, 1), such as 0.617")
        spread = TERNARY_THRESHOLD / NormalDist().inv_cdf(1 - density / 2)
        self.latent = nn.Parameter(torch.randn(shape) * spread)

    def forward(self) -> Tensor:
        """float32 of the weight's shape, each -1, 0 or +1."""
        weights: Tensor = _cut(self.latent, TERNARY_THRESHOLD)
        return weights

    @torch.no_grad()
    def decay(self, rate: float) -> None:
        """Add ``rate * w`` to the gradient of W: call between backward and step."""
        if rate and self.latent.grad is not None:
            self.latent.grad.add_(_cut(self.latent, TERNARY_THRESHOLD), alpha=rate)

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep W in [-1, 1]: call after each optimizer step."""
        self.latent.clamp_(-1, 1)


class BinaryWeight(nn.Module):
    """``w = b * present``: bits b in {-1, +1} without a latent number, to be flipped by ``bnnhw.train.bop``.

    Parameter ``latent``: the bits themselves, float32 of the weight's shape. Buffer ``present``: 0 or 1, drawn once
    with probability ``density`` and never changed, since Bop only flips. ``db = dw * present``. Example:
    ``BinaryWeight((100, 1568), 0.1)()``. Reference: Helwegen et al., NeurIPS 2019.
    """

    present: Tensor

    def __init__(self, shape: tuple[int, ...], density: float = 1.0) -> None:
        super().__init__()
        if not 0 < density <= 1:
            raise ValueError(f"initial density {density} must lie in (0, 1]")
        self.latent = nn.Parameter(torch.where(torch.rand(shape) < 0.5, -1.0, 1.0))
        self.register_buffer("present", (torch.rand(shape) < density).float())

    def forward(self) -> Tensor:
        """float32 of the weight's shape, each -1, 0 or +1."""
        return self.latent * self.present

    def decay(self, rate: float) -> None:
        """Nothing: a bit has no size that could decay."""

    def clamp(self) -> None:
        """Nothing: Bop keeps bits bits."""


class RealWeight(nn.Module):
    """``w = W``: real weights, for the teacher of a binary network. They cannot be lowered.

    Parameter ``latent`` (W): float32 of the weight's shape, He-initialised (He et al., ICCV 2015).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.latent, nonlinearity="relu")

    def forward(self) -> Tensor:
        """float32 of the weight's shape."""
        return self.latent

    def decay(self, rate: float) -> None:
        """Nothing."""

    def clamp(self) -> None:
        """Nothing."""


class _Weighted(nn.Module):
    """What both weighted layers share: weights (BinMask to begin with), which ``Network.frozen`` can hold fixed.

    mixed: multiply gradients in bfloat16 (``bnnhw.nn.products``).
    """

    def __init__(self, shape: tuple[int, ...], density: float) -> None:
        super().__init__()
        self.weights: BinMask | TernaryWeight | BinaryWeight | RealWeight = BinMask(shape, density)
        self.held: Tensor | None = None
        self.mixed = False

    def ternary(self) -> Tensor:
        """The weights in {-1, 0, +1}, with gradients unless they are held fixed."""
        return self.weights() if self.held is None else self.held

    def exact(self, accumulators: Tensor) -> Tensor:
        """In eval mode the nearest whole numbers, whatever algorithm computed the sums; gradients pass through."""
        if self.training or isinstance(self.weights, RealWeight):
            return accumulators
        return accumulators + (accumulators.round() - accumulators).detach()

    @property
    def fan_in(self) -> int:
        """Weights per output."""
        shape = self.weights.latent.shape
        return int(shape[1:].numel())


class BinConv2d(_Weighted):
    """``acc = sum w * a`` over each window (cross-correlation, zero padding), w ternary (BinMask to begin with).

    Input: float32[N, in, H, W] of whole numbers. Output: float32[N, out, H', W'], whole numbers; a padded tap adds
    nothing. Example: ``BinConv2d(1, 16, 4, stride=2, padding=1)``. Reference: as BinMask.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, density: float = 1.0
    ) -> None:
        super().__init__((outputs, inputs, kernel, kernel), density)
        self.stride, self.padding = stride, padding

    def sums(self, activations: Tensor, weights: Tensor) -> Tensor:
        """The layer's sums with other weights of the same shape."""
        if self.mixed:
            return convolution(activations, weights, self.stride, self.padding)
        return F.conv2d(activations, weights, None, self.stride, self.padding)

    def forward(self, activations: Tensor) -> Tensor:
        return self.exact(self.sums(activations, self.ternary()))


class BinLinear(_Weighted):
    """``acc = w @ flatten(a)``, w by BinMask; an input image is flattened in C, H, W order.

    Input: float32[N, ...] of whole numbers. Output: float32[N, out], whole numbers. Example: ``BinLinear(1568, 100)``.
    Reference: as BinMask.
    """

    def __init__(self, inputs: int, outputs: int, density: float = 1.0) -> None:
        super().__init__((outputs, inputs), density)

    def sums(self, activations: Tensor, weights: Tensor) -> Tensor:
        """The layer's sums with other weights of the same shape."""
        return (product if self.mixed else F.linear)(activations.flatten(1), weights)

    def forward(self, activations: Tensor) -> Tensor:
        return self.exact(self.sums(activations, self.ternary()))
