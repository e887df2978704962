"""What `verify` and `compare` ask: how far images may change, and which images, read from their options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

import bnnhw.data
import bnnhw.importers
from bnnhw.model import Quantizer
from bnnhw.verify import Ball, PropertyError, Subject, pixel_radius
from bnnhw.verify.properties import Condition, Distance, Norm

Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        help="What all changes together may amount to: l0=3 (pixels changed), l1=40 (sum of changes in pixel units), "
        "l2=12.5 (Euclidean length) or l2_squared=156 (its square); repeatable, each asked on its own.",
    ),
]
Pictures = Annotated[
    list[Path] | None,
    typer.Option(
        "--image", help="A picture bnn_DATASET_NUMBER_labelLABEL.png to ask about instead of a data set; repeatable."
    ),
]

_NORMS: dict[str, Norm] = {"l0": "l0", "l1": "l1", "l2": "l2_squared", "l2_squared": "l2_squared"}
"""l2 is counted squared, in integers."""


@dataclass(frozen=True)
class Asked:
    """A ball as the user named it. eps: the number given to --eps, None for a budget."""

    ball: Ball
    eps: str | None = None

    def __str__(self) -> str:
        return str(self.ball) if self.eps is None else f"eps {self.eps}"

    def as_json(self) -> dict[str, object]:
        """For programs: the distance and its limit, and of an epsilon also what was given."""
        stated: dict[str, object] = {"distance": self.ball.distance, "limit": self.ball.limit}
        return stated if self.eps is None else {"eps": self.eps, "radius": self.ball.limit, **stated}


def balls(eps: list[str] | None, budgets: list[str] | None, quantizer: Quantizer) -> list[Asked]:
    """What the options ask for, each once and in their order; --eps 0.1 where there is neither."""
    if eps is None and budgets is None:
        eps = ["0.1"]
    asked = [Asked(Ball("linf", pixel_radius(one, quantizer)), one) for one in eps or []]
    asked += [Asked(budget_of(one)) for one in budgets or []]
    return list(dict.fromkeys(asked))


def budget_of(text: str) -> Ball:
    """``l0=3``, ``l1=40``, ``l2_squared=156`` or ``l2=12.5``, the same as that; PropertyError for anything else."""
    name, _, value = text.partition("=")
    try:
        size = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise PropertyError(
            f"budget {text!r} is not NAME=NUMBER: write l0=3, l1=40, l2=12.5 or l2_squared=156"
        ) from None
    if size < 0:
        raise PropertyError(f"budget {text!r} must not be negative")
    if name not in _NORMS:
        raise PropertyError(f"budget {text!r} has no known norm: choose l0, l1, l2 or l2_squared")
    return Ball(_NORMS[name], int(size * size if name == "l2" else size))


def distance_of(name: str) -> Distance:
    """A distance by its name; l2 stands for l2_squared, in which it is counted."""
    distances: dict[str, Distance] = {**_NORMS, "linf": "linf"}
    if name not in distances:
        raise PropertyError(f"--minimal {name} is no known distance: choose l0, l1, l2 or linf")
    return distances[name]


def subjects(
    dataset: str,
    data: Path | None,
    pictures: list[Path] | None,
    first: int,
    count: int,
    condition: Callable[[int], Condition | None],
) -> list[Subject]:
    """The pictures, if there are any, or ``count`` test images from number ``first``.

    condition: what to ask about an image of the given class; None leaves the image out.
    """
    chosen: list[tuple[int | str, npt.NDArray[np.integer], int]]
    if pictures:
        read = [bnnhw.importers.read_image(path) for path in pictures]
        chosen = [(path.name, one.pixels, one.label) for path, one in zip(pictures, read, strict=True)]
    else:
        images = bnnhw.data.load(dataset, data)
        if first >= len(images.test_images):
            raise ValueError(f"--first {first} is past the last of {len(images.test_images)} test images")
        end = min(first + count, len(images.test_images))
        chosen = [(i, images.test_images[i], int(images.test_labels[i])) for i in range(first, end)]
    asked = [(name, image, label, condition(label)) for name, image, label in chosen]
    return [Subject(name, image, wanted, label) for name, image, label, wanted in asked if wanted is not None]
