"""Where a data set's name leads: the bundled digits, a local folder, a known system folder, or a download."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bnnhw.data import cifar
from bnnhw.data.dataset import DataError, Dataset
from bnnhw.data.digits import load_bundled_digits
from bnnhw.data.download import REMOTES, fetch_missing
from bnnhw.data.idx import load_idx
from bnnhw.data.tree import load_tree


@dataclass(frozen=True)
class _Known:
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    files: str
    system_folder: str = ""


_IDX = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (or .gz)"
_TREE = "train and test as folders or .tar files of CLASS/image"
_KNOWN = {
    "mnist": _Known((1, 28, 28), tuple(map(str, range(10))), _IDX),
    "fashion-mnist": _Known(
        (1, 28, 28),
        ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"),
        _IDX,
        "/usr/share/datasets/fashion-mnist",
    ),
    "cifar10": _Known(cifar.SHAPE, cifar.CLASSES, "cifar-10-batches-bin/ or cifar-10-batches-py/"),
}
NAMES = ("digits", *_KNOWN)
"""The names that ``load`` knows."""


def cache_folder(name: str) -> Path:
    """Where downloads of ``name`` are kept: below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bnnhw" / name


def _from_folder(name: str, folder: Path) -> Dataset | None:
    known = _KNOWN[name]
    if name == "cifar10":
        found = cifar.load_batches(name, folder)
    else:
        found = load_idx(name, folder, known.class_names, "IDX files")
    found = found or load_tree(name, folder, known.shape[0], known.class_names)
    if found is not None and found.shape != known.shape:
        raise DataError(f"{folder} holds images of {found.shape}, but {name} has {known.shape}: check the folder")
    return found


def _search(name: str, folders: list[Path]) -> Dataset | None:
    return next((found for folder in folders if folder.is_dir() and (found := _from_folder(name, folder))), None)


def load(name: str, root: str | Path | None = None, download: bool = False) -> Dataset:
    """The data set ``name`` (one of ``NAMES``) as raw integer pixels.

    root: the folder that holds its files; by default the download cache and, for Fashion-MNIST, the folder of Debian's
    package dataset-fashion-mnist. download: fetch what the folder lacks from public mirrors, checked by SHA-256.
    Raises DataError when files are missing or damaged; ``digits`` needs no files.
    """
    if name == "digits":
        return load_bundled_digits()
    if name not in _KNOWN:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(NAMES)}")
    known = _KNOWN[name]
    if root is not None and not Path(root).is_dir():
        raise DataError(f"{root} is not a folder: create it and put {known.files} of {name} there")
    folders = [Path(root)] if root is not None else [cache_folder(name)]
    if root is None and known.system_folder:
        folders.append(Path(known.system_folder))
    try:
        found = _search(name, folders)
    except DataError:
        if not download:
            raise
        found = None
    if found is None and download:
        fetch_missing(REMOTES[name], folders[0])
        found = _search(name, folders)
    if found is None:
        raise DataError(f"{name} was not found: put {known.files}, or {_TREE}, into {' or '.join(map(str, folders))}")
    return found
