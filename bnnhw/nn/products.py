"""Weighted sums whose gradients are multiplied in bfloat16: mixed precision that leaves every integer exact.

Forward, sums are whole numbers in float32, as always: bfloat16 would hold them up to 256 only. Backward, the factors
are weights in {-1, 0, +1} and activations, which bfloat16 holds exactly, and gradients, which are estimates anyway and
lose 16 bits here. Activations are stored in half the bytes meanwhile. Faster where the processor multiplies bfloat16
(AVX512-BF16, AMX, tensor cores); where ``fast`` says no, much slower. Mixed precision for other networks, which
rounds activations too: Micikevicius et al., ICLR 2018.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor, weights: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(activations.bfloat16(), weights.bfloat16())
        ctx.window = [stride] * 2, [padding] * 2
        return F.conv2d(activations, weights, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        activations, weights = ctx.saved_tensors
        stride, padding = ctx.window
        down, own, _ = torch.ops.aten.convolution_backward(
            gradients[0].bfloat16(),
            activations,
            weights,
            None,
            stride,
            padding,
            [1, 1],
            False,
            [0, 0],
            1,
            [*ctx.needs_input_grad[:2], False],
        )
        return None if down is None else down.float(), None if own is None else own.float(), None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(activations.bfloat16(), weights.bfloat16())
        return F.linear(activations, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        activations, weights = ctx.saved_tensors
        gradient = gradients[0].bfloat16()
        down = (gradient @ weights).float() if ctx.needs_input_grad[0] else None
        return down, (gradient.T @ activations).float() if ctx.needs_input_grad[1] else None


_convolution: Any = _Convolution.apply
_product: Any = _Product.apply


def convolution(activations: Tensor, weights: Tensor, stride: int, padding: int) -> Tensor:
    """``F.conv2d``, zero padding: float32[N, in, H, W] and [out, in, k, k] to float32[N, out, H', W']."""
    sums: Tensor = _convolution(activations, weights, stride, padding)
    return sums


def product(activations: Tensor, weights: Tensor) -> Tensor:
    """``F.linear``: float32[N, in] and [out, in] to float32[N, out]."""
    sums: Tensor = _product(activations, weights)
    return sums


def fast(device: torch.device) -> bool:
    """Whether torch's library has bfloat16 products for the device; without, a processor takes much longer than for
    float32."""
    if device.type != "cpu":
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())
