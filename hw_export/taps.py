"""Every layer's output stream against the reference's activations: where the hardware goes wrong first.

The test bench records the words that pass between the parts of `bnn_top` by looking at its nets; the hardware itself
has nothing for it. A word is an output position, a bit a channel (`rtl/bnn_mvtu.sv`); the quantizer's has the levels of
some values of the input stream, the output layer's the counts of all classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.folding import Plan
from bnnhw.model import IntegerModel, reference
from bnnhw.model.layers import Shape


@dataclass(frozen=True)
class WrongValue:
    """A value that a layer gave and the reference does not have.

    layer: "level" for the quantizer, then "layer0" and so on, and "scores" (by class, and one more for the arg max).
    image, channel, row, column: where. expected, got: a level, a bit, the output layer's sum, a score; got is None
    where the stream ended before it, expected where it should have.
    """

    layer: str
    image: int
    channel: int
    row: int
    column: int
    expected: int | None
    got: int | None

    def __str__(self) -> str:
        got, expected = ("nothing" if value is None else value for value in (self.got, self.expected))
        where = f"image {self.image}, channel {self.channel}, row {self.row}, column {self.column}"
        return f"{self.layer}, {where}: {got} instead of {expected}"


@dataclass(frozen=True)
class Stream:
    """What passes between two parts. name: of its nets in bnn_top. shape: of an image's activations, in which words
    carry ``values`` of ``width`` bits each, channels first, then columns, then rows. less: what a sum has less than
    its count, by channel."""

    name: str
    shape: Shape
    values: int
    width: int
    less: npt.NDArray[np.int64]

    @property
    def words(self) -> int:
        """32-bit words that one word of the stream takes in a recording."""
        return (self.values * self.width + 31) // 32

    @property
    def beats(self) -> int:
        """Words of an image."""
        return prod(self.shape) // self.values

    def decode(self, recorded: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """The values in a recording, in the stream's order."""
        whole = recorded[: len(recorded) // self.words * self.words].reshape(-1, self.words)
        bits = np.unpackbits(whole.astype("<u4").view(np.uint8), axis=1, bitorder="little")
        fields = bits[:, : self.values * self.width].reshape(-1, self.width)
        channels = np.tile(self.less, fields.shape[0] // self.shape[0] + 1)[: fields.shape[0]]
        return fields.astype(np.int64) @ (1 << np.arange(self.width, dtype=np.int64)) - channels


def streams(plan: Plan) -> list[Stream]:
    """The quantizer's stream and every layer's, in order."""
    model = plan.model
    shape = model.quantizer.shape
    nothing = np.zeros(shape[0], np.int64)
    made = [Stream("level", shape, plan.values, model.quantizer.levels.bit_length(), nothing)]
    for index, stage in enumerate(plan.stages):
        width, less = 1, np.zeros(stage.made[0], np.int64)
        if index == len(plan.stages) - 1 and stage.counting is not None:
            width, less = stage.counting.width, stage.counting.bias
        made.append(Stream(f"layer{index}", stage.made, stage.made[0], width, less))
    return made


def _activations(model: IntegerModel, pixels: npt.NDArray[np.integer]) -> Iterator[npt.NDArray[np.int64]]:
    """What the streams should carry, [N, C, H, W] each: levels, bits, the output layer's sums."""
    made = reference.trace(model, pixels)
    yield made.levels
    for bits in made.bits:
        yield bits.astype(np.int64)
    last = made.accumulators[-1]
    assert last is not None
    yield last


def first_wrong(
    plan: Plan, pixels: npt.NDArray[np.integer], recorded: list[npt.NDArray[np.uint32]], ended: bool = True
) -> tuple[int, WrongValue | None]:
    """How many values were compared, and the first wrong one: of the first layer that has any, in the stream's order.

    pixels: images [N, C, H, W] that went in. recorded: what came out, for each of `streams`. ended: whether the
    simulation came to its end, so that a stream that stops early is wrong.
    """
    compared = 0
    for stream, wanted, words in zip(streams(plan), _activations(plan.model, pixels), recorded, strict=True):
        expected = wanted.transpose(0, 2, 3, 1).ravel()
        got = stream.decode(words)
        both = min(len(got), len(expected))
        compared += both
        different = np.flatnonzero(got[:both] != expected[:both])
        place = int(different[0]) if len(different) else both
        if place == len(got) and (place == len(expected) or not ended):
            continue
        channels, rows, columns = stream.shape
        image, row, column, channel = (
            int(i) for i in np.unravel_index(place, (len(pixels) + 1, rows, columns, channels))
        )
        right = int(expected[place]) if place < len(expected) else None
        found = int(got[place]) if place < len(got) else None
        return compared, WrongValue(stream.name, image, channel, row, column, right, found)
    return compared, None
