"""An IntegerModel as a torch network again, so that an adversary can follow gradients through any `*.bnn` file.

Bits and scores are those of the model. The gradient of a bit is that of tanh (`Binarize`), of its accumulator's
distance to the threshold in units of its standard deviation over given images: what a batch norm with scale 1 would
have had. The scores are scaled likewise, so that the cross entropy of typical logits does not saturate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output
from bnnhw.model.layers import layer_name
from bnnhw.model.reference import trace
from bnnhw.nn.binarize import Binarize
from bnnhw.nn.module_network import ModuleNetwork
from bnnhw.nn.network import EXACT
from bnnhw.nn.quantizer import InputQuantizer


class _Quantizer(InputQuantizer):
    """The same for thresholds that coincide or that no pixel straddles, which an IntegerModel may have."""

    def __init__(self, model: IntegerModel) -> None:
        nn.Module.__init__(self)
        quantizer = model.quantizer
        self.pixel_min, self.pixel_max = quantizer.pixel_min, quantizer.pixel_max
        self.register_buffer("thresholds", torch.tensor(quantizer.thresholds))


class _Bits(nn.Module):
    """A Dense or Conv layer. spread: float[out], the unit of its gradient. Output: float32[N, out, H, W], 0 or 1."""

    weights: Tensor
    threshold: Tensor
    unit: Tensor

    def __init__(self, layer: Dense | Conv, spread: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.window = (layer.stride, layer.padding) if isinstance(layer, Conv) else None
        threshold = layer.threshold[:, None, None] if layer.threshold.ndim == 1 else layer.threshold
        self.register_buffer("weights", torch.tensor(layer.weights, dtype=torch.float32))
        self.register_buffer("threshold", torch.tensor(threshold, dtype=torch.float32))
        unit = np.where(layer.less_equal, -1.0, 1.0) / spread
        self.register_buffer("unit", torch.tensor(unit, dtype=torch.float32)[:, None, None])
        self.binarize = Binarize()

    def forward(self, values: Tensor) -> Tensor:
        if self.window is None:
            sums = F.linear(values.flatten(1), self.weights)[:, :, None, None]
        else:
            sums = F.conv2d(values, self.weights, None, *self.window)
        # Whole numbers below 2^24, whatever algorithm summed them up: rounding removes what it may have left.
        sums = sums + (sums.round() - sums).detach()
        bits: Tensor = self.binarize((sums - self.threshold) * self.unit)
        return bits


class _Pool(nn.Module):
    """OR of bits, AND in the conjunctive channels."""

    flip: Tensor

    def __init__(self, layer: MaxPool) -> None:
        super().__init__()
        self.kernel, self.stride = layer.kernel, layer.stride
        flip = np.where(layer.conjunctive, -1.0, 1.0)
        self.register_buffer("flip", torch.tensor(flip, dtype=torch.float32)[:, None, None])

    def forward(self, bits: Tensor) -> Tensor:
        return F.max_pool2d(bits * self.flip, self.kernel, self.stride) * self.flip


class _Scores(nn.Module):
    """The output layer's scores, exact in float64, divided by ``spread``."""

    weights: Tensor
    bias: Tensor

    def __init__(self, layer: Output, spread: float) -> None:
        super().__init__()
        self.factor, self.spread = float(1 << layer.shift), spread
        self.register_buffer("weights", torch.tensor(layer.weights, dtype=torch.float64))
        self.register_buffer("bias", torch.tensor(layer.bias, dtype=torch.float64))

    def forward(self, bits: Tensor) -> Tensor:
        sums = F.linear(bits.double().flatten(1), self.weights)
        return (sums * self.factor + self.bias) / self.spread


def rebuild(model: IntegerModel, images: npt.NDArray[np.integer]) -> ModuleNetwork:
    """A network in eval mode with the bits and the class of ``model``, and gradients.

    images: integer pixels [N, C, H, W] over which accumulators and scores are measured. Its logits are float64, the
    scores divided by one number. Raises ValueError where a sum leaves the whole numbers that float32 holds.
    """
    found = trace(model, images)
    pieces: list[nn.Module] = []
    highest = model.quantizer.levels
    for index, (layer, sums) in enumerate(zip(model.hidden, found.accumulators[:-1], strict=True)):
        if isinstance(layer, MaxPool):
            pieces.append(_Pool(layer))
            continue
        assert sums is not None
        fan_in = int(np.abs(layer.weights.reshape(len(layer.weights), -1)).sum(axis=1, dtype=np.int64).max())
        if max(fan_in * highest, int(np.abs(layer.threshold.astype(np.int64)).max())) >= EXACT:
            raise ValueError(f"{layer_name(index, layer)} leaves the whole numbers below {EXACT} that float32 holds")
        highest = 1
        spread = sums.std(axis=(0, 2, 3))
        pieces.append(_Bits(layer, np.where(spread > 0, spread, 1.0)))
    spread = float(np.sqrt(found.scores.var(axis=0).mean()))
    pieces.append(_Scores(model.output, spread or 1.0))
    return ModuleNetwork(nn.Sequential(*pieces), _Quantizer(model), model.quantizer.shape).eval()
