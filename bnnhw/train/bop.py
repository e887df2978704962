"""Bop: optimizers for weights that are bits and nothing else, with no latent real number behind them.

A latent weight only ever acts through its sign, so it stores inertia, not a value. Bop keeps the inertia, an
exponential average of the gradient, and flips a weight when that average is strong enough and speaks against it
(Helwegen et al., "Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization", NeurIPS 2019). The
second-order variant divides the average by the gradient's own scale first, so that one threshold suits layers whose
gradients differ in size (Suarez-Ramirez et al., "A Bop and Beyond", CVPR workshops 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"Bop: {name} {value} must be positive")


class Bop(Optimizer):
    """``m <- (1 - gamma) m + gamma g``; then ``w <- -w`` where ``|m| > threshold`` and ``sign(m) = sign(w)``.

    parameters: float tensors whose entries are -1 or +1; they stay so. gamma: adaptivity, the share of the newest
    gradient. threshold: how strong the evidence for a flip must be. Both are entries of the parameter groups
    (``gamma``, ``threshold``), for schedules to set. Example: ``Bop(weights, gamma=1e-3, threshold=1e-6)``.
    Reference: Helwegen et al., NeurIPS 2019, algorithm 1.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], gamma: float = 1e-4, threshold: float = 1e-8) -> None:
        _positive(gamma=gamma)
        if threshold < 0:
            raise ValueError(f"Bop: threshold {threshold} must not be negative")
        super().__init__(parameters, {"gamma": gamma, "threshold": threshold})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take the gradients in and flip what they speak against; the closure is not called."""
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is None:
                    continue
                evidence = self._evidence(group, weights.grad, self.state[weights])
                weights.mul_(torch.where((evidence * weights) > group["threshold"], -1.0, 1.0))

    def _evidence(self, group: dict[str, Any], gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """What is held against the threshold: the average gradient m."""
        return _average(state, "gradient", gradient, group["gamma"])


class SecondOrderBop(Bop):
    """As Bop, with ``m / (sqrt(v) + 1e-10)`` in place of m, where ``v <- (1 - sigma) v + sigma g^2``.

    unbiased: divide m and v by ``1 - (1 - rate)^steps`` first, as Adam does, so that the first steps count fully.
    Reference: Suarez-Ramirez et al., CVPR workshops 2021 (the biased and the unbiased variant).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        gamma: float = 1e-7,
        threshold: float = 1e-6,
        sigma: float = 1e-3,
        unbiased: bool = False,
    ) -> None:
        _positive(sigma=sigma)
        super().__init__(parameters, gamma, threshold)
        for group in self.param_groups:
            group["sigma"], group["unbiased"] = sigma, unbiased

    def _evidence(self, group: dict[str, Any], gradient: Tensor, state: dict[str, Any]) -> Tensor:
        first = _average(state, "gradient", gradient, group["gamma"])
        second = _average(state, "square", gradient.square(), group["sigma"])
        if group["unbiased"]:
            # Schedules may change the rates, so what is left of the initial zeros is kept as a product.
            first = first / (1 - _remainder(state, "gradient_start", group["gamma"]))
            second = second / (1 - _remainder(state, "square_start", group["sigma"]))
        return first / (second.sqrt() + 1e-10)


def _average(state: dict[str, Any], name: str, value: Tensor, rate: float) -> Tensor:
    average: Tensor = state.setdefault(name, torch.zeros_like(value))
    return average.mul_(1 - rate).add_(value, alpha=rate)


def _remainder(state: dict[str, Any], name: str, rate: float) -> float:
    left: float = state.get(name, 1.0) * (1 - rate)
    state[name] = left
    return left
