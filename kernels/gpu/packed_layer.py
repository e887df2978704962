"""A binary layer for training that keeps its input as bits: one bit a value until the backward pass, not 32 three
times.

Training needs a layer's input for the gradient of its weights, and its accumulators for batch norm's and
binarization's. In floats that is twelve bytes a value. Here the input stays packed bits, and accumulators are summed up
again from them when they are needed: integers, so the very same ones (the idea of Wang et al., "Enabling binary neural
network training on the edge", TRETS 2023, who keep rounded statistics instead). What flows between layers is a pair:
words of bits, and a *carrier*, a float tensor of the activations' shape that has a single element of memory. Nobody
reads it; autograd needs an edge for the gradient to come back on.

Forward: ``a = conv(bits, weights)``, ``z = scale (a - mean) / sqrt(var + 1e-5) + shift`` over the batch, bits ``[z >=
0]`` by exact integer thresholds. Backward: `norm_backward`, then `conv_weight_gradient` from packed bits and torch's
own gradient of a convolution for the input. Operators of `torch.library`, so `torch.compile` and autograd know them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_input
from triton import knobs

from bnnhw.kernels.gpu.batch_norm_statistics import batch_norm_statistics, batch_norm_statistics_oracle
from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.conv import ternary_conv
from bnnhw.kernels.gpu.conv_weight_gradient import conv_weight_gradient, conv_weight_gradient_oracle
from bnnhw.kernels.gpu.conv_window import Padding, Window, window_of
from bnnhw.kernels.gpu.norm_backward import Norm, norm_backward, norm_backward_oracle
from bnnhw.kernels.gpu.pack_sign import pack_sign, pack_sign_oracle
from bnnhw.kernels.gpu.pack_threshold import pack_threshold, pack_threshold_oracle
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_tensor import word_count
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters, filter_fragments, window_taps

VARIANCE_FLOOR = 1e-5
FARTHEST_LIMIT = 2**31 - 1


def packed_sums(
    words: Tensor, carrier: Tensor, weights: Tensor, levels: int, stride: list[int], padding: list[int]
) -> Tensor:
    """Accumulators float32[N, O, H', W'] of weights float32[O, C, h, w], each -1, 0 or +1, over packed activations.

    words: int32[N, H, W, ceil(C * levels / 32)], each channel's value as so many bits of which a prefix is set (one
    bit: the value itself). carrier: float32[N, C, H, W], whose gradient is that of the values.
    """
    sums: Tensor = _packed_sums(words, carrier, weights, levels, stride, padding)
    return sums


def packed_layer(
    words: Tensor,
    carrier: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Words int32[N, H', W', ceil(O / 32)] and carrier [N, O, H', W'] of the next activations, and the batch's mean and
    variance float64[O]. scale, shift: float32[O]; slope: float32 scalar, c of the gradient ``1 - tanh(c z)^2``; the
    rest as in `packed_sums`."""
    made: tuple[Tensor, Tensor, Tensor, Tensor] = _packed_layer(
        words, carrier, weights, scale, shift, slope, levels, stride, padding
    )
    return made


@torch.library.custom_op("bnnhw::packed_sums", mutates_args=())
def _packed_sums(
    words: Tensor, carrier: Tensor, weights: Tensor, levels: int, stride: list[int], padding: list[int]
) -> Tensor:
    return _sums(words, weights, levels, stride, padding).to(torch.float32).permute(0, 3, 1, 2)


@_packed_sums.register_fake
def _(words: Tensor, carrier: Tensor, weights: Tensor, levels: int, stride: list[int], padding: list[int]) -> Tensor:
    height, width = _made(carrier, weights, stride, padding)
    return words.new_empty((words.shape[0], height, width, weights.shape[0]), dtype=torch.float32).permute(0, 3, 1, 2)


@torch.library.custom_op("bnnhw::packed_sums_backward", mutates_args=())
def _packed_sums_backward(
    gradient: Tensor,
    words: Tensor,
    weights: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
    with_input: bool,
) -> tuple[Tensor, Tensor]:
    g = gradient.permute(0, 2, 3, 1).contiguous()
    return _gradients(g, words, weights, levels, stride, padding, with_input)


@_packed_sums_backward.register_fake
def _(
    gradient: Tensor,
    words: Tensor,
    weights: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
    with_input: bool,
) -> tuple[Tensor, Tensor]:
    return _empty_input(words, weights, with_input), torch.empty_like(weights, memory_format=torch.contiguous_format)


