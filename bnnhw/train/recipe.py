"""A recipe: everything besides the data that decides what a training run makes, as one JSON-serialisable value."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from bnnhw.nn.architectures import ARCHITECTURES

OWN = "own"
"""The ``arch`` of a network that the caller of ``train`` makes."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    arch, width, density, gradient_scale, quantizer: as ``bnnhw.nn.build`` (quantizer: a step of [0, 1] pixels, or a
    tuple of integer thresholds); an ``arch`` of "own" is a network that the caller makes, and these say nothing.
    epochs, batch, seed. lr: Adam's, after a cosine from ``lr`` down to ``lr * lr_floor``. epsilon: the adversary's
    radius as a fraction of the pixel range, reached linearly over the first ``epsilon_ramp`` epochs; 0 trains without
    an adversary. steps: its PGD steps, reached over ``steps_ramp`` epochs from 1. mask_decay: the constant push that
    removes weights (BinMask), reached over ``epsilon_ramp`` epochs too.
    bound_decay, bound_slack: eta and tau of cardinality bound decay, ``eta * sum(relu(bound - tau))`` over the channels
    of every hidden layer but the first, where bound counts true literals (Jia and Rinard, NeurIPS 2020): small bounds
    are easy to verify. choose_epochs: the last so many epochs are calibrated and the best one under attack on training
    images is kept. threads: torch's threads while training; sums round differently with another number of them, so it
    is part of what decides the result, and one thread loses least on a busy machine.
    """

    arch: str = "conv-small"
    quantizer: float | tuple[int, ...] = 0.61
    epochs: int = 20
    batch: int = 128
    lr: float = 1e-3
    lr_floor: float = 0.01
    epsilon: float = 0.1
    epsilon_ramp: float = 5.0
    steps: int = 4
    steps_ramp: float = 5.0
    mask_decay: float = 1e-6
    bound_decay: float = 0.0
    bound_slack: float = 5.0
    width: float = 1.0
    density: float = 1.0
    gradient_scale: float = 1.0
    choose_epochs: int = 3
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.arch not in (*ARCHITECTURES, OWN):
            raise ValueError(f"recipe: unknown architecture {self.arch!r}: choose one of {', '.join(ARCHITECTURES)}")
        if isinstance(self.quantizer, tuple):
            if not self.quantizer or not all(type(t) is int for t in self.quantizer):
                raise ValueError(f"recipe: quantizer {self.quantizer} must be a step or a list of whole thresholds")
        else:
            self._number("quantizer", above=True)
        for name, low in (("epochs", 1), ("batch", 2), ("steps", 0), ("choose_epochs", 1), ("seed", 0), ("threads", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ValueError(f"recipe: {name} must be a whole number from {low} on, not {value!r}")
        for name in ("lr", "width", "density", "gradient_scale"):
            self._number(name, above=True)
        for name in ("lr_floor", "epsilon", "epsilon_ramp", "steps_ramp", "mask_decay", "bound_decay", "bound_slack"):
            self._number(name, above=False)
        if self.epsilon > 1:
            raise ValueError(f"recipe: epsilon {self.epsilon} must lie in 0..1: it is a fraction of the pixel range")

    def _number(self, name: str, above: bool) -> None:
        value = getattr(self, name)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or value < 0 or (above and value == 0):
            raise ValueError(f"recipe: {name} must be a number {'above' if above else 'from'} 0, not {value!r}")

    def to_json(self) -> str:
        """The recipe as JSON text; ``from_json`` gives an equal recipe."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that ``text`` describes; what it leaves out is as in ``Recipe()``. Raises ValueError."""
        try:
            values: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'recipe: not JSON ({error}): write an object such as {{"epochs": 20}}') from None
        if not isinstance(values, dict):
            raise ValueError(f"recipe: must be a JSON object, not {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"recipe: unknown entries {', '.join(unknown)}: known are {', '.join(sorted(known))}")
        if isinstance(values.get("quantizer"), list):
            values["quantizer"] = tuple(values["quantizer"])
        return cls(**values)

    def learning_rate(self, progress: float) -> float:
        """The learning rate when ``progress`` (0..1) of all steps are done."""
        floor = self.lr * self.lr_floor
        return floor + (self.lr - floor) * (1 + math.cos(math.pi * progress)) / 2

    def ramp(self, epoch: float) -> float:
        """The share (0..1) of epsilon and of mask decay in force when ``epoch`` epochs are done."""
        return min(1.0, epoch / self.epsilon_ramp) if self.epsilon_ramp else 1.0

    def steps_at(self, epoch: int) -> int:
        """The adversary's steps in epoch ``epoch``, counted from 0."""
        if not self.steps or not self.steps_ramp:
            return self.steps
        return min(self.steps, 1 + int((self.steps - 1) * epoch / self.steps_ramp))
