"""The loss of one batch: what each method of the recipe adds to the cross entropy of the attacked images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.nn.network import HiddenLayer, Network, Observer, OutputLayer
from bnnhw.train.bounds import BoundDecay
from bnnhw.train.distill import divergence
from bnnhw.train.intervals import Affines, margin_loss, propagate, slack_loss, small_box
from bnnhw.train.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """clean, attacked: float32[N, C, H, W] of pixels. labels: int64[N]. taught: the teacher's logits, if there is one.

    radius: pixel units in force. epoch: counted from 0. progress: the share of the run that is done.
    """

    clean: Tensor
    attacked: Tensor
    labels: Tensor
    taught: Tensor | None
    radius: int
    epoch: int
    progress: float


@dataclass(frozen=True)
class Loss:
    """total: what to descend. entropy: the attacked images' cross entropy. logits: float[N, classes]."""

    total: Tensor
    entropy: Tensor
    logits: Tensor


def objective(
    network: Network, forward: nn.Module, recipe: Recipe, batch: Batch, generator: torch.Generator | None = None
) -> Loss:
    """The loss of ``batch`` by ``recipe``; generator: draws the small boxes.

    forward: ``network``, or what runs it and averages its gradients; called once.
    """
    decay = BoundDecay(recipe.bounds.slack, recipe.bounds.side == "smaller")
    affines = Affines()
    observers: list[Observer] = [decay.observe] if recipe.bounds.decay else []
    boxes = recipe.box.used and batch.epoch >= recipe.box.from_epoch
    observers += [affines.observe] if boxes else []

    def observe(index: int, layer: HiddenLayer | OutputLayer, accumulators: Tensor) -> None:
        for observer in observers:
            observer(index, layer, accumulators)

    logits: Tensor = forward(batch.attacked, observe) if observers else forward(batch.attacked)
    entropy = F.cross_entropy(logits, batch.labels)
    total = entropy
    if batch.taught is not None:
        taught = divergence(logits, batch.taught, recipe.teacher.temperature)
        share = 1.0 if recipe.teacher.kind == "calibration" else recipe.teacher.weight
        total = taught if share == 1 else (1 - share) * entropy + share * taught
    if boxes:
        total = _boxes(network, recipe, batch, affines, total, generator)
    if recipe.bounds.decay:
        total = total + recipe.bounds.decay * decay.loss
    return Loss(total, entropy, logits)


def _boxes(
    network: Network,
    recipe: Recipe,
    batch: Batch,
    affines: Affines,
    total: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    box, pixel_range = recipe.box, (network.quantizer.pixel_min, network.quantizer.pixel_max)
    free = box.free_at(batch.progress)
    low, high = small_box(batch.clean, batch.attacked, batch.radius, free, pixel_range, generator)
    reached = propagate(network, low, high, batch.labels, affines.found)
    if box.weight:
        total = (1 - box.weight) * total + box.weight * F.cross_entropy(reached.logits, batch.labels)
    if box.slack_weight:
        total = total + box.slack_weight * slack_loss(reached, box.slack)
    if box.margin_weight:
        total = total + box.margin_weight * margin_loss(reached, batch.labels, box.margin)
    return total
