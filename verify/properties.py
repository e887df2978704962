"""What is asked of a model: a region of integer images, and a condition that every image of it must meet.

``question = linf_ball(image, 25, quantizer) & Keeps(label)`` reads as it is answered: *robust* when every image of the
region meets the condition, *falsified* with an image that does not. A region is a box around an image, optionally cut
down by a budget on what all changes together may cost. Conditions speak of classes under the model's own tie rule (the
lowest index wins). The image itself belongs to its region: one that is misclassified to begin with is its own
counterexample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel, Quantizer
from bnnhw.model.reference import check_pixels, quantize

Pixels: TypeAlias = npt.NDArray[np.integer]
Scores: TypeAlias = npt.NDArray[np.int64]
"""One image's scores, one a class. A condition's ``met`` takes those that each model gives to the image."""
Norm: TypeAlias = Literal["l0", "l1", "l2_squared"]
Distance: TypeAlias = Literal["linf", "l0", "l1", "l2_squared"]
"""How far apart two images are: their largest change of a pixel, or a budget's cost."""
LARGEST_COST = 2**28
"""Budgets stay below this; a solver adds up costs no further."""


class PropertyError(ValueError):
    """A question that cannot be asked of this model; the message says why and what to do."""


def pixel_radius(epsilon: str | Fraction, quantizer: Quantizer) -> int:
    """``floor(epsilon * (pixel_max - pixel_min))``: the integer images within epsilon of an image, exactly.

    epsilon: a decimal or fraction such as ``"0.1"`` or ``"8/255"``, relative to the pixel range; 0 <= epsilon <= 1.
    """
    try:
        exact = Fraction(epsilon)
    except (ValueError, ZeroDivisionError):
        raise PropertyError(f"epsilon {epsilon!r} is not a number: write it as 0.1 or 8/255") from None
    if not 0 <= exact <= 1:
        raise PropertyError(f"epsilon {epsilon} must lie between 0 and 1: it is a fraction of the pixel range")
    return int(exact * (quantizer.pixel_max - quantizer.pixel_min))


@dataclass(frozen=True, eq=False)
class Budget:
    """All changes together cost at most ``limit``: a pixel changed by d costs 1 (l0), abs(d) (l1) or d*d (l2_squared).

    weight: what to multiply each pixel's cost by, non-negative integers in the image's shape; None means 1.
    """

    norm: Norm
    limit: int
    weight: npt.NDArray[np.int64] | None = None

    def cost(self, image: Pixels, changed: Pixels) -> int:
        """What going from ``image`` to ``changed`` costs, exactly."""
        distance = np.abs(changed.astype(object) - image.astype(object))
        each = (distance > 0) * 1 if self.norm == "l0" else distance if self.norm == "l1" else distance**2
        return int((each * (1 if self.weight is None else self.weight.astype(object))).sum())


@dataclass(frozen=True, eq=False)
class Region:
    """The integer images between ``low`` and ``high`` whose changes from ``image`` stay within the budget, if any.

    image, low, high: integers [C, H, W], low <= image <= high.
    """

    image: Pixels
    low: Pixels
    high: Pixels
    budget: Budget | None = None

    def __and__(self, condition: Condition) -> Property:
        return Property(self, condition)

    def contains(self, image: Pixels) -> bool:
        """Is ``image`` one of the region's images?"""
        inside = bool((image >= self.low).all() and (image <= self.high).all())
        return inside and (self.budget is None or self.budget.cost(self.image, image) <= self.budget.limit)

    def check(self, quantizer: Quantizer) -> None:
        """PropertyError or ModelError unless the region lies in the quantizer's pixels."""
        for pixels in (self.image, self.low, self.high):
            check_pixels(quantizer, pixels[None])
        if not ((self.low <= self.image).all() and (self.image <= self.high).all()):
            raise PropertyError("the box must contain the image: low <= image <= high at every pixel")
        if self.budget is None:
            return
        if not 0 <= self.budget.limit < LARGEST_COST:
            raise PropertyError(f"a budget must lie between 0 and {LARGEST_COST - 1}, not {self.budget.limit}")
        weight = self.budget.weight
        if weight is None:
            return
        if weight.shape != self.image.shape or weight.min() < 0 or weight.max() >= LARGEST_COST >> 18:
            raise PropertyError(
                f"a budget's weights must be integers from 0 to {(LARGEST_COST >> 18) - 1}, one per pixel"
            )


def box(low: Pixels, high: Pixels, image: Pixels | None = None) -> Region:
    """Every integer image from ``low`` to ``high``; ``image`` (by default the lowest) is where searches start."""
    return Region(low if image is None else image, low, high)


def linf_ball(image: Pixels, radius: int, quantizer: Quantizer) -> Region:
    """Every image whose pixels differ from ``image`` by at most ``radius`` and stay in the quantizer's range."""
    if radius < 0:
        raise PropertyError(f"radius {radius} must not be negative")
    wide = image.astype(np.int64)
    low, high = np.maximum(wide - radius, quantizer.pixel_min), np.minimum(wide + radius, quantizer.pixel_max)
    return Region(image, low, high)


