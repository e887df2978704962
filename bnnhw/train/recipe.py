"""A recipe: everything besides the data that decides what a training run makes, as one value and one TOML file.

Each table of the file is a method, with its formula in the module that does it; a table that is left out is switched
off or keeps its defaults. Epochs are counted from 0 in schedules: a ramp over n epochs is complete when n are done.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from typing import cast

import tomli_w

from bnnhw.nn.architectures import ARCHITECTURES
from bnnhw.train.section import Section, choice, flag, number, whole

HISTOGRAM = "histogram"
OWN = "own"
"""The ``arch`` of a network that the caller of ``train`` makes."""


@dataclass(frozen=True)
class Weights(Section):
    """kind, density, decay: see ``bnnhw.nn.weights``; "binary" goes with the optimizer Bop, "real" makes a teacher.

    decay is reached linearly over ``decay_ramp`` epochs.
    """

    kind: str = choice("binmask", "ternary", "binary", "real")
    density: float = number(1.0, above=0, most=1)
    decay: float = number(1e-6)
    decay_ramp: float = number(5.0)

    def decay_at(self, epoch: float) -> float:
        """The decay when ``epoch`` epochs are done."""
        return self.decay * ramp(epoch, self.decay_ramp)


@dataclass(frozen=True)
class Optimizer(Section):
    """kind: what moves the weights; Adam moves everything else, and with "adam" the weights too.

    Learning rate of Adam: "cosine" falls from ``lr`` to ``lr * lr_floor``, "halving" halves every ``halve_every``
    epochs. Bop (``bnnhw.train.bop``): gamma and threshold change geometrically from the first value to the ``_end``
    one over the run; sigma and unbiased are those of "second-order-bop".
    """

    kind: str = choice("adam", "bop", "second-order-bop")
    lr: float = number(1e-3, above=0)
    schedule: str = choice("cosine", "halving")
    lr_floor: float = number(0.01)
    halve_every: int = whole(150, least=1)
    gamma: float = number(1e-3, above=0, most=1)
    gamma_end: float = number(1e-4, above=0, most=1)
    threshold: float = number(1e-7, above=0)
    threshold_end: float = number(1e-7, above=0)
    sigma: float = number(1e-3, above=0, most=1)
    unbiased: bool = flag(True)

    def lr_at(self, epoch: int, progress: float) -> float:
        """The learning rate in epoch ``epoch``, when the share ``progress`` of the run is done."""
        if self.schedule == "halving":
            return self.lr * 0.5 ** (epoch // self.halve_every)
        floor = self.lr * self.lr_floor
        return floor + (self.lr - floor) * (1 + math.cos(math.pi * progress)) / 2

    def bop_at(self, progress: float) -> tuple[float, float]:
        """Bop's gamma and threshold when the share ``progress`` of the run is done."""
        return (
            self.gamma * (self.gamma_end / self.gamma) ** progress,
            self.threshold * (self.threshold_end / self.threshold) ** progress,
        )


