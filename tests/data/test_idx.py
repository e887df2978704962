"""IDX files: what is written comes back; every damage gives one DataError."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.data import DataError, load
from bnnhw.data.idx import FILES, read_idx


def encode(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_set(folder: Path, count: int = 12, side: int = 28, compressed: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    arrays = {}
    for part, stem in FILES.items():
        if "images" in part:
            arrays[part] = rng.integers(0, 256, (count, side, side))
        else:
            arrays[part] = rng.integers(0, 10, count)
        data = encode(arrays[part])
        if compressed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / stem).write_bytes(data)
    return arrays


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_what_the_files_hold_is_loaded_unchanged(tmp_path: Path, name: str, compressed: bool) -> None:
    arrays = write_set(tmp_path, compressed=compressed)
    dataset = load(name, tmp_path)
    assert dataset.shape == (1, 28, 28)
    assert dataset.train_images.dtype == np.uint8
    assert np.array_equal(dataset.train_images[:, 0], arrays["train_images"])
    assert np.array_equal(dataset.test_images[:, 0], arrays["test_images"])
    assert np.array_equal(dataset.train_labels, arrays["train_labels"])
    assert np.array_equal(dataset.test_labels, arrays["test_labels"])
    assert (dataset.pixel_min, dataset.pixel_max, dataset.classes) == (0, 255, 10)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), cut=st.integers(1, 60), grow=st.binary(min_size=1))
def test_a_file_of_any_other_length_is_refused(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], cut: int, grow: bytes
) -> None:
    folder = tmp_path_factory.mktemp("idx")
    array = np.arange(int(np.prod(shape))).reshape(shape) % 256
    data = encode(array)
    path = folder / "file"
    path.write_bytes(data)
    assert np.array_equal(read_idx(path, len(shape)), array)
    for damaged in (data[: max(0, len(data) - cut)], data + grow):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read_idx(path, len(shape))


def test_a_truncated_or_corrupted_gzip_stream_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:40] + b"\xff" * 40 + whole[80:], b"not gzip"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="train-images"):
            load("mnist", tmp_path)


def test_a_header_that_declares_a_huge_array_is_refused_without_allocating(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF))
    with pytest.raises(DataError, match="declares"):
        read_idx(path, 3)


def test_missing_files_are_named(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte"):
        load("mnist", tmp_path)


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load("mnist", tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        load("mnist", tmp_path / "nowhere")


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path, side=27)
    with pytest.raises(DataError, match="27"):
        load("mnist", tmp_path)


def test_labels_outside_the_classes_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(encode(np.full(12, 10))))
    with pytest.raises(DataError, match="label"):
        load("mnist", tmp_path)
