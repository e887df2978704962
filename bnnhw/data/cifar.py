"""CIFAR-10's own files: binary batches (one label byte and 3072 pixel bytes a record) and python batches (pickles).

A pickle from the internet can run anything while it is loaded. The reader here knows the five names that a CIFAR batch
uses, replaces each by a stand-in that only stores what it is given, and refuses every other name: no constructor of
any library ever runs on the file's data. Batches are found in the folder, in its usual subfolder, or in the archive.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.data.dataset import DataError, Dataset

SHAPE = (3, 32, 32)
PIXELS = 3072
MAX_BATCH_BYTES = 1 << 26
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = "test_batch"
SOURCES = (
    ("cifar-10-batches-bin", ".bin", "cifar-10-binary.tar.gz"),
    ("cifar-10-batches-py", "", "cifar-10-python.tar.gz"),
)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def parse_binary(content: bytes, where: str) -> Batch:
    """Images uint8[N, 3, 32, 32] and labels int64[N] of a binary batch."""
    if not content or len(content) % (PIXELS + 1):
        raise DataError(
            f"{where} has {len(content)} bytes, not a multiple of {PIXELS + 1}: it is damaged, fetch it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + 1)
    return records[:, 1:].reshape(-1, *SHAPE).copy(), records[:, 0].astype(np.int64)


class _DataType:
    """Stands in for numpy.dtype: keeps its code, ignores its state."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands in for numpy.ndarray: keeps what the pickle says an array's state is."""

    state: object = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("unexpected text encoding")
    return text.encode("latin1")


_STANDINS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STANDINS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STANDINS[module, name]


def _pixels(array: object) -> npt.NDArray[np.uint8] | None:
    """uint8[N, 3072] from a stand-in array; None when it is anything else."""
    if not isinstance(array, _Array) or not isinstance(array.state, tuple) or len(array.state) != 5:
        return None
    _, shape, kind, column_major, content = array.state
    if not isinstance(kind, _DataType) or kind.code not in ("u1", b"u1"):
        return None
    if not isinstance(content, bytes) or not isinstance(shape, tuple) or len(shape) != 2:
        return None
    if any(type(n) is not int for n in shape) or shape[1] != PIXELS or shape[0] * PIXELS != len(content):
        return None
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if column_major else "C")


def parse_python(content: bytes, where: str) -> Batch:
    """Images uint8[N, 3, 32, 32] and labels int64[N] of a python batch, without running anything the file names."""
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a hostile or damaged pickle can make the unpickler raise nearly anything
        raise DataError(f"{where} is not a CIFAR-10 python batch ({error}): fetch it again") from error
    if isinstance(batch, dict):
        pixels = _pixels(batch.get(b"data", batch.get("data")))
        labels = batch.get(b"labels", batch.get("labels"))
        if (
            pixels is not None
            and isinstance(labels, list)
            and len(labels) == len(pixels) > 0
            and all(type(label) is int and 0 <= label < len(CLASSES) for label in labels)
        ):
            return pixels.reshape(-1, *SHAPE).copy(), np.array(labels, np.int64)
    raise DataError(f"{where} does not hold CIFAR-10's pixels and labels: fetch it again")


def _from_folder(folder: Path, suffix: str) -> dict[str, bytes]:
    found = {}
    for name in (*TRAIN, TEST):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            if path.stat().st_size > MAX_BATCH_BYTES:
                raise DataError(f"{path} is larger than any CIFAR-10 batch: fetch it again")
            found[name] = path.read_bytes()
    return found


def _from_archive(path: Path, suffix: str) -> dict[str, bytes]:
    found = {}
    wanted = {f"{name}{suffix}": name for name in (*TRAIN, TEST)}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = wanted.get(member.name.rsplit("/", 1)[-1])
                if name and member.isfile() and member.size <= MAX_BATCH_BYTES:
                    file = archive.extractfile(member)
                    found[name] = file.read() if file else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from error
    return found


def load_batches(name: str, root: Path) -> Dataset | None:
    """CIFAR-10 from ``root``; None when no batch is there, DataError when only some are."""
    for folder, suffix, archive in SOURCES:
        contents = _from_folder(root, suffix) or _from_folder(root / folder, suffix)
        if not contents and (root / archive).is_file():
            contents = _from_archive(root / archive, suffix)
        if not contents:
            continue
        missing = [f"{batch}{suffix}" for batch in (*TRAIN, TEST) if batch not in contents]
        if missing:
            raise DataError(f"{root} lacks {', '.join(missing)}: put all six CIFAR-10 batches there")
        parse = parse_binary if suffix else parse_python
        batches = {batch: parse(contents[batch], f"{root}: {batch}{suffix}") for batch in contents}
        images = np.concatenate([batches[batch][0] for batch in TRAIN])
        labels = np.concatenate([batches[batch][1] for batch in TRAIN])
        test_images, test_labels = batches[TEST]
        return Dataset(name, images, labels, test_images, test_labels, 0, 255, CLASSES, "the original pixels")
    return None
