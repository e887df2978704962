"""A published ``.npz`` file as named arrays: read without pickles, every array checked as it is taken out.

Parameters are floats, and a float is a rational number. `rationals` hands them on as `fractions.Fraction`, so that
nothing after this module computes in floating point.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_BYTES = 1 << 30
"""Largest sum of array sizes that is read."""


class SourceError(ValueError):
    """A file that cannot be imported; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True, eq=False)
class Archive:
    """The arrays of one ``.npz`` file by name. path: the file, for messages."""

    path: str
    arrays: Mapping[str, npt.NDArray[Any]]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """The arrays of an ``.npz`` file; SourceError where it cannot be read, is no such file, or holds Python objects."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise SourceError(f"{name} is not an .npz file: give the published file as it is")
            stream.seek(0)
            with zipfile.ZipFile(stream) as members:
                size = sum(member.file_size for member in members.infolist())
            if size > MAX_BYTES:
                raise SourceError(f"{name} unpacks to {size} bytes, more than the {MAX_BYTES} that are read")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as loaded:
                arrays = {key: loaded[key] for key in loaded.files}
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}") from None
    except SourceError:
        raise
    except (ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{name} is damaged ({error}): fetch it again") from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise SourceError(f"{name} holds members that are not arrays: give the published file as it is")
    return Archive(name, arrays)


def take(archive: Archive, key: str, kinds: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Array ``key``, its dtype kind one of ``kinds`` and its shape ``shape`` (None: any size but 0)."""
    if key not in archive:
        raise SourceError(f"{archive.path} has no array {key!r}: it is not a whole model of this format")
    array = archive.arrays[key]
    fits = len(array.shape) == len(shape) and all(
        have == want if want is not None else have > 0 for have, want in zip(array.shape, shape, strict=True)
    )
    if array.dtype.kind not in kinds or not fits:
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise SourceError(f"{archive.path}: {key} must have shape {wanted}, not {array.dtype}{array.shape}")
    return array


def rationals(archive: Archive, key: str, count: int) -> list[Fraction]:
    """The exact values of a vector of ``count`` floats; SourceError for one that is not finite."""
    values = take(archive, key, "f", (count,))
    if not np.isfinite(values).all():
        raise SourceError(f"{archive.path}: {key} has a value that is not finite: the network did not train")
    return [Fraction(float(value)) for value in values]


def refuse_others(archive: Archive, known: Iterable[str]) -> None:
    """SourceError if the file holds an array that its format does not have: it may mean something."""
    others = sorted(set(archive.arrays) - set(known))
    if others:
        raise SourceError(f"{archive.path} has an array {others[0]!r} that is not known in this format")