def _keep_sums(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    words, _, weights, *ctx.geometry = inputs
    ctx.save_for_backward(words, weights)


def _sums_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    words, weights = ctx.saved_tensors
    with_input = ctx.needs_input_grad[1]
    g_input, g_weights = _packed_sums_backward(gradient, words, weights, *ctx.geometry, with_input)
    return None, g_input if with_input else None, g_weights, None, None, None


_packed_sums.register_autograd(_sums_backward, setup_context=_keep_sums)


@torch.library.custom_op("bnnhw::packed_layer", mutates_args=())
def _packed_layer(
    words: Tensor,
    carrier: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sums = _sums(words, weights, levels, stride, padding)
    rows = sums.reshape(-1, sums.shape[-1])
    mean, var = _statistics(rows)
    thresholds = _thresholds(mean, var, scale, shift)
    packed = (pack_threshold_oracle if _on_oracles(sums) else pack_threshold)(rows, thresholds)
    side = (*sums.shape[:3], packed.words.shape[1])
    return packed.words.contiguous().reshape(side), _carrier(sums), mean, var


@_packed_layer.register_fake
def _(
    words: Tensor,
    carrier: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    height, width = _made(carrier, weights, stride, padding)
    outputs = weights.shape[0]
    made = words.new_empty((words.shape[0], height, width, word_count(outputs)))
    sums = words.new_empty((words.shape[0], height, width, outputs))
    mean, var = (words.new_empty(outputs, dtype=torch.float64) for _ in range(2))
    return made, _carrier(sums), mean, var


@torch.library.custom_op("bnnhw::packed_layer_backward", mutates_args=())
def _packed_layer_backward(
    gradient: Tensor,
    words: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    mean: Tensor,
    var: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
    with_input: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sums = _sums(words, weights, levels, stride, padding)
    outputs = sums.shape[-1]
    g = gradient.permute(0, 2, 3, 1).contiguous().reshape(-1, outputs)
    inverse = (1 / (var + VARIANCE_FLOOR).sqrt()).float()
    norm = Norm(mean.float(), inverse, scale.contiguous(), shift.contiguous(), slope.reshape(1))
    backward = norm_backward_oracle if _on_oracles(sums) else norm_backward
    ga, g_scale, g_shift = backward(sums.reshape(-1, outputs), g, norm)
    g_input, g_weights = _gradients(ga.reshape(sums.shape), words, weights, levels, stride, padding, with_input)
    return g_input, g_weights, g_scale, g_shift


@_packed_layer_backward.register_fake
def _(
    gradient: Tensor,
    words: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    mean: Tensor,
    var: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
    with_input: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g_weights = torch.empty_like(weights, memory_format=torch.contiguous_format)
    return _empty_input(words, weights, with_input), g_weights, torch.empty_like(scale), torch.empty_like(shift)


def _keep_layer(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    words, _, weights, scale, shift, slope, *ctx.geometry = inputs
    made, _, mean, var = output
    ctx.mark_non_differentiable(made, mean, var)
    ctx.save_for_backward(words, weights, scale, shift, slope, mean, var)


def _layer_backward(ctx: Any, _words: Any, gradient: Tensor, _mean: Any, _var: Any) -> tuple[Tensor | None, ...]:
    words, weights, scale, shift, slope, mean, var = ctx.saved_tensors
    with_input = ctx.needs_input_grad[1]
    g_input, g_weights, g_scale, g_shift = _packed_layer_backward(
        gradient, words, weights, scale, shift, slope, mean, var, *ctx.geometry, with_input
    )
    return None, g_input if with_input else None, g_weights, g_scale, g_shift, None, None, None, None


_packed_layer.register_autograd(_layer_backward, setup_context=_keep_layer)


def filters_of(weights: Tensor, levels: int = 1) -> TernaryFilters:
    """`ternary_filters` of float weights [O, C, h, w] that are -1, 0 or +1, each channel's repeated for ``levels``, on
    the weights' device; other values are taken by their sign beyond one half."""
    outputs, channels, height, width = weights.shape
    last = weights.detach().permute(0, 2, 3, 1).repeat_interleave(levels, dim=3).reshape(-1, channels * levels)
    pack = (lambda x: pack_sign_oracle(x)[0]) if _on_oracles(weights) else pack_sign
    # With weights of -1, 0 and +1, halves are not met: +1 alone, -1 alone, all but -1.
    p, n, q = (pack(x).words.contiguous().reshape(outputs, -1) for x in (last - 0.5, -last - 0.5, last + 0.5))
    fragments = filter_fragments(torch.stack([p, q]))
    table = _taps_on(height, width, channels * levels, weights.device)
    planes = torch.stack([p, n]).transpose(1, 2).contiguous()
    return TernaryFilters(planes, fragments, table, (height, width), channels * levels, outputs)


@lru_cache(maxsize=64)
def _taps_on(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    return torch.from_numpy(window_taps(height, width, channels)).to(device)


def _on_oracles(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and not knobs.runtime.interpret


def _images(words: Tensor, weights: Tensor, levels: int) -> PackedImages:
    return PackedImages(words, weights.shape[1] * levels)


def _sums(words: Tensor, weights: Tensor, levels: int, stride: list[int], padding: list[int]) -> Tensor:
    """int32[N, H', W', O]."""
    backend = None if words.device.type == "cuda" else "oracle" if _on_oracles(words) else "popcount"
    return ternary_conv(
        _images(words, weights, levels),
        filters_of(weights, levels),
        (stride[0], stride[1]),
        Padding(padding[0], padding[1]),
        backend,
    )


def _statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance float64[O] of int32[R, O], from exact sums."""
    sums = (batch_norm_statistics_oracle if _on_oracles(rows) else batch_norm_statistics)(rows).to(rows.device)
    count = rows.shape[0]
    total, squares = sums.unbind(0)
    # R * squares - total^2 is exact in integers as long as it fits; float64 rounds relative to the result, not to
    # squares.
    spread = count * squares - total * total
    return total.double() / count, spread.double() / count**2


def _thresholds(mean: Tensor, var: Tensor, scale: Tensor, shift: Tensor) -> ColumnThresholds:
    """Integer thresholds of ``scale (a - mean) / sqrt(var + floor) + shift >= 0``, computed in float64."""
    wide = scale.detach().double()
    zero = wide == 0
    boundary = mean - shift.detach().double() * (var + VARIANCE_FLOOR).sqrt() / torch.where(zero, 1.0, wide)
    turned = wide < 0
    limit = torch.where(turned, boundary.floor() + 1, boundary.ceil())
    always = torch.where(shift.detach() >= 0, -FARTHEST_LIMIT, FARTHEST_LIMIT)
    limit = torch.where(zero, always.double(), limit.clamp(-FARTHEST_LIMIT, FARTHEST_LIMIT))
    return ColumnThresholds(limit.to(torch.int32), turned.to(torch.int32))


def _gradients(
    g: Tensor,
    words: Tensor,
    weights: Tensor,
    levels: int,
    stride: list[int],
    padding: list[int],
    with_input: bool,
) -> tuple[Tensor, Tensor]:
    """Of the values [N, C, H, W], if wanted, and of the weights, from g float32[N, H', W', O], contiguous."""
    images = _images(words, weights, levels)
    outputs, channels, height, width = weights.shape
    weight_gradient = conv_weight_gradient_oracle if _on_oracles(g) else conv_weight_gradient
    geometry = (stride[0], stride[1]), Padding(padding[0], padding[1])
    g_bits = weight_gradient(images, g, (height, width), *geometry)
    g_weights = g_bits.reshape(outputs, channels, levels, height, width).sum(2)
    if not with_input:
        return _empty_input(words, weights, False), g_weights
    side = (words.shape[0], channels, *words.shape[1:3])
    by_channel = g.permute(0, 3, 1, 2)
    walk = (stride[0], stride[1]), (padding[0], padding[1])
    g_input: Tensor = conv2d_input(side, weights, by_channel, *walk)  # type: ignore[no-untyped-call]
    return g_input.contiguous(), g_weights


def _empty_input(words: Tensor, weights: Tensor, with_input: bool) -> Tensor:
    side = (words.shape[0], weights.shape[1], *words.shape[1:3]) if with_input else (0,)
    return words.new_empty(side, dtype=torch.float32)


def _made(carrier: Tensor, weights: Tensor, stride: list[int], padding: list[int]) -> tuple[int, int]:
    window: Window = window_of(
        (carrier.shape[2], carrier.shape[3]),
        (weights.shape[2], weights.shape[3]),
        (stride[0], stride[1]),
        Padding(padding[0], padding[1]),
    )
    return window.height, window.width


def _carrier(sums: Tensor) -> Tensor:
    """[N, O, H', W'] over one float."""
    count, height, width, outputs = sums.shape
    return sums.new_zeros((), dtype=torch.float32).expand(count, outputs, height, width)
