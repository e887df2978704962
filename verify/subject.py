"""What a campaign asks about: an image with the name that its records carry."""

from __future__ import annotations

from dataclasses import dataclass

from bnnhw.verify.properties import Condition, Pixels


@dataclass(frozen=True, eq=False)
class Subject:
    """An image that a campaign asks about. name: its number in its data set, or its file's name, for the records.

    image: integers [C, H, W]. condition: what every image near it must meet. label: its class, if one is known.
    """

    name: int | str
    image: Pixels
    condition: Condition
    label: int | None = None
