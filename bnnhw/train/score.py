"""Accuracy of the float network in eval mode, clean and under the adversary: a figure for choosing, never a proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.nn.network import Network
from bnnhw.train.adversary import pgd


@dataclass(frozen=True)
class Score:
    """images: how many. clean, attacked: how many are classified correctly as they are, and after the attack too."""

    images: int
    clean: int
    attacked: int


def score(
    network: Network,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    radius: int = 0,
    steps: int = 0,
    seed: int = 0,
    batch: int = 250,
) -> Score:
    """Count correct images of uint8[N, C, H, W], clean and under ``steps`` of PGD within ``radius`` (pixel units)."""
    was_training = network.training
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    device = network.quantizer.thresholds.device
    clean = attacked = 0
    try:
        for start in range(0, len(images), batch):
            pixels = torch.from_numpy(images[start : start + batch].astype(np.float32)).to(device)
            truth = torch.from_numpy(labels[start : start + batch].copy()).to(device)
            with torch.no_grad():
                right = network(pixels).argmax(dim=1) == truth
            clean += int(right.sum())
            if radius and steps:
                perturbed = pgd(network, pixels, truth, radius, steps, generator)
                with torch.no_grad():
                    right &= network(perturbed).argmax(dim=1) == truth
            attacked += int(right.sum())
    finally:
        network.train(was_training)
    return Score(len(images), clean, attacked)
