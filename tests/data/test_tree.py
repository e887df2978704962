"""Image trees: a folder and an archive of it are the same data set."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnhw.data import DataError, load
from bnnhw.data.cifar import CLASSES


def write_tree(root: Path, count: int = 3, suffix: str = "png") -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 10, count, 32, 32, 3)).astype(np.uint8)
    for split, images in zip(("train", "test"), pixels, strict=True):
        for name, members in zip(CLASSES, images, strict=True):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number, image in enumerate(members):
                Image.fromarray(image).save(folder / f"{number:04d}.{suffix}")
    return pixels


def pack(root: Path, target: Path) -> None:
    target.mkdir()
    for split in ("train", "test"):
        with tarfile.open(target / f"{split}.tar.xz", "w:xz") as archive:
            archive.add(root / split, split)


def test_folders_and_archives_give_the_images_one_of_each_class_in_turn(tmp_path: Path) -> None:
    pixels = write_tree(tmp_path / "tree")
    dataset = load("cifar10", tmp_path / "tree")
    assert dataset.train_labels.tolist() == list(range(10)) * 3
    expected = pixels[0].transpose(1, 0, 4, 2, 3).reshape(30, 3, 32, 32)
    assert np.array_equal(dataset.train_images, expected)
    assert dataset.note == "pixels of image files"
    pack(tmp_path / "tree", tmp_path / "packed")
    assert load("cifar10", tmp_path / "packed").digest() == dataset.digest()


def test_jpeg_pixels_are_marked_as_such(tmp_path: Path) -> None:
    write_tree(tmp_path, count=1, suffix="jpg")
    assert "JPEG" in load("cifar10", tmp_path).note


def test_a_tree_with_one_half_missing_says_so(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree")
    (tmp_path / "tree" / "test").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="lacks test"):
        load("cifar10", tmp_path / "tree")


def test_an_unreadable_image_and_a_stray_folder_are_named(tmp_path: Path) -> None:
    write_tree(tmp_path, count=1)
    broken = tmp_path / "train" / "cat" / "0000.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cat/0000\.png"):
        load("cifar10", tmp_path)
    broken.write_bytes(whole)
    (tmp_path / "train" / "cat").rename(tmp_path / "train" / "tiger")
    with pytest.raises(DataError, match="tiger"):
        load("cifar10", tmp_path)


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, count=1)
    Image.new("RGB", (31, 32)).save(tmp_path / "train" / "dog" / "0000.png")
    with pytest.raises(DataError, match="one size"):
        load("cifar10", tmp_path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", count=1)
    pack(tmp_path / "tree", tmp_path / "packed")
    path = tmp_path / "packed" / "test.tar.xz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"test\.tar\.xz"):
        load("cifar10", tmp_path / "packed")
