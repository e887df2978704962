"""The geometry of a window that slides over an image: shared by convolutions and pooling."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A kernel of ``kernel`` (vertical, horizontal) taps over images of channels x height x width.

    stride and padding are (vertical, horizontal); a padded tap contributes nothing. Along each side there are
    ``(size + 2 * padding - kernel) // stride + 1`` positions. ValueError if there is none.
    """

    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width, *self.kernel, *self.stride) < 1 or min(self.padding) < 0:
            raise ValueError(f"sizes and strides must be positive and padding not negative: {self}")
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"the kernel does not fit the padded image: {self}")

    @property
    def rows(self) -> int:
        return (self.height + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def columns(self) -> int:
        return (self.width + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def positions(self) -> int:
        return self.rows * self.columns

    @property
    def image(self) -> int:
        """Values in an image."""
        return self.channels * self.height * self.width

    @property
    def patch(self) -> int:
        """Values under the kernel."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def geometry(self) -> tuple[int, int, int, int, int, int, int, int, int]:
        """As the C++ module takes it."""
        (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = self.kernel, self.stride, self.padding
        return (self.channels, self.height, self.width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w)
