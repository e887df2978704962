"""Cardinality bounds: how many true literals a hidden neuron asks for, and the loss that keeps that number small.

A neuron's weight +1 reads a bit and -1 reads its negation; it fires when at least ``boundary + (number of -1)`` of
these literals are true. The verifier's work grows with that bound (Jia and Rinard, NeurIPS 2020, section 4).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.nn.network import HiddenLayer, Network, OutputLayer
from bnnhw.nn.norm import VARIANCE_FLOOR


def literal_bounds(layer: HiddenLayer, boundary: Tensor) -> Tensor:
    """The bound on true literals, per channel, from where the batch norm changes sign."""
    negative = layer.weighted.ternary().neg().clamp(min=0)
    return boundary + negative.flatten(1).sum(dim=1)


class BoundDecay:
    """Collects ``sum(relu(bound - slack))`` over the hidden layers but the first while a batch passes.

    smaller: take ``min(bound, n - bound)`` for the bound, n being the channel's literals. A neuron that asks for nearly
    all its literals is decided by a few false ones, so its constraint is as short as one that asks for few.
    Use one per batch: ``network(pixels, decay.observe)`` then ``decay.loss``.
    """

    def __init__(self, slack: float, smaller: bool = False) -> None:
        self.slack, self.smaller = slack, smaller
        self.loss: Tensor | float = 0.0

    def observe(self, index: int, layer: HiddenLayer | OutputLayer, accumulators: Tensor) -> None:
        if index == 0 or isinstance(layer, OutputLayer):
            return
        bounds = literal_bounds(layer, layer.norm.boundary(accumulators))
        if self.smaller:
            literals = layer.weighted.ternary().abs().flatten(1).sum(dim=1)
            bounds = torch.minimum(bounds, literals - bounds)
        self.loss = self.loss + (bounds - self.slack).clamp(min=0).sum()


@torch.no_grad()
def stored_bounds(network: Network) -> list[Tensor]:
    """Each hidden layer's bounds on true literals but the first's, from the batch norms' stored statistics."""
    bounds = []
    for layer in network.layers[1:-1]:
        assert isinstance(layer, HiddenLayer)
        norm = layer.norm
        boundary = norm.mean - norm.shift * (norm.var + VARIANCE_FLOOR).sqrt() / norm.scale
        bounds.append(literal_bounds(layer, boundary))
    return bounds