def level_ball(image: Pixels, levels: int, quantizer: Quantizer) -> Region:
    """Every image whose quantized levels differ from those of ``image`` by at most ``levels``."""
    if levels < 0:
        raise PropertyError(f"a radius of {levels} levels must not be negative")
    level = quantize(quantizer, image[None])[0]
    shape = (quantizer.levels, *quantizer.shape)
    thresholds = np.broadcast_to(quantizer.thresholds, shape).astype(np.int64)
    edges = np.concatenate([np.full((1, *quantizer.shape), quantizer.pixel_min), thresholds])
    below, above = np.maximum(level - levels, 0), np.minimum(level + levels, quantizer.levels)
    low = np.take_along_axis(edges, below[None], 0)[0]
    ends = np.concatenate([thresholds - 1, np.full((1, *quantizer.shape), quantizer.pixel_max)])
    high = np.take_along_axis(ends, above[None], 0)[0]
    return Region(image, np.clip(low, quantizer.pixel_min, image), np.clip(high, image, quantizer.pixel_max))


def budget_ball(
    image: Pixels, norm: Norm, limit: int, quantizer: Quantizer, weight: npt.NDArray[np.int64] | None = None
) -> Region:
    """Every image of the quantizer's range whose changes cost at most ``limit`` (see Budget)."""
    low, high = (np.full(image.shape, end, np.int64) for end in (quantizer.pixel_min, quantizer.pixel_max))
    return Region(image, low, high, Budget(norm, limit, weight))


@dataclass(frozen=True)
class Ball:
    """The images at most ``limit`` away, whatever the image: what a campaign asks about each of its images.

    limit: pixel units (linf), pixels changed (l0), the sum of absolute (l1) or of squared changes (l2_squared).
    """

    distance: Distance
    limit: int

    def around(self, image: Pixels, quantizer: Quantizer, weight: npt.NDArray[np.int64] | None = None) -> Region:
        """The ball's images around ``image``. weight: multiplies a pixel's cost; linf has none."""
        if self.distance == "linf":
            return linf_ball(image, self.limit, quantizer)
        return budget_ball(image, self.distance, self.limit, quantizer, weight)

    def __str__(self) -> str:
        return f"{self.distance}={self.limit}"


@dataclass(frozen=True)
class Keeps:
    """Every image gets ``label``; with ``strictly``, its score also beats every other instead of tying it."""

    label: int
    strictly: bool = False

    def met(self, scores: Sequence[Scores]) -> bool:
        given = scores[0]
        if not self.strictly:
            return int(np.argmax(given)) == self.label
        others = np.delete(given, self.label)
        return bool((others < given[self.label]).all())


@dataclass(frozen=True)
class Avoids:
    """No image gets ``target``."""

    target: int

    def met(self, scores: Sequence[Scores]) -> bool:
        return int(np.argmax(scores[0])) != self.target


@dataclass(frozen=True)
class NotUnanimouslyWrong:
    """No image makes all models give the same class other than ``label``: an ensemble that must agree to answer."""

    label: int

    def met(self, scores: Sequence[Scores]) -> bool:
        given = {int(np.argmax(one)) for one in scores}
        return len(given) > 1 or self.label in given


@dataclass(frozen=True)
class Agree:
    """The two models give every image the same class."""

    def met(self, scores: Sequence[Scores]) -> bool:
        return int(np.argmax(scores[0])) == int(np.argmax(scores[1]))


Condition: TypeAlias = Keeps | Avoids | NotUnanimouslyWrong | Agree


@dataclass(frozen=True, eq=False)
class Property:
    """Does every image of ``region`` meet ``condition``?"""

    region: Region
    condition: Condition

    def digest(self, model_digests: Sequence[str]) -> str:
        """SHA-256 that names this question about these models, all of it: no other question shares the name."""
        region, budget = self.region, self.region.budget
        shape = "x".join(map(str, region.image.shape))
        limit = "no budget" if budget is None else f"{budget.norm} {budget.limit}"
        state = hashlib.sha256(f"{' '.join(model_digests)}; {self.condition}; {shape}; {limit}; ".encode())
        weight = [] if budget is None or budget.weight is None else [budget.weight]
        for pixels in (region.image, region.low, region.high, *weight):
            state.update(pixels.astype("<i8").tobytes())
        return state.hexdigest()

    def check(self, models: Sequence[IntegerModel]) -> None:
        """PropertyError or ModelError unless the question fits the models."""
        if not models:
            raise PropertyError("there is no model to ask")
        expected = {Keeps: 1, Avoids: 1, Agree: 2}.get(type(self.condition))
        if expected is not None and len(models) != expected:
            raise PropertyError(f"{type(self.condition).__name__} is asked of {expected} models, not {len(models)}")
        for model in models:
            self.region.check(model.quantizer)
            if model.classes != models[0].classes:
                raise PropertyError(
                    f"the models must tell the same classes apart, not {model.classes} and {models[0].classes}"
                )
        named = getattr(self.condition, "label", getattr(self.condition, "target", 0))
        if not 0 <= named < models[0].classes:
            raise PropertyError(f"label {named} must be a class of the model: 0..{models[0].classes - 1}")
