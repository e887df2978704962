"""Image trees: ``train/CLASS/*.png`` and ``test/CLASS/*.png``, as folders or as ``train.tar*`` and ``test.tar*``.

Nothing is extracted to disk: members of an archive are decoded from memory, in the order of their names.
"""

from __future__ import annotations

import io
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from bnnhw.data.dataset import DataError, Dataset, Images, Labels

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"}
LOSSY = {".jpg", ".jpeg"}
MAX_FILE_BYTES = 1 << 26
MAX_SIDE = 4096


def _source(root: Path, split: str) -> Path | None:
    if (root / split).is_dir():
        return root / split
    return next((path for path in sorted(root.glob(f"{split}.tar*")) if path.is_file()), None)


def _files(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Name and content of each image file below ``source``; the name's last folder is the class."""
    if source.is_dir():
        for path in sorted(source.glob("*/*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                if path.stat().st_size > MAX_FILE_BYTES:
                    raise DataError(f"{path} is larger than {MAX_FILE_BYTES} bytes: remove or shrink it")
                yield PurePosixPath(path.relative_to(source.parent).as_posix()), path.read_bytes()
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.suffix.lower() not in SUFFIXES:
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise DataError(f"{source}: {member.name} is larger than {MAX_FILE_BYTES} bytes")
                file = archive.extractfile(member)
                yield name, file.read() if file else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{source} cannot be read ({error}): make or fetch it again") from error


def _decode(content: bytes, channels: int, where: str) -> npt.NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                if max(image.size) > MAX_SIDE:
                    raise DataError(f"{where} is {image.size[0]}x{image.size[1]}, more than {MAX_SIDE} on a side")
                pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.uint8)
    except DataError:
        raise
    except Exception as error:  # decoders of damaged images raise many kinds
        raise DataError(f"{where} is not a readable image ({error}): replace it") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _read_split(source: Path, channels: int, class_names: tuple[str, ...]) -> tuple[Images, Labels, bool]:
    number = {name: label for label, name in enumerate(class_names)}
    found: list[tuple[str, int, npt.NDArray[np.uint8]]] = []
    lossy = False
    for name, content in _files(source):
        where = f"{source}: {name}"
        if name.parent.name not in number:
            raise DataError(f"{where} lies in no class folder: name the folders {', '.join(class_names)}")
        pixels = _decode(content, channels, where)
        if found and pixels.shape != found[0][2].shape:
            raise DataError(f"{where} is {pixels.shape}, the images before it {found[0][2].shape}: make them one size")
        found.append((str(name), number[name.parent.name], pixels))
        lossy = lossy or name.suffix.lower() in LOSSY
    if not found:
        raise DataError(f"{source} holds no images: put them there as CLASS/NAME.png")
    found.sort(key=lambda item: item[0])
    labels = np.array([label for _, label, _ in found], np.int64)
    return np.stack([pixels for _, _, pixels in found]), labels, lossy


def _interleaved(labels: Labels) -> npt.NDArray[np.intp]:
    """An order that takes one image of each class in turn, so that any first part of the set has every class."""
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    order: npt.NDArray[np.intp] = np.lexsort((labels, turn))
    return order


def load_tree(name: str, root: Path, channels: int, class_names: tuple[str, ...]) -> Dataset | None:
    """The trees of ``root``; None when there is neither train nor test, DataError when one of them is missing.

    A tree sorts its images by class; the Dataset takes one of each class in turn.
    """
    sources = {split: _source(root, split) for split in ("train", "test")}
    if sources["train"] is None and sources["test"] is None:
        return None
    if sources["train"] is None or sources["test"] is None:
        missing = "train" if sources["train"] is None else "test"
        raise DataError(f"{root} lacks {missing}: put a folder {missing}/CLASS/ or an archive {missing}.tar.xz there")
    images, labels, lossy = _read_split(sources["train"], channels, class_names)
    test_images, test_labels, test_lossy = _read_split(sources["test"], channels, class_names)
    order, test_order = _interleaved(labels), _interleaved(test_labels)
    note = "pixels decoded from JPEG files, not the original ones" if lossy or test_lossy else "pixels of image files"
    return Dataset(
        name,
        images[order],
        labels[order],
        test_images[test_order],
        test_labels[test_order],
        0,
        255,
        class_names,
        note,
    )
