"""What is asked of a model: L-infinity robustness of one image, over integer pixels.

The ball of radius r around an image x is every integer image with ``|x'[i] - x[i]| <= r`` whose pixels stay in the
model's range. The model is robust there when each of them gets the image's label, under the model's own tie rule (the
lowest index wins). A clean image that is already misclassified is therefore not robust: it is its own counterexample.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel, Quantizer
from bnnhw.model.reference import check_pixels


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
class LinfRobustness:
    """Does every integer image within ``radius`` (pixel units) of ``image`` [C, H, W] get ``label``?"""

    image: npt.NDArray[np.integer]
    label: int
    radius: int

    def check(self, model: IntegerModel) -> None:
        """PropertyError or ModelError unless the question fits ``model``."""
        check_pixels(model.quantizer, self.image[None])
        if not 0 <= self.label < model.classes:
            raise PropertyError(f"label {self.label} must be a class of the model: 0..{model.classes - 1}")
        if self.radius < 0:
            raise PropertyError(f"radius {self.radius} must not be negative")

    def box(self, quantizer: Quantizer) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The ball as a box: the lowest and the highest value of each pixel, int64[C, H, W]."""
        image = self.image.astype(np.int64)
        low = np.maximum(image - self.radius, quantizer.pixel_min)
        return low, np.minimum(image + self.radius, quantizer.pixel_max)

    def digest(self, model_digest: str) -> str:
        """SHA-256 that names this question about this model."""
        text = f"linf {model_digest} {self.label} {self.radius} {'x'.join(map(str, self.image.shape))} "
        return hashlib.sha256(text.encode() + self.image.astype("<i4").tobytes()).hexdigest()
