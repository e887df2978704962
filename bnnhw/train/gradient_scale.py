"""Adaptive gradient cancelling: before each epoch, the gradient window in which the adversary does most harm.

The straight-through gradient ``(1 - tanh(c z)^2)`` cancels whatever passes a neuron far from its threshold. Too narrow
a window hides the way to an adversarial image, too wide a one points elsewhere; the right one changes while the network
trains. So a few widths are tried on fixed batches, and the strongest attack decides (Jia and Rinard, NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bnnhw.nn.network import Network
from bnnhw.nn.variants import set_gradient
from bnnhw.train.adversary import pgd

SCALES = (0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0)
IMAGES_A_TIE = 1280
"""Counts that differ by less than one in so many images are equal."""


def strongest(counts: Mapping[float, int], images: int) -> float:
    """The scale with the lowest count of images that withstand the attack; among equal ones the nearest to 1.

    Counts are equal where they exceed the lowest by less than ``max(1, images // 1280)``.
    """
    lowest, tie = min(counts.values()), max(1, images // IMAGES_A_TIE)
    return min((scale for scale, count in counts.items() if count - lowest < tie), key=lambda scale: abs(scale - 1))


def search_gradient_scale(
    network: Network,
    pixels: Tensor,
    labels: Tensor,
    radius: int,
    steps: int,
    batch: int,
    base: float = 1.0,
    seed: int = 0,
    loss: str = "xent",
) -> dict[float, int]:
    """How many images withstand ``steps`` of PGD for each scale of ``SCALES``; the network is left at the strongest.

    pixels: float32[N, C, H, W] of integer pixels, labels int64[N], taken ``batch`` at a time, the last incomplete batch
    left out. The gradient scale is ``base`` times each of ``SCALES``. Every scale starts from the same random images.
    """
    counts: dict[float, int] = {}
    starts = range(0, len(labels) - batch + 1, batch)
    for scale in SCALES:
        set_gradient(network, base * scale)
        generator = torch.Generator().manual_seed(seed)
        right = 0
        for start in starts:
            chosen, truth = pixels[start : start + batch].float(), labels[start : start + batch]
            attacked = pgd(network, chosen, truth, radius, steps, generator, loss)
            with network.frozen(), torch.no_grad():
                right += int((network(attacked).argmax(dim=1) == truth).sum())
        counts[scale] = right
    set_gradient(network, base * strongest(counts, len(starts) * batch))
    return counts