@dataclass(frozen=True)
class Gradient(Section):
    """The straight-through gradient of ``bnnhw.nn.Binarize``: its shape, its scale c, and adaptive gradient cancelling.

    adaptive: search c anew in each epoch from ``adaptive_from`` on, on ``adaptive_batches`` batches
    (``bnnhw.train.gradient_scale``), ``scale`` times the best multiple.
    """

    shape: str = choice("tanh", "hardtanh")
    scale: float = number(1.0, above=0)
    adaptive: bool = flag(False)
    adaptive_from: int = whole(15)
    adaptive_batches: int = whole(40, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive and self.shape == "hardtanh":
            raise ValueError("recipe: gradient.adaptive needs gradient.shape tanh: a hard window is not searched")


@dataclass(frozen=True)
class Adversary(Section):
    """Projected gradient descent (``bnnhw.train.adversary``); an epsilon of 0 trains without.

    epsilon: the radius as a fraction of the pixel range, reached linearly over ``ramp`` epochs. steps: reached over
    ``steps_ramp`` epochs, from 1. loss: what is climbed.
    """

    epsilon: float = number(0.1, most=1)
    ramp: float = number(5.0)
    steps: int = whole(4)
    steps_ramp: float = number(5.0)
    loss: str = choice("xent", "nll", "cw")

    def share_at(self, epoch: float) -> float:
        """The share (0..1) of epsilon in force when ``epoch`` epochs are done."""
        return ramp(epoch, self.ramp)

    def steps_at(self, epoch: int) -> int:
        """The steps in epoch ``epoch``, counted from 0."""
        if not self.steps or not self.steps_ramp:
            return self.steps
        return min(self.steps, 1 + int((self.steps - 1) * epoch / self.steps_ramp))


@dataclass(frozen=True)
class Bounds(Section):
    """Cardinality bound decay (``bnnhw.train.bounds``): ``decay * sum(relu(bound - slack))``.

    side: "true" takes the bound on true literals, "smaller" the smaller of it and the bound on false ones.
    """

    decay: float = number(0.0)
    slack: float = number(5.0)
    side: str = choice("true", "smaller")


@dataclass(frozen=True)
class Box(Section):
    """Losses over whole boxes of images by exact interval propagation (``bnnhw.train.intervals``).

    weight: the share of the worst-case cross entropy in the loss, the rest being the adversary's; 0 switches it off.
    from_epoch: the first epoch with boxes. free: how likely each pixel is left free in its ball around the adversarial
    corner, going linearly to ``free_end`` over the run; 1 is the whole ball. slack, margin: how far hidden accumulators
    should stay from their thresholds, and the label's score above the others', in whole steps; ``slack_weight`` and
    ``margin_weight`` scale what is missing.
    """

    weight: float = number(0.0, most=1)
    from_epoch: int = whole(0)
    free: float = number(0.2, most=1)
    free_end: float = number(0.4, most=1)
    slack: float = number(1.0)
    slack_weight: float = number(0.0)
    margin: float = number(2.0)
    margin_weight: float = number(0.0)

    @property
    def used(self) -> bool:
        return self.weight > 0 or self.slack_weight > 0 or self.margin_weight > 0

    def free_at(self, progress: float) -> float:
        """How likely a pixel is left free when the share ``progress`` of the run is done."""
        return self.free + (self.free_end - self.free) * progress


@dataclass(frozen=True)
class Teacher(Section):
    """A real-valued teacher of the same architecture, trained first (``bnnhw.train.distill``).

    kind: "none"; "labels" adds ``weight`` times the teacher's distribution to the labels; "calibration" uses no label
    at all. temperature: of both distributions. epochs, lr: the teacher's own training.
    """

    kind: str = choice("none", "labels", "calibration")
    weight: float = number(0.9, most=1)
    temperature: float = number(4.0, above=0)
    epochs: int = whole(10, least=1)
    lr: float = number(1e-3, above=0)


@dataclass(frozen=True)
class Verifier(Section):
    """Counterexamples of the exact verifier among the adversarial images (``bnnhw.train.counterexamples``).

    share: up to this share of each batch is searched for; 0 switches it off. from_epoch: the first epoch that does.
    every: one batch in so many. conflicts: per query, the same on every machine. seconds: per batch; 0 sets no limit,
    and any other value makes the run depend on the machine's speed. restart: climb once more by gradients, from the
    counterexamples on.
    """

    share: float = number(0.0, most=1)
    from_epoch: int = whole(0)
    every: int = whole(1, least=1)
    conflicts: int = whole(1000, least=1)
    seconds: float = number(0.0)
    restart: bool = flag(False)


@dataclass(frozen=True)
class Choice(Section):
    """Which of the last ``epochs`` epochs is kept: each is calibrated and measured on ``images`` training images.

    by: "attack" counts images that withstand ``steps`` steps of the adversary; "exact" counts those that the verifier
    proves robust, within ``conflicts`` each, on images that are held out from training.
    """

    epochs: int = whole(3, least=1)
    by: str = choice("attack", "exact")
    images: int = whole(5000, least=1)
    steps: int = whole(10)
    conflicts: int = whole(10000, least=1)


@dataclass(frozen=True)
class Recipe(Section):
    """How to train.

    arch, width: as ``bnnhw.nn.build``; an ``arch`` of "own" is a network that the caller makes, of which width,
    quantizer and weights.density say nothing. quantizer: a step of [0, 1] pixels, a tuple of integer thresholds, or
    "histogram", which chooses ``levels`` thresholds from the training images for epsilon (``bnnhw.train.thresholds``).
    last_norm: whether the output layer has a batch norm.
    threads: torch's threads while training; sums round differently with another number of them, so it is part of what
    decides the result, and one thread loses least on a busy machine. compile: the steps between sums
    (``bnnhw.nn.fused``), which rounds real sums in another order. mixed: multiply gradients in bfloat16 where the
    device has fast products of it (``bnnhw.nn.products``), and in float32 elsewhere. The tables are the methods.
    """

    arch: str = "conv-small"
    width: float = number(1.0, above=0)
    quantizer: float | tuple[int, ...] | str = 0.61
    levels: int = whole(1, least=1)
    epochs: int = whole(20, least=1)
    batch: int = whole(128, least=2)
    seed: int = whole(0)
    threads: int = whole(1, least=1)
    compile: bool = flag(False)
    mixed: bool = flag(False)
    last_norm: bool = flag(True)
    weights: Weights = field(default_factory=Weights)
    optimizer: Optimizer = field(default_factory=Optimizer)
    gradient: Gradient = field(default_factory=Gradient)
    adversary: Adversary = field(default_factory=Adversary)
    bounds: Bounds = field(default_factory=Bounds)
    box: Box = field(default_factory=Box)
    teacher: Teacher = field(default_factory=Teacher)
    verifier: Verifier = field(default_factory=Verifier)
    choice: Choice = field(default_factory=Choice)

    @classmethod
    def _title(cls) -> str:
        return ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arch not in (*ARCHITECTURES, OWN):
            raise ValueError(f"recipe: unknown architecture {self.arch!r}: choose one of {', '.join(ARCHITECTURES)}")
        if isinstance(self.quantizer, tuple):
            fits = bool(self.quantizer) and all(type(t) is int for t in self.quantizer)
        elif isinstance(self.quantizer, str):
            fits = self.quantizer == HISTOGRAM
        else:
            fits = type(self.quantizer) in (int, float) and 0 < self.quantizer <= 1
        if not fits:
            raise ValueError(
                f"recipe: quantizer {self.quantizer!r} must be a step in (0, 1], a list of whole thresholds or "
                f'"{HISTOGRAM}"'
            )
        if (self.optimizer.kind == "adam") != (self.weights.kind != "binary"):
            raise ValueError(
                f'recipe: weights.kind "binary" and the Bop optimizers go together, not {self.weights.kind} with '
                f"{self.optimizer.kind}"
            )
        if self.weights.kind == "ternary" and self.weights.density == 1:
            raise ValueError("recipe: weights.density of ternary weights must lie in (0, 1), such as 0.617")
        if self.arch == OWN and self.teacher.kind != "none":
            raise ValueError("recipe: a teacher has an architecture by name: train one for an own network yourself")
        if self.weights.kind == "real" and (self.box.used or self.bounds.decay or self.verifier.share):
            raise ValueError("recipe: real weights have no boxes, bounds or verifier: they only make a teacher")

    def to_toml(self) -> str:
        """The recipe as TOML text; ``from_toml`` gives an equal recipe."""
        return tomli_w.dumps(self.to_values())

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """The recipe that ``text`` describes; what it leaves out is as in ``Recipe()``. Raises ValueError."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"recipe: not TOML ({error}): write lines such as epochs = 20") from None
        return cast(Recipe, cls.from_values(values))


def ramp(epoch: float, length: float) -> float:
    """0 at the start, 1 from ``length`` epochs on, linear in between."""
    return min(1.0, epoch / length) if length else 1.0
