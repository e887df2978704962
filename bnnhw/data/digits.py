"""scikit-learn's handwritten digits: 1,797 images of 8x8 pixels in 0..16, part of the package, no download.

The set has no split of its own. Ours is stratified and fixed for ever: within each class the images are ordered by the
SHA-256 of their number and every fifth share is the test set, so it depends on no random generator's version.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from bnnhw.data.dataset import Dataset

TEST_SHARE = 5


def _order(index: int) -> bytes:
    return hashlib.sha256(f"digits {index}".encode()).digest()


def split(labels: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Numbers of the training and of the test images, each in the fixed order."""
    train: list[int] = []
    test: list[int] = []
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=_order)
        cut = round(len(members) / TEST_SHARE)
        test += members[:cut]
        train += members[cut:]
    return sorted(train, key=_order), sorted(test, key=_order)


def load_bundled_digits() -> Dataset:
    """The data set ``digits``."""
    bundle = load_digits()
    images = bundle.images.astype(np.uint8)[:, None]
    labels = bundle.target.astype(np.int64)
    train, test = split(labels)
    names = tuple(str(digit) for digit in range(10))
    note = "fixed stratified split"
    return Dataset("digits", images[train], labels[train], images[test], labels[test], 0, 16, names, note)
