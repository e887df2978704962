"""The verifier in the loop: images that gradients do not find, taken from exact answers, to train on.

Gradients through signs are guesses, so an image that withstands the adversary may still have a neighbour that fools the
network. The network as it is in this step, with the batch's statistics, is lowered to its integer model, and the
verifier asked about the images that withstood; its counterexamples take their place in the batch (Jia and Rinard,
NeurIPS 2020, section 4; there with a time limit, here with conflicts, so that a run can be repeated). Training imports
no verifier: whoever calls it passes one in as a ``Decide``.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bnnhw.model import IntegerModel
from bnnhw.nn.network import Network
from bnnhw.train.calibrate import calibrate
from bnnhw.train.lower import lower


@dataclass(frozen=True, eq=False)
class Decision:
    """An exact answer about one image: robust, falsified by ``counterexample`` (integers [C, H, W]), or neither."""

    robust: bool
    counterexample: npt.NDArray[np.integer] | None = None


class Decide(Protocol):
    """An exact verifier of many images, such as ``bnnhw.pipeline.Decider``."""

    def __call__(
        self,
        model: IntegerModel,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        radius: int,
        conflicts: int,
        seconds: float | None = None,
    ) -> list[Decision]:
        """One decision an image, in order: is every image within ``radius`` (pixel units) given its label?

        conflicts: per image. seconds: for all together; what is not decided by then is left undecided.
        """
        ...


def batch_model(network: Network, pixels: Tensor) -> IntegerModel:
    """The integer model of ``network`` with the statistics of ``pixels``: what training mode computes, exactly."""
    twin = deepcopy(network)
    calibrate(twin, _integers(pixels))
    return lower(twin)


def mix_counterexamples(
    network: Network,
    clean: Tensor,
    attacked: Tensor,
    labels: Tensor,
    radius: int,
    decide: Decide,
    most: int,
    conflicts: int,
    seconds: float | None = None,
) -> tuple[Tensor, int]:
    """``attacked`` with counterexamples in place of images that withstood, and how many there are.

    clean, attacked: float32[N, C, H, W] of pixels; labels: int64[N]; radius: pixel units. At most ``most`` images are
    asked about: the first of those that the network, with the batch's statistics, still classifies correctly.
    """
    if not most or radius <= 0:
        return attacked, 0
    with network.frozen(), torch.no_grad():
        right = network(attacked).argmax(dim=1) == labels
    asked = right.nonzero()[:most, 0]
    if not len(asked):
        return attacked, 0
    model = batch_model(network, attacked)
    images, truth = _integers(clean[asked]), labels[asked].cpu().numpy()
    mixed, found = attacked.clone(), 0
    for index, decision in zip(asked.tolist(), decide(model, images, truth, radius, conflicts, seconds), strict=True):
        if decision.counterexample is not None:
            mixed[index] = torch.from_numpy(decision.counterexample.astype(np.float32)).to(mixed.device)
            found += 1
    return mixed, found


def _integers(pixels: Tensor) -> npt.NDArray[np.uint8]:
    """Pixels as the integers that the quantizer takes them for."""
    return pixels.detach().floor().cpu().numpy().astype(np.uint8)
