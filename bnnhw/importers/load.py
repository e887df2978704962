"""Which published format a file has, and the model in it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.importers import bnn_verification, eev
from bnnhw.importers.archive import SourceError, read_archive
from bnnhw.model import IntegerModel, ModelError

_FORMATS = {module.FORMAT: module for module in (bnn_verification, eev)}
FORMATS = tuple(_FORMATS)
"""The names of the formats that can be imported."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A model and what its file says about it.

    format: one of FORMATS. predictions: int64[N], the published classes of the first N images of the data set's test
    set, or None where the format has none.
    """

    model: IntegerModel
    format: str
    predictions: npt.NDArray[np.int64] | None = None


def load(path: str | os.PathLike[str], format: str | None = None) -> Imported:
    """The model of a published file, exactly. format: one of FORMATS; by default recognised from the file's arrays.

    Raises SourceError for a file that is missing, damaged, foreign or does not make a well-formed model.
    """
    if format is not None and format not in _FORMATS:
        raise SourceError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    archive = read_archive(path)
    if format is None:
        format = next((name for name, module in _FORMATS.items() if module.recognises(archive)), None)
    if format is None:
        raise SourceError(f"{archive.path} is of no known format ({', '.join(FORMATS)}): its arrays have other names")
    try:
        model = _FORMATS[format].convert(archive)
    except ModelError as error:
        raise SourceError(f"{archive.path} does not make a model: {error}") from None
    return Imported(model, format, eev.stored_predictions(archive) if format == eev.FORMAT else None)
