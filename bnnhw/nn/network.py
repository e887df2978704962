"""A network as the IntegerModel sees it: quantizer, hidden layers that end in bits, one output layer.

``Network`` is any such chain of pieces; ``bnnhw.train.lower`` turns each into the exact integer layer. Accumulators are
whole numbers that float32 holds exactly, which construction checks from the fan-in and the number of levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.nn.binarize import Binarize, Rectify
from bnnhw.nn.fused import fused
from bnnhw.nn.norm import BatchNorm, ScalarBatchNorm
from bnnhw.nn.quantizer import InputQuantizer
from bnnhw.nn.weights import BinConv2d, BinLinear

EXACT = 1 << 24
"""float32 holds every whole number below this."""

Observer = Callable[[int, "HiddenLayer | OutputLayer", Tensor], None]
"""Is told (layer number, layer, accumulators) of each weighted layer while a batch passes."""


class MaxPool(nn.Module):
    """The largest value of each window; of bits that is OR. Windows that would cross the border are dropped.

    Input: [N, C, H, W]. Output: [N, C, H', W']. Example: ``MaxPool(2)`` (stride defaults to the kernel).
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride or kernel

    def forward(self, values: Tensor) -> Tensor:
        return F.max_pool2d(values, self.kernel, self.stride)


class HiddenLayer(nn.Module):
    """Weighted sum, batch norm, one bit: ``bit = [norm(acc) >= 0]``; with ``pool``, pooled.

    pool: applied to the bits, or with ``pool_first`` to the accumulators before the norm (which is the AND of bits
    where the norm's scale is negative). fused: in training, compile what follows the sum (``bnnhw.nn.fused``). Input
    and output: float32[N, C, H, W] or, dense, [N, C].
    """

    def __init__(
        self,
        weighted: BinConv2d | BinLinear,
        norm: BatchNorm,
        binarize: Binarize | Rectify | None = None,
        pool: MaxPool | None = None,
        pool_first: bool = False,
    ) -> None:
        super().__init__()
        if pool is not None and not isinstance(weighted, BinConv2d):
            raise ValueError("max pooling needs a convolution before it: a dense layer's output has no windows")
        self.weighted, self.norm, self.pool, self.pool_first = weighted, norm, pool, pool_first
        self.binarize: Binarize | Rectify = binarize or Binarize()
        self.fused = False

    def accumulate(self, activations: Tensor) -> Tensor:
        """What enters the norm: accumulators, pooled if ``pool_first``."""
        accumulators: Tensor = self.weighted(activations)
        return self.pool(accumulators) if self.pool is not None and self.pool_first else accumulators

    def decide(self, accumulators: Tensor) -> Tensor:
        """The layer's output from what ``accumulate`` returned."""
        step = fused(_bits) if self.fused and self.training else _bits
        bits = step(self.binarize, self.norm, accumulators)
        return self.pool(bits) if self.pool is not None and not self.pool_first else bits

    def forward(self, activations: Tensor) -> Tensor:
        return self.decide(self.accumulate(activations))


def _bits(binarize: Binarize | Rectify, norm: BatchNorm, accumulators: Tensor) -> Tensor:
    bits: Tensor = binarize(norm(accumulators))
    return bits


class OutputLayer(nn.Module):
    """Logits, one per class: ``norm(acc)``. Input: float32[N, ...]. Output: [N, classes]."""

    def __init__(self, weighted: BinLinear, norm: ScalarBatchNorm) -> None:
        super().__init__()
        self.weighted, self.norm = weighted, norm

    def accumulate(self, activations: Tensor) -> Tensor:
        accumulators: Tensor = self.weighted(activations)
        return accumulators

    def decide(self, accumulators: Tensor) -> Tensor:
        logits: Tensor = self.norm(accumulators)
        return logits


class Network(nn.Module):
    """``logits = output(hidden[-1](... hidden[0](quantizer(pixels))))``.

    shape: (C, H, W) of the pixels. Input of ``forward``: float[N, C, H, W] of integer pixels. Output: [N, classes],
    float32 in training mode, float64 in eval mode. Raises ValueError when the pieces do not fit each other or an
    accumulator could leave the whole numbers that float32 holds.
    """

    def __init__(
        self,
        quantizer: InputQuantizer,
        hidden: Sequence[HiddenLayer],
        output: OutputLayer,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("a network needs at least one hidden layer between its quantizer and its output layer")
        self.quantizer, self.output, self.shape = quantizer, output, shape
        self.hidden = nn.ModuleList(hidden)
        highest = quantizer.levels
        for index, layer in enumerate(self.layers):
            if layer.weighted.fan_in * highest >= EXACT:
                raise ValueError(
                    f"layer {index + 1} can accumulate {layer.weighted.fan_in * highest}, beyond the {EXACT} that "
                    f"float32 holds exactly: use fewer inputs or levels"
                )
            highest = 1
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                self.forward(torch.zeros(1, *shape))
        except RuntimeError as error:
            raise ValueError(f"the layers do not fit an input of shape {shape}: {error}") from None
        self.train(was_training)

    @property
    def layers(self) -> tuple[HiddenLayer | OutputLayer, ...]:
        """The weighted layers in order, the output layer last."""
        return (*self._hidden(), self.output)

    def _hidden(self) -> Iterator[HiddenLayer]:
        for layer in self.hidden:
            assert isinstance(layer, HiddenLayer)
            yield layer

    @property
    def classes(self) -> int:
        return int(self.output.norm.shift.shape[0])

    def forward(self, pixels: Tensor, observe: Observer | None = None) -> Tensor:
        values: Tensor = self.quantizer(pixels)
        for index, layer in enumerate(self.layers):
            accumulators = layer.accumulate(values)
            if observe is not None:
                observe(index, layer, accumulators)
            values = layer.decide(accumulators)
        return values

    @torch.no_grad()
    def trace(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Each hidden layer's output bits (after pooling), and the logits [N, classes]."""
        values: Tensor = self.quantizer(pixels)
        bits = []
        for layer in self._hidden():
            values = layer(values)
            bits.append(values.bool())
        return bits, self.output.decide(self.output.accumulate(values))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, weights are constants (computed once) and batch norm keeps no running averages: for the adversary."""
        norms = [layer.norm for layer in self.layers]
        tracked = [norm.track for norm in norms]
        required = [parameter.requires_grad for parameter in self.parameters()]
        try:
            for parameter in self.parameters():
                parameter.requires_grad_(False)
            for layer in self.layers:
                layer.weighted.held = layer.weighted.weights().detach()
                layer.norm.track = False
            yield
        finally:
            for layer, track in zip(self.layers, tracked, strict=True):
                layer.weighted.held = None
                layer.norm.track = track
            for parameter, flag in zip(self.parameters(), required, strict=True):
                parameter.requires_grad_(flag)

    @torch.no_grad()
    def density(self) -> list[float]:
        """Per weighted layer, the share of weights that are not zero."""
        return [float((layer.weighted.weights() != 0).float().mean()) for layer in self.layers]
