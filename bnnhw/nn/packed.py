"""A network's training step with activations kept as bits: the same logits and gradients, a fraction of the memory.

Each hidden layer runs as `bnnhw.kernels.gpu.packed_layer`, which keeps its input packed until the backward pass and
sums up the accumulators again there. Meant for a GPU; on a CPU the kernels' oracles run, slow and equal. Needs Triton
(``pip install 'bnnhw[gpu]'``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.kernels.gpu.packed_layer import packed_layer, packed_sums
from bnnhw.kernels.gpu.quantize_pack import quantize_pack, quantize_pack_oracle
from bnnhw.nn.binarize import Binarize
from bnnhw.nn.network import HiddenLayer, Network
from bnnhw.nn.norm import MOMENTUM
from bnnhw.nn.weights import BinConv2d


def packed_logits(network: Network, pixels: Tensor) -> Tensor:
    """``network(pixels)`` in training mode, float32[N, classes], with gradients for parameters and pixels.

    Batch statistics are exact sums of integers, so logits may differ from the network's own by rounding errors of its
    float32 statistics. Running averages are kept as the network keeps them. ValueError in eval mode and for networks
    with pooling or another gradient than tanh's.
    """
    if not network.training:
        raise ValueError("packed activations are for training: call network.train() first")
    levels: Tensor = network.quantizer(pixels)
    thresholds = torch.arange(1, network.quantizer.levels + 1, dtype=torch.int32, device=pixels.device)
    integers = levels.detach().to(torch.int32).contiguous()
    quantize = quantize_pack if _has_kernels(pixels) else quantize_pack_oracle
    words, carrier, bits = quantize(integers, thresholds.reshape(-1, 1, 1, 1)).words, levels, network.quantizer.levels
    for layer in network.layers[:-1]:
        assert isinstance(layer, HiddenLayer)
        if layer.pool is not None:
            raise ValueError("packed training has no pooling: use strides, or the network's own forward pass")
        if not isinstance(layer.binarize, Binarize) or layer.binarize.hard:
            raise ValueError("packed training has tanh's gradient only: use the network's own forward pass")
        weights, stride, padding = _window(layer.weighted, carrier)
        norm = layer.norm
        words, carrier, mean, var = packed_layer(
            words, carrier, weights, norm.scale, norm.shift, layer.binarize.scale, bits, stride, padding
        )
        if norm.track:
            rows = carrier.numel() // carrier.shape[1]
            with torch.no_grad():
                norm.mean.lerp_(mean.float(), MOMENTUM)
                norm.var.lerp_((var * (rows / max(1, rows - 1))).float(), MOMENTUM)
        bits = 1
    weights, stride, padding = _window(network.output.weighted, carrier)
    return network.output.decide(packed_sums(words, carrier, weights, bits, stride, padding).flatten(1))


def _window(weighted: torch.nn.Module, carrier: Tensor) -> tuple[Tensor, list[int], list[int]]:
    """Ternary weights [O, C, h, w], stride and padding; a dense layer's kernel covers its image."""
    weights: Tensor = weighted.ternary()  # type: ignore[operator]
    if isinstance(weighted, BinConv2d):
        return weights, [weighted.stride] * 2, [weighted.padding] * 2
    return weights.reshape(-1, *carrier.shape[1:]), [1, 1], [0, 0]


def _has_kernels(pixels: Tensor) -> bool:
    from triton import knobs

    return pixels.device.type == "cuda" or bool(knobs.runtime.interpret)
