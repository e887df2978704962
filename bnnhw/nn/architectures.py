"""Networks by name, for any image size and number of classes.

``conv-small`` and ``conv-large`` are the convolutional shapes that verification papers compare on (Wong and Kolter,
ICML 2018; Xiao et al., ICLR 2019; Jia and Rinard, NeurIPS 2020), ``mnist-mlp`` is the dense one (Narodytska et al.,
ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

from bnnhw.nn.binarize import Binarize
from bnnhw.nn.network import HiddenLayer, Network, OutputLayer
from bnnhw.nn.norm import BatchNorm, ScalarBatchNorm
from bnnhw.nn.quantizer import InputQuantizer, PixelRange
from bnnhw.nn.weights import BinConv2d, BinLinear

Shape = tuple[int, int, int]
Convolution = tuple[int, int, int]
"""Output channels, kernel side, stride; padding 1."""

_CONVOLUTIONS: dict[str, tuple[Convolution, ...]] = {
    "mnist-mlp": (),
    "conv-small": ((16, 4, 2), (32, 4, 2)),
    "conv-large": ((32, 3, 1), (32, 4, 2), (64, 3, 1), (64, 4, 2)),
}
_DENSE: dict[str, tuple[int, ...]] = {"mnist-mlp": (500, 300, 200, 100), "conv-small": (100,), "conv-large": (512, 512)}
ARCHITECTURES = tuple(_CONVOLUTIONS)
"""The names that ``build`` knows."""
PADDING = 1


def _scaled(width: float, channels: int) -> int:
    return max(1, round(width * channels))


def build(
    arch: str,
    shape: Shape,
    pixel_range: PixelRange,
    classes: int,
    *,
    quantizer: float | str | Sequence[int],
    width: float = 1.0,
    density: float = 1.0,
    gradient_scale: float = 1.0,
) -> Network:
    """The network ``arch``, freshly initialised from torch's global random generator.

    shape: pixels' (C, H, W). quantizer: a step of [0, 1] pixels (a number, or its decimal text) or integer thresholds.
    width: multiplies every hidden layer's channels. density: share of weights present at the start. gradient_scale:
    c of ``Binarize``. Example: ``build("conv-small", (1, 28, 28), (0, 255), 10, quantizer=(102,))``.
    Raises ValueError for an unknown name or an image too small for the architecture.
    """
    if arch not in _CONVOLUTIONS:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(ARCHITECTURES)}")
    if not width > 0 or classes < 2:
        raise ValueError(f"width {width} must be positive and the number of classes {classes} at least 2")
    if isinstance(quantizer, (float, int, str)):
        first = InputQuantizer.from_step(quantizer, pixel_range)
    else:
        first = InputQuantizer(quantizer, pixel_range)
    channels, height, columns = shape
    hidden: list[HiddenLayer] = []
    for outputs, kernel, stride in _CONVOLUTIONS[arch]:
        outputs = _scaled(width, outputs)
        height = (height + 2 * PADDING - kernel) // stride + 1
        columns = (columns + 2 * PADDING - kernel) // stride + 1
        if height < 1 or columns < 1:
            raise ValueError(
                f"images of {shape[1]}x{shape[2]} are too small for {arch}: use a larger image or mnist-mlp"
            )
        convolution = BinConv2d(channels, outputs, kernel, stride, PADDING, density)
        hidden.append(HiddenLayer(convolution, BatchNorm(outputs), Binarize(gradient_scale)))
        channels = outputs
    inputs = channels * height * columns
    for outputs in _DENSE[arch]:
        outputs = _scaled(width, outputs)
        dense = BinLinear(inputs, outputs, density)
        hidden.append(HiddenLayer(dense, BatchNorm(outputs), Binarize(gradient_scale)))
        inputs = outputs
    output = OutputLayer(BinLinear(inputs, classes, density), ScalarBatchNorm(classes))
    return Network(first, hidden, output, shape)
