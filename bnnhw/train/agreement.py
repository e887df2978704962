"""Does the integer model do what the float network does? Counted on real images, bit for bit, layer by layer.

Zero disagreements are expected: eval mode computes in float64, and lowering is exact. Where float64 rounding decides a
bit that the exact arithmetic decides otherwise, the boundary must lie within a rounding error of a whole number; the
report states that distance, so a disagreement with another cause cannot hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.model import IntegerModel
from bnnhw.model.reference import classify, trace
from bnnhw.model.surd import approximate
from bnnhw.nn.network import HiddenLayer, Network
from bnnhw.train.lower import rationals, variances

SHOWN = 5
"""How many disagreements the note explains one by one."""


@dataclass(frozen=True)
class Agreement:
    """images: how many were compared. mismatches: images where any hidden bit or the class differs.

    class_mismatches: images whose class differs. bit_mismatches: differing bits of each hidden layer of the network.
    explanations: one sentence for the first disagreement of each such image. note: all of it in a few sentences.
    """

    images: int
    mismatches: int
    class_mismatches: int
    bit_mismatches: tuple[int, ...]
    explanations: tuple[str, ...]

    @property
    def note(self) -> str:
        if not self.mismatches:
            return f"every hidden bit and the class agree on {self.images} images"
        shown = "; ".join(self.explanations[:SHOWN])
        return (
            f"{self.mismatches} of {self.images} images differ ({self.class_mismatches} in class, hidden bits by layer "
            f"{list(self.bit_mismatches)}): {shown}"
        )


def _boundary_distance(layer: HiddenLayer, channel: int) -> float:
    """How far the exact boundary of a channel lies from the nearest whole number."""
    norm = layer.norm
    scale = rationals(norm.scale, "scale")[channel]
    if scale == 0:
        return abs(float(norm.shift[channel]))
    slope = -rationals(norm.shift, "shift")[channel] / scale
    boundary = approximate(rationals(norm.mean, "mean")[channel], slope, variances(norm.var, "variance")[channel])
    return float(abs(boundary - floor(boundary + Fraction(1, 2))))


def _score_distance(network: Network, accumulators: npt.NDArray[np.int64], one: int, other: int) -> float:
    """The exact difference of two classes' logits, in units of one accumulator step."""
    norm = network.output.norm
    (scale,), (variance,) = rationals(norm.scale, "scale"), variances(norm.var, "variance")
    shift, mean = rationals(norm.shift, "shift"), rationals(norm.mean, "mean")
    if scale == 0:
        return float(shift[one] - shift[other])
    whole = int(accumulators[one]) - int(accumulators[other]) - mean[one] + mean[other]
    return float(approximate(Fraction(whole), (shift[one] - shift[other]) / scale, variance))


def _hidden_ends(network: Network) -> list[int]:
    """For each hidden layer of the network, the number of the integer layer that holds its output."""
    ends, last = [], -1
    for layer in network.layers[:-1]:
        assert isinstance(layer, HiddenLayer)
        last += 1 if layer.pool is None else 2
        ends.append(last)
    return ends


def agreement(network: Network, model: IntegerModel, images: npt.NDArray[np.integer], batch: int = 250) -> Agreement:
    """Compare ``network`` in eval mode with ``model`` (by reference inference) on integer pixels [N, C, H, W]."""
    ends = _hidden_ends(network)
    bit_counts = [0] * len(ends)
    mismatches = class_mismatches = 0
    explanations: list[str] = []
    was_training = network.training
    network.eval()
    device = network.quantizer.thresholds.device
    try:
        for start in range(0, len(images), batch):
            chunk = images[start : start + batch]
            bits, logits = network.trace(torch.from_numpy(chunk.astype(np.float32)).to(device))
            exact = trace(model, chunk)
            wrong = np.zeros(len(chunk), bool)
            for index, (end, found) in enumerate(zip(ends, bits, strict=True)):
                different = found.cpu().numpy().reshape(exact.bits[end].shape) != exact.bits[end]
                bit_counts[index] += int(different.sum())
                for image in np.flatnonzero(different.any(axis=(1, 2, 3)) & ~wrong):
                    channel = int(np.argwhere(different[image])[0][0])
                    layer = network.layers[index]
                    assert isinstance(layer, HiddenLayer)
                    explanations.append(
                        f"image {start + image}, layer {index + 1}, channel {channel}: the exact boundary lies "
                        f"{_boundary_distance(layer, channel):.3g} from a whole number"
                    )
                wrong |= different.any(axis=(1, 2, 3))
            torch_class = logits.cpu().numpy().argmax(axis=1)
            exact_class = classify(exact.scores)
            differs = torch_class != exact_class
            sums = exact.accumulators[-1]
            assert sums is not None
            for image in np.flatnonzero(differs & ~wrong):
                one, other = int(torch_class[image]), int(exact_class[image])
                gap = _score_distance(network, _unsigned(network, sums[image, :, 0, 0]), one, other)
                explanations.append(
                    f"image {start + image}: class {one} or {other}, whose exact logits lie {gap:.3g} steps apart"
                )
            class_mismatches += int(differs.sum())
            mismatches += int((differs | wrong).sum())
    finally:
        network.train(was_training)
    return Agreement(len(images), mismatches, class_mismatches, tuple(bit_counts), tuple(explanations))


def _unsigned(network: Network, accumulators: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The network's own output accumulators: lowering negates the weights when the scale is negative."""
    return -accumulators if float(network.output.norm.scale) < 0 else accumulators
