"""CIFAR-10's own files: both layouts give the same data set; a hostile pickle runs nothing."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bnnhw.data import DataError, load
from bnnhw.data.cifar import TEST, TRAIN, parse_python

COUNT = 4


def records(seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (COUNT, 3072)).astype(np.uint8), rng.integers(0, 10, COUNT).tolist()


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate((*TRAIN, TEST)):
        pixels, labels = records(seed)
        (folder / f"{name}.bin").write_bytes(np.column_stack([np.array(labels, np.uint8), pixels]).tobytes())


def write_python(folder: Path, protocol: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate((*TRAIN, TEST)):
        pixels, labels = records(seed)
        batch = {b"batch_label": b"x", b"labels": labels, b"data": pixels, b"filenames": [b"a.png"] * COUNT}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_both_layouts_hold_the_same_data(tmp_path: Path, protocol: int) -> None:
    write_binary(tmp_path / "b" / "cifar-10-batches-bin")
    write_python(tmp_path / "p", protocol)
    binary, python = load("cifar10", tmp_path / "b"), load("cifar10", tmp_path / "p")
    assert binary.digest() == python.digest()
    assert np.array_equal(binary.train_images[:COUNT].reshape(COUNT, -1), records(0)[0])
    assert binary.test_labels.tolist() == records(len(TRAIN))[1]
    assert binary.shape == (3, 32, 32)


def test_an_archive_is_read_without_extracting_it(tmp_path: Path) -> None:
    write_binary(tmp_path / "cifar-10-batches-bin")
    expected = load("cifar10", tmp_path).digest()
    target = tmp_path / "packed"
    target.mkdir()
    with tarfile.open(target / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    assert load("cifar10", target).digest() == expected
    assert [path.name for path in target.iterdir()] == ["cifar-10-binary.tar.gz"]


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    write_python(tmp_path)
    marker = tmp_path / "it-ran"
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Hostile(marker), b"labels": [1]}))
    with pytest.raises(DataError, match="data_batch_3"):
        load("cifar10", tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
        {b"data": np.zeros((1, 3071), np.uint8), b"labels": [1]},
        {b"data": np.zeros((1, 3072), np.float32), b"labels": [1]},
        {b"data": np.zeros((1, 3072), object), b"labels": [1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [11]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": ["1"]},
        [1, 2, 3],
    ],
)
def test_a_pickle_of_something_else_is_refused(batch: object) -> None:
    with pytest.raises(DataError):
        parse_python(pickle.dumps(batch, 2), "batch")


def test_every_truncation_of_a_batch_is_refused() -> None:
    pixels, labels = records(0)
    content = pickle.dumps({b"labels": labels, b"data": pixels}, 2)
    assert np.array_equal(parse_python(content, "batch")[0].reshape(COUNT, -1), pixels)
    for length in [*range(0, 200), *range(len(content) - 100, len(content))]:
        with pytest.raises(DataError):
            parse_python(content[:length], "batch")


def test_a_missing_or_cut_batch_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    path = tmp_path / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        load("cifar10", tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        load("cifar10", tmp_path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        info.size = 3073
        archive.addfile(info, io.BytesIO(bytes(3073)))
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(buffer.getvalue()[:60])
    with pytest.raises(DataError, match="cifar-10-binary"):
        load("cifar10", tmp_path)
