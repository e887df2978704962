"""Batch norm for thresholds: after training it is nothing but one integer threshold per channel.

In eval mode everything is computed in float64 from the float32 state, so the bit ``z >= 0`` agrees with the exact
rational threshold that lowering computes, except where the two differ by less than a float64 rounding error.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VARIANCE_FLOOR = 1e-5
MOMENTUM = 0.1


class BatchNorm(nn.Module):
    """``z = scale * (acc - mean) / sqrt(var + 1e-5) + shift``, per channel.

    In training mean and var are the batch's (biased variance); running averages with momentum 0.1 are kept for eval,
    until ``bnnhw.train.calibrate`` puts the training set's own in their place. The scale may turn negative, which
    flips the comparison after lowering. Input: float32[N, C] or [N, C, H, W]. Output: the same shape, float32 in
    training, float64 in eval. Example: ``BatchNorm(16)``. Reference: Ioffe and Szegedy, ICML 2015.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.track = True

    def forward(self, accumulators: Tensor) -> Tensor:
        if self.training:
            mean, var = (self.mean, self.var) if self.track else (None, None)
            return F.batch_norm(accumulators, mean, var, self.scale, self.shift, True, MOMENTUM, VARIANCE_FLOOR)
        side = (-1, *([1] * (accumulators.ndim - 2)))
        gain = self.scale.double() / (self.var.double() + VARIANCE_FLOOR).sqrt()
        centred = accumulators.double() - self.mean.double().view(side)
        return centred * gain.view(side) + self.shift.double().view(side)

    def boundary(self, accumulators: Tensor) -> Tensor:
        """Where z = 0, per channel, from the batch's own statistics: ``mean - shift * sqrt(var) / scale``."""
        axes = [0, *range(2, accumulators.ndim)]
        var, mean = torch.var_mean(accumulators, dim=axes, correction=0)
        return mean - self.shift * (var + VARIANCE_FLOOR).sqrt() / self.scale


class ScalarBatchNorm(nn.Module):
    """``logit[c] = scale * (acc[c] - mean[c]) / sqrt(var + 1e-5) + shift[c]``, one scale and one variance for all.

    Because all classes share the scale, comparing two logits is comparing two integers plus a constant: the output
    layer stays an integer layer. var is the mean over the classes of each class's variance. Input: float32[N, C].
    Output: [N, C], float32 in training, float64 in eval. Example: ``ScalarBatchNorm(10)``.
    Reference: Jia and Rinard, NeurIPS 2020, section 3.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(classes))
        self.register_buffer("mean", torch.zeros(classes))
        self.register_buffer("var", torch.ones(()))
        self.track = True

    def forward(self, accumulators: Tensor) -> Tensor:
        if self.training:
            variances, mean = torch.var_mean(accumulators, dim=0, correction=0)
            var = variances.mean()
            if self.track:
                with torch.no_grad():
                    self.mean.lerp_(mean, MOMENTUM)
                    self.var.lerp_(var, MOMENTUM)
            return (accumulators - mean) * (self.scale / (var + VARIANCE_FLOOR).sqrt()) + self.shift
        gain = self.scale.double() / (self.var.double() + VARIANCE_FLOOR).sqrt()
        return (accumulators.double() - self.mean.double()) * gain + self.shift.double()


class NoNorm(ScalarBatchNorm):
    """``logit[c] = acc[c]``: an output layer without a batch norm, with nothing to train. Example: ``NoNorm(10)``.

    Its state is that of the identity, so it lowers like the other. Reference: an ablation of Jia and Rinard, NeurIPS
    2020.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.scale.requires_grad_(False)
        self.shift.requires_grad_(False)
        self.var.fill_(1 - VARIANCE_FLOOR)

    def forward(self, accumulators: Tensor) -> Tensor:
        return accumulators if self.training else accumulators.double()
