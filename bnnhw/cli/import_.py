"""``bnnhw import``: a published network of others into a ``*.bnn`` file, checked against what was published with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

import bnnhw.importers
from bnnhw.cli.console import print_json, print_table, say
from bnnhw.cli.options import Json
from bnnhw.data.idx import read_idx
from bnnhw.importers import Imported, SourceError
from bnnhw.model import digest, save
from bnnhw.model.reference import classify
from bnnhw.pipeline import evaluate

Source = Annotated[Path, typer.Argument(help="A published network, *.npz.", show_default=False)]
ModelOut = Annotated[Path, typer.Option("--out", help="The model file to write, *.bnn.", show_default=False)]
Format = Annotated[
    str | None,
    typer.Option("--format", help=f"{' or '.join(bnnhw.importers.FORMATS)}; by default recognised from the file."),
]
Check = Annotated[
    list[Path] | None,
    typer.Option(
        "--check",
        help="Images to predict before writing: bnn-verification, PNG pictures with the label in their names, or a "
        "folder of them; eev, the IDX file of the test images, whose predictions the network's file holds. Repeatable.",
    ),
]


def _evidence(imported: Imported, paths: list[Path]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images uint8[N, C, H, W] and the classes int64[N] that the source or the pictures' names state for them."""
    if imported.predictions is None:
        files = [file for path in paths for file in (sorted(path.glob("*.png")) if path.is_dir() else [path])]
        if not files:
            raise SourceError(f"{paths[0]} holds no *.png picture to check with")
        pictures = [bnnhw.importers.read_image(file) for file in files]
        return np.stack([p.pixels for p in pictures]), np.array([p.label for p in pictures], np.int64)
    if len(paths) > 1 or paths[0].is_dir():
        raise SourceError(f"--check takes the one IDX file of the test images for {imported.format}, not {paths[-1]}")
    images = read_idx(paths[0], 3)[:, None]
    if len(images) < len(imported.predictions):
        raise SourceError(f"{paths[0]} holds {len(images)} images of the {len(imported.predictions)} predicted ones")
    return images[: len(imported.predictions)], imported.predictions


def import_model(source: Source, out: ModelOut, format: Format = None, check: Check = None, json: Json = False) -> None:
    """Convert a published network exactly: every bit, class and tie of its real arithmetic, in integers.

    With --check, each image must get the class that was published; otherwise nothing is written and the exit code is 1.
    """
    if not out.parent.is_dir():
        raise SourceError(f"{out.parent} is not a folder: create it first")
    imported = bnnhw.importers.load(source, format)
    result: dict[str, object] = {"model": str(out), "digest": digest(imported.model), "format": imported.format}
    mismatches = 0
    if check:
        images, expected = _evidence(imported, check)
        mismatches = int((classify(evaluate(imported.model, images)) != expected).sum())
        result |= {"checked": len(images), "mismatches": mismatches}
    if not mismatches:
        save(imported.model, out)
    if json:
        print_json(result)
    else:
        print_table(str(source), ["figure", "value"], [list(item) for item in result.items()])
    if mismatches:
        say(f"{mismatches} predictions differ: {out} was not written")
        raise typer.Exit(1)
