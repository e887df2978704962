"""Random torch Networks with awkward batch norms, and their meaning in 150-digit decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import torch

from bnnhw.nn import (
    BatchNorm,
    Binarize,
    BinConv2d,
    BinLinear,
    HiddenLayer,
    InputQuantizer,
    MaxPool,
    Network,
    OutputLayer,
    ScalarBatchNorm,
)

DIGITS = 150
TIE = Decimal(10) ** -100
"""Two values closer than this are equal: parameters are float32, so distinct ones lie far further apart."""


def random_network(rng: np.random.Generator, classes: int = 4, pool: bool = True) -> Network:
    """Two hidden layers and more, small enough to enumerate; scales of every sign and size, dead and empty channels."""
    torch.manual_seed(int(rng.integers(2**31)))
    side, channels = int(rng.integers(4, 7)), int(rng.integers(1, 3))
    thresholds = sorted(rng.choice(np.arange(1, 13), int(rng.integers(1, 4)), replace=False).tolist())
    convolution = BinConv2d(channels, 3, 3, int(rng.integers(1, 3)), 1)
    pooled = MaxPool(2, 1) if pool and rng.random() < 0.6 else None
    rows = (side + 2 - 3) // convolution.stride + 1 - (pooled is not None)
    hidden = [
        HiddenLayer(convolution, BatchNorm(3), Binarize(), pooled, pool_first=bool(rng.random() < 0.5)),
        HiddenLayer(BinLinear(3 * rows * rows, 6), BatchNorm(6)),
    ]
    output = OutputLayer(BinLinear(6, classes), ScalarBatchNorm(classes))
    network = Network(InputQuantizer(thresholds, (0, 12)), hidden, output, (channels, side, side))
    for layer in network.layers:
        scramble(layer, rng)
    return network.eval()


@torch.no_grad()
def scramble(layer: HiddenLayer | OutputLayer, rng: np.random.Generator) -> None:
    weights, norm = layer.weighted.weights, layer.norm
    weights.mask.copy_(torch.from_numpy(rng.normal(0.2, 1, weights.mask.shape)))
    if rng.random() < 0.3:
        weights.mask[0] = -1
    size = norm.scale.shape
    scale = rng.normal(0, 1, size) * rng.choice([1, 1, 1e-6, 1e-30, 0], size)
    whole = rng.random(norm.mean.shape) < 0.4
    mean = np.where(whole, rng.integers(-3, 4, norm.mean.shape), rng.normal(0, 3, norm.mean.shape))
    shift = rng.normal(0, 1, norm.shift.shape) * rng.choice([0, 1, 1, 1e-6, 1e4], norm.shift.shape)
    norm.scale.copy_(torch.tensor(scale))
    norm.mean.copy_(torch.tensor(mean))
    norm.shift.copy_(torch.tensor(shift))
    norm.var.copy_(torch.tensor(np.abs(rng.normal(0, 4, norm.var.shape)) * rng.choice([0, 1], norm.var.shape)))


def decide(layer: HiddenLayer | OutputLayer, accumulators: np.ndarray) -> np.ndarray:
    """Batch norm of integer accumulators [N, C, ...] in 150 digits: an object array of Decimal."""
    norm = layer.norm

    def decimals(values: torch.Tensor, count: int) -> list[Decimal]:
        return [Decimal(v) for v in values.detach().double().reshape(-1).expand(count).tolist()]

    count = accumulators.shape[1]
    result = np.empty(accumulators.shape, object)
    with localcontext() as context:
        context.prec = DIGITS
        columns = [decimals(v, count) for v in (norm.scale, norm.mean, norm.var, norm.shift)]
        for channel, (scale, mean, var, shift) in enumerate(zip(*columns, strict=True)):
            root = (var + Decimal.from_float(1e-5)).sqrt()
            table = {int(a): scale * (int(a) - mean) / root + shift for a in np.unique(accumulators[:, channel])}
            for position, value in np.ndenumerate(accumulators[:, channel]):
                result[(position[0], channel, *position[1:])] = table[int(value)]
    return result
