"""Learning from a teacher's distribution over the classes instead of, or besides, from labels.

Guided distribution calibration trains a binary network without a label: its softened distribution is pulled towards
that of a real-valued network of the same architecture (Shen et al., "S2-BNN: Bridging the Gap Between Self-Supervised
Real and 1-bit Neural Networks via Guided Distribution Calibration", CVPR 2021). Plain distillation mixes the same
term with the labels' cross entropy (Hinton, Vinyals and Dean, 2015); for robustness the teacher sees the clean image
and the student the attacked one (Goldblum et al., AAAI 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.nn.network import Network
from bnnhw.train.recipe import Adversary, Choice, Optimizer, Recipe, Weights


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 * mean over images of sum(p * (log p - log q))``, p and q the softmax of teacher / T and student / T.

    student, teacher: logits float[N, classes]; no gradient reaches the teacher. T^2 keeps the gradient's size.
    """
    expected = (teacher.detach() / temperature).log_softmax(dim=1)
    given = (student / temperature).log_softmax(dim=1)
    return temperature**2 * (expected.exp() * (expected - given)).sum(dim=1).mean()


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the teacher that ``recipe`` asks for: real weights, the same architecture and adversary."""
    wanted = recipe.teacher
    return Recipe(
        arch=recipe.arch,
        width=recipe.width,
        quantizer=recipe.quantizer,
        levels=recipe.levels,
        epochs=wanted.epochs,
        batch=recipe.batch,
        seed=recipe.seed,
        threads=recipe.threads,
        weights=Weights(kind="real", decay=0.0),
        optimizer=Optimizer(lr=wanted.lr),
        adversary=Adversary(
            epsilon=recipe.adversary.epsilon,
            ramp=min(recipe.adversary.ramp, wanted.epochs / 2),
            steps=recipe.adversary.steps,
            steps_ramp=min(recipe.adversary.steps_ramp, wanted.epochs / 2),
            loss=recipe.adversary.loss,
        ),
        choice=Choice(epochs=1),
    )


@torch.no_grad()
def predictions(network: Network, images: Tensor, batch: int = 500) -> Tensor:
    """The classes int64[N] that ``network``, in eval mode, gives to integer pixels [N, C, H, W]."""
    device = network.quantizer.thresholds.device
    parts = torch.split(images, batch)
    return torch.cat([network(part.float().to(device)).argmax(dim=1).cpu() for part in parts])
