"""What a network does on a whole box of images at once: exact integer intervals, differentiable.

Over the box of an image, every accumulator lies in ``centre -+ reach``, with ``reach = |w| @ (the inputs' reach)``. In
the first layer that interval is attained; after it bits are taken to vary independently, as the verifier's own bounds
take them. Between layers the ends become bits, through the usual straight-through gradient. The last layer's
differences of scores are bounded jointly, not as two separate intervals.

Training on the worst differences over the full ball is interval bound propagation (Gowal et al., ICCV 2019), which
stalls for binary networks; over small boxes around an adversarial corner it does not (after Müller et al., "Certified
Training: Small Boxes are All You Need", ICLR 2023): each pixel keeps its ball only with some probability. A slack loss
keeps accumulators away from their thresholds over the whole box, so that fewer bits are left to the solver (in the
spirit of Xiao et al., ICLR 2019, but in whole steps).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bnnhw.nn.binarize import Binarize, Rectify
from bnnhw.nn.fused import fused
from bnnhw.nn.network import HiddenLayer, MaxPool, Network, OutputLayer
from bnnhw.nn.norm import VARIANCE_FLOOR, BatchNorm, NoNorm, ScalarBatchNorm

SMALLEST_GAIN = 1e-6
"""Distances in steps divide by a norm's gain; a smaller one counts as this."""


@dataclass(frozen=True)
class Affine:
    """A norm as it stands: ``z = gain * acc + offset``. gain: float[C] or one for all; offset: float[C]."""

    gain: Tensor
    offset: Tensor


def batch_affine(norm: BatchNorm | ScalarBatchNorm, accumulators: Tensor) -> Affine:
    """The norm with the batch's own statistics, as in training mode; gradients reach all parameters."""
    if isinstance(norm, NoNorm):
        return stored_affine(norm)
    axes = [0, *range(2, accumulators.ndim)]
    var, mean = torch.var_mean(accumulators, dim=axes, correction=0)
    return _affine(norm, mean, var.mean() if isinstance(norm, ScalarBatchNorm) else var)


def stored_affine(norm: BatchNorm | ScalarBatchNorm) -> Affine:
    """The norm with its stored statistics, as in eval mode."""
    return _affine(norm, norm.mean, norm.var)


def _affine(norm: BatchNorm | ScalarBatchNorm, mean: Tensor, var: Tensor) -> Affine:
    gain = norm.scale / (var + VARIANCE_FLOOR).sqrt()
    return Affine(gain, norm.shift - mean * gain)


class Affines:
    """Collects each layer's ``batch_affine`` while a batch passes: ``network(pixels, affines.observe)``."""

    def __init__(self) -> None:
        self.found: list[Affine] = []

    def observe(self, index: int, layer: HiddenLayer | OutputLayer, accumulators: Tensor) -> None:
        affine = fused(batch_affine) if isinstance(layer, HiddenLayer) and layer.fused else batch_affine
        self.found.append(affine(layer.norm, accumulators))


class Range(NamedTuple):
    """Accumulators ``centre -+ reach`` before a norm ``gain * acc + offset``: float, shapes that broadcast."""

    centre: Tensor
    reach: Tensor
    gain: Tensor
    offset: Tensor

    @property
    def slack(self) -> Tensor:
        """How many steps the interval stays away from the threshold, negative where it straddles it."""
        size = self.gain.abs()
        return ((self.gain * self.centre + self.offset).abs() - size * self.reach) / size.clamp(min=SMALLEST_GAIN)


@dataclass(frozen=True)
class Reached:
    """What the images of a box can reach.

    undecided: per hidden layer, bool of its bits, those that differ within the box as far as intervals tell. ranges:
    per hidden layer, its accumulators. leads: float[N, classes], the least that the label's score exceeds each class's
    by, in steps of the accumulator; 0 for the label itself. logits: the same in logits, negated: the worst case.
    """

    undecided: list[Tensor]
    ranges: list[Range]
    leads: Tensor
    logits: Tensor


