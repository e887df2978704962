"""The bundled digits: a fixed, stratified, disjoint split."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bnnhw.data import DataError, load


def test_the_split_is_a_partition_of_the_source() -> None:
    dataset = load("digits")
    both = np.concatenate([dataset.train_images, dataset.test_images])[:, 0].reshape(-1, 64)
    source = load_digits().images.reshape(-1, 64)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, source.astype(int).tolist()))


def test_every_class_has_the_same_share_in_both_parts() -> None:
    dataset = load("digits")
    assert 0.19 < len(dataset.test_labels) / 1797 < 0.21
    for label in range(10):
        test, train = (dataset.test_labels == label).sum(), (dataset.train_labels == label).sum()
        assert abs(test - (test + train) / 5) <= 0.5


def test_the_split_never_changes() -> None:
    assert load("digits").digest() == "3440b7c9eb53f243aa3f1695f9dec56ab741b5a8e1357fa284e42aa70b84fe36"
    assert (load("digits").pixel_min, load("digits").pixel_max) == (0, 16)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load("digits").train_images[0] = 0


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="fashion-mnist"):
        load("imagenet")
