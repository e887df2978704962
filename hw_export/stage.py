"""A layer as a stage of the hardware: its geometry, its number formats, and how it is spread over time.

A folded stage with P output positions, N channels and T words of C levels under its kernel takes ``P * (N / PE) * T *
(C / SIMD)`` clocks an image, while the next image's words, one a clock at most, already come in. An unrolled one takes
a position a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from bnnhw.hw_export.counting import Counting, counting
from bnnhw.model import Conv, IntegerModel, MaxPool, Output, Shape
from bnnhw.model.layers import Hidden


@dataclass(frozen=True)
class Stage:
    """One layer as a hardware stage: geometry, number formats and folding.

    kernel, stride, padding: (vertical, horizontal). highest: largest input level, of `width` bits. counting: what its
    neurons count (None for pooling). pack: input positions joined to a word. pe, simd: neurons at once, inputs a clock.
    unrolled: all of them.
    """

    layer: Hidden | Output
    source: Shape
    made: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    highest: int
    counting: Counting | None
    pack: int = 1
    pe: int = 1
    simd: int = 1
    unrolled: bool = False

    @property
    def width(self) -> int:
        return self.highest.bit_length()

    @property
    def channels(self) -> int:
        """Levels of a word."""
        return self.source[0] * self.pack

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of words that come in: a dense layer's are one row."""
        rows, columns = self.source[1:]
        return (1, rows * columns // self.pack) if self.whole else (rows, columns)

    @property
    def whole(self) -> bool:
        """Whether the one window covers all the input."""
        return not isinstance(self.layer, (Conv, MaxPool))

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of words under the kernel."""
        return self.grid if self.whole else self.kernel

    @property
    def taps(self) -> int:
        return prod(self.window)

    @property
    def groups(self) -> int:
        return 1 if self.counting is None or self.unrolled else self.made[0] // self.pe

    @property
    def slices(self) -> int:
        return 1 if self.counting is None or self.unrolled else self.channels // self.simd

    @property
    def ring_rows(self) -> int:
        """Rows of words that the window keeps: those under the kernel, and those of its next step down."""
        if self.whole:
            return 2
        return max(self.kernel[0], self.stride[0]) + self.stride[0]

    @property
    def positions(self) -> int:
        return self.made[1] * self.made[2]

    @property
    def can_unroll(self) -> bool:
        """Whether its neurons have one threshold each, and give bits."""
        return self.counting is not None and self.counting.threshold.shape[1] == 1

    @property
    def cycles(self) -> int:
        """Clocks an image takes when words always come in time and its output is never stalled."""
        if self.unrolled:
            swept = 1 if self.whole else (self.made[2] - 1) * self.stride[1] + self.kernel[1]
            return max(prod(self.grid), self.made[1] * swept)
        return max(prod(self.grid), self.positions * self.groups * self.taps * self.slices)


def stages(model: IntegerModel) -> list[Stage]:
    """The stages before anything is folded."""
    made = []
    highest = model.quantizer.levels
    for layer, source, shape in zip(model.layers, model.shapes, model.shapes[1:], strict=False):
        if isinstance(layer, MaxPool):
            made.append(Stage(layer, source, shape, layer.kernel, layer.stride, (0, 0), 1, None))
            continue
        if isinstance(layer, Conv):
            kernel, stride, padding = layer.weights.shape[2:], layer.stride, layer.padding
        else:
            kernel, stride, padding = source[1:], (1, 1), (0, 0)
        made.append(Stage(layer, source, shape, kernel, stride, padding, highest, counting(layer, highest)))
        highest = 1
    return made