def propagate(network: Network, low: Tensor, high: Tensor, labels: Tensor, affines: Sequence[Affine]) -> Reached:
    """Exact intervals through ``network`` over the boxes ``low..high`` of integer pixels, float32[N, C, H, W].

    labels: int64[N]. affines: one a weighted layer. Gradients reach weights, norms and affines.
    """
    below, above = network.quantizer(low), network.quantizer(high)
    centre, reach = (above + below) / 2, (above - below) / 2
    undecided, ranges = [], []
    for layer, affine in zip(network.layers[:-1], affines[:-1], strict=True):
        assert isinstance(layer, HiddenLayer)
        centre, reach = _sums(layer, centre, reach)
        side = (-1, *([1] * (centre.ndim - 2)))
        ranges.append(Range(centre, reach, affine.gain.view(side), affine.offset.view(side)))
        step = fused(_bits) if layer.fused else _bits
        centre, reach = step(layer.binarize, *ranges[-1])
        if layer.pool is not None and not layer.pool_first:
            centre, reach = _pooled(layer.pool, centre, reach)
        undecided.append(reach.detach() != 0)
    centre, reach = centre.flatten(1), reach.flatten(1)
    weights, affine = network.output.weighted.ternary(), affines[-1]
    difference = weights[labels][:, None] - weights[None]
    middle = (difference * centre[:, None]).sum(dim=2)
    width = (difference.abs() * reach[:, None]).sum(dim=2)
    offsets = affine.offset[labels][:, None] - affine.offset[None]
    worst = affine.gain * middle - affine.gain.abs() * width + offsets
    return Reached(undecided, ranges, worst / affine.gain.abs().clamp(min=SMALLEST_GAIN), -worst)


def _sums(layer: HiddenLayer, centre: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """The accumulators' intervals, of inputs ``centre -+ reach``; pooled if ``pool_first``."""
    weights = layer.weighted.ternary()
    centre, reach = layer.weighted.sums(centre, weights), layer.weighted.sums(reach, weights.abs())
    return _pooled(layer.pool, centre, reach) if layer.pool is not None and layer.pool_first else (centre, reach)


def _bits(
    binarize: Binarize | Rectify, centre: Tensor, reach: Tensor, gain: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    middle, width = gain * centre + offset, gain.abs() * reach
    below, above = binarize(middle - width), binarize(middle + width)
    return (above + below) / 2, (above - below) / 2


def _pooled(pool: MaxPool, centre: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    least, most = pool(centre - reach), pool(centre + reach)
    return (least + most) / 2, (most - least) / 2


def small_box(
    clean: Tensor,
    corner: Tensor,
    radius: int,
    free: float,
    pixel_range: tuple[int, int],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The box ``low, high`` around ``corner`` in which each pixel keeps its whole ball with probability ``free``.

    clean, corner: float32[N, C, H, W], the corner within ``radius`` of the clean pixels. Pixels that are not free stay
    at the corner's value. Both ends lie in the ball around ``clean``.
    """
    mask = (torch.rand(clean.shape, generator=generator) < free).to(clean.device)
    low = torch.where(mask, (clean - radius).clamp(min=pixel_range[0]), corner)
    high = torch.where(mask, (clean + radius).clamp(max=pixel_range[1]), corner)
    return low, high


def slack_loss(reached: Reached, slack: float) -> Tensor:
    """``mean relu(slack - s)`` of each hidden layer's slacks s, summed over the layers: steps that are missing."""
    return torch.stack([(slack - found.slack).clamp(min=0).mean() for found in reached.ranges]).sum()


def margin_loss(reached: Reached, labels: Tensor, margin: float) -> Tensor:
    """``mean relu(margin - lead)`` over the images and the classes other than the label."""
    missing = (margin - reached.leads).clamp(min=0)
    return missing.scatter(1, labels[:, None], 0.0).sum() / (len(labels) * (missing.shape[1] - 1))
