"""IDX files, the format of MNIST and Fashion-MNIST: big-endian header (type, rank, sizes), then unsigned bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from bnnhw.data.dataset import DataError, Dataset

UNSIGNED_BYTE = 8
MAX_BYTES = 1 << 30
FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def read_idx(path: Path, rank: int) -> npt.NDArray[np.uint8]:
    """The unsigned-byte array of ``rank`` dimensions in an IDX file, gzip-compressed if its name ends in ``.gz``.

    Raises DataError for a file that is not IDX, is cut short, or holds more than its header says.
    """
    try:
        with _open(path) as file:
            header = file.read(4 + 4 * rank)
            if len(header) < 4 + 4 * rank:
                raise DataError(f"{path} is cut short inside its header: fetch it again")
            zero, kind, found, *sizes = struct.unpack(f">HBB{rank}I", header)
            if zero != 0 or kind != UNSIGNED_BYTE or found != rank:
                raise DataError(f"{path} is not an IDX file of unsigned bytes with {rank} dimensions: fetch it again")
            count = math.prod(sizes)
            if not 0 < count <= MAX_BYTES:
                raise DataError(f"{path} declares {count} bytes, where 1..{MAX_BYTES} make sense: fetch it again")
            payload = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from error
    if len(payload) != count:
        held = "more" if len(payload) > count else f"only {len(payload)}"
        raise DataError(f"{path} declares {count} bytes but holds {held}: fetch it again")
    return np.frombuffer(payload, np.uint8).reshape(sizes)


def find(folder: Path, stem: str) -> Path | None:
    """``stem`` or ``stem.gz`` in ``folder``; dots before ``idx`` (``t10k-images.idx3-ubyte``) are accepted too."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def load_idx(name: str, folder: Path, class_names: tuple[str, ...], note: str) -> Dataset | None:
    """The four usual files of ``folder``; None when there is none of them, DataError when only some are there."""
    paths = {part: find(folder, stem) for part, stem in FILES.items()}
    missing = [stem for part, stem in FILES.items() if paths[part] is None]
    if len(missing) == len(FILES):
        return None
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)} (or .gz): put all four IDX files of {name} there")
    arrays = {part: read_idx(path, 3 if "images" in part else 1) for part, path in paths.items() if path}
    return Dataset(
        name,
        arrays["train_images"][:, None],
        arrays["train_labels"].astype(np.int64),
        arrays["test_images"][:, None],
        arrays["test_labels"].astype(np.int64),
        0,
        255,
        class_names,
        note,
    )
