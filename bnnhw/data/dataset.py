"""What a data set is: raw integer pixels and labels, split into training and test images.

Pixels stay the integers that the source holds. Scaling, centring and augmentation have no place here: the integer model
reads raw pixels, and a certificate speaks about those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class DataError(ValueError):
    """Missing, damaged or unsuitable data; the message says what, where and what to do."""


def _frozen(array: npt.NDArray[np.generic]) -> None:
    array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels.

    train_images, test_images: uint8[N, C, H, W], raw pixels in ``pixel_min..pixel_max``. train_labels, test_labels:
    int64[N] in ``0..len(class_names) - 1``. note: where the pixels come from, wherever that matters for a figure.
    The arrays are read-only. Raises DataError where shapes, ranges or counts do not fit.
    """

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    pixel_min: int
    pixel_max: int
    class_names: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            where = f"{self.name}: the {part} set"
            if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
                raise DataError(f"{where} must be uint8[N, C, H, W] and not empty, not {images.dtype}{images.shape}")
            if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
                raise DataError(f"{where} has {len(images)} images but labels {labels.dtype}{labels.shape}")
            if labels.min() < 0 or labels.max() >= len(self.class_names):
                raise DataError(f"{where} has a label outside 0..{len(self.class_names) - 1}")
            if images.min() < self.pixel_min or images.max() > self.pixel_max:
                raise DataError(f"{where} has a pixel outside {self.pixel_min}..{self.pixel_max}")
            _frozen(images)
            _frozen(labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}: training images are {self.train_images.shape[1:]}, test images "
                f"{self.test_images.shape[1:]}: make them one size"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.train_images.shape[1:]
        return (int(channels), int(height), int(width))

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def digest(self) -> str:
        """SHA-256 over everything but the note: names the exact data that a training run saw."""
        state = hashlib.sha256(f"{self.name} {self.pixel_min} {self.pixel_max} {self.class_names}".encode())
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            state.update(f" {array.dtype.str} {array.shape} ".encode())
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()
