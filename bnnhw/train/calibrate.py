"""Exact batch-norm statistics over a whole data set, layer by layer, in place of running averages.

Accumulators are integers, so their sums and sums of squares are exact in float64 and the mean and the variance are
rounded once, to float32. A layer's statistics depend on the bits before it, so the layers are done in order.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bnnhw.nn.network import Network
from bnnhw.nn.norm import NoNorm, ScalarBatchNorm


def _moments(sums: Tensor, squares: Tensor, count: int) -> tuple[list[float], list[Fraction]]:
    """Means, and biased variances as exact fractions, per channel."""
    means, variances = [], []
    for total, square in zip(sums.tolist(), squares.tolist(), strict=True):
        mean = Fraction(int(total), count)
        means.append(float(mean))
        variances.append(Fraction(int(square), count) - mean * mean)
    return means, variances


@torch.no_grad()
def calibrate(network: Network, images: npt.NDArray[np.uint8], batch: int = 200) -> None:
    """Set every batch norm's mean and variance to those over ``images`` (uint8[N, C, H, W]), in eval mode, in order.

    Raises ValueError when there are no images.
    """
    if len(images) == 0:
        raise ValueError("calibration needs at least one image")
    was_training = network.training
    network.eval()
    device = network.quantizer.thresholds.device
    try:
        for depth, target in enumerate(network.layers):
            if isinstance(target.norm, NoNorm):
                continue
            channels = target.norm.mean.shape[0]
            sums = torch.zeros(channels, dtype=torch.float64, device=device)
            squares = torch.zeros_like(sums)
            count = 0
            for start in range(0, len(images), batch):
                pixels = torch.from_numpy(images[start : start + batch].astype(np.float32)).to(device)
                values = network.quantizer(pixels)
                for layer in network.layers[:depth]:
                    values = layer(values)
                accumulators = target.accumulate(values)
                accumulators = accumulators.transpose(0, 1).reshape(channels, -1).double()
                sums += accumulators.sum(dim=1)
                squares += accumulators.square().sum(dim=1)
                count += accumulators.shape[1]
            means, variances = _moments(sums, squares, count)
            norm = target.norm
            norm.mean.copy_(torch.tensor(means, dtype=torch.float64))
            if isinstance(norm, ScalarBatchNorm):
                norm.var.fill_(float(sum(variances, Fraction(0)) / channels))
            else:
                norm.var.copy_(torch.tensor([float(v) for v in variances], dtype=torch.float64))
    finally:
        network.train(was_training)
