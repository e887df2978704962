"""Networks by name, for any image size and number of classes.

``conv-small`` and ``conv-large`` are the convolutional shapes that verification papers compare on (Wong and Kolter,
ICML 2018; Xiao et al., ICLR 2019; Jia and Rinard, NeurIPS 2020), with strides; ``conv-small-pool`` and
``conv-large-pool`` halve the image by pooling bits instead. ``mnist-mlp`` is dense (Narodytska et al., ICLR 2020).
``tfc``, ``sfc``, ``lfc`` and ``cnv`` are those that FINN puts on FPGAs (Umuroglu et al., FPGA 2017); ``cnv`` pads
nothing and needs images of 32x32. ``vgg-small`` is the binary network of Hubara et al. (NeurIPS 2016), which has no
residuals and pools accumulators before the batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnnhw.nn.binarize import Binarize
from bnnhw.nn.network import HiddenLayer, MaxPool, Network, OutputLayer
from bnnhw.nn.norm import BatchNorm, ScalarBatchNorm
from bnnhw.nn.quantizer import InputQuantizer, PixelRange
from bnnhw.nn.weights import BinConv2d, BinLinear

Shape = tuple[int, int, int]
POOL = 2
"""Side and stride of every max pooling."""


@dataclass(frozen=True)
class _Conv:
    """pool: behind it; pool_first: of accumulators, not of bits."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: bool = False
    pool_first: bool = False


@dataclass(frozen=True)
class _Architecture:
    convolutions: tuple[_Conv, ...]
    dense: tuple[int, ...]


def _pairs(channels: tuple[int, ...], padding: int, pooled: int, pool_first: bool) -> tuple[_Conv, ...]:
    """Two 3x3 convolutions for each number of channels; behind the first ``pooled`` pairs there is pooling."""
    return tuple(
        _Conv(count, padding=padding, pool=second and number < pooled, pool_first=pool_first)
        for number, count in enumerate(channels)
        for second in (False, True)
    )


_ARCHITECTURES = {
    "mnist-mlp": _Architecture((), (500, 300, 200, 100)),
    "conv-small": _Architecture((_Conv(16, 4, 2), _Conv(32, 4, 2)), (100,)),
    "conv-small-pool": _Architecture((_Conv(16, pool=True), _Conv(32, pool=True)), (100,)),
    "conv-large": _Architecture((_Conv(32), _Conv(32, 4, 2), _Conv(64), _Conv(64, 4, 2)), (512, 512)),
    "conv-large-pool": _Architecture(_pairs((32, 64), 1, 2, False), (512, 512)),
    "tfc": _Architecture((), (64, 64, 64)),
    "sfc": _Architecture((), (256, 256, 256)),
    "lfc": _Architecture((), (1024, 1024, 1024)),
    "cnv": _Architecture(_pairs((64, 128, 256), 0, 2, False), (512, 512)),
    "vgg-small": _Architecture(_pairs((128, 256, 512), 1, 3, True), (1024, 1024)),
}
ARCHITECTURES = tuple(_ARCHITECTURES)
"""The names that ``build`` knows."""


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
    if arch not in _ARCHITECTURES:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(ARCHITECTURES)}")
    if not width > 0 or classes < 2:
        raise ValueError(f"width {width} must be positive and the number of classes {classes} at least 2")
    if isinstance(quantizer, (float, int, str)):
        first = InputQuantizer.from_step(quantizer, pixel_range)
    else:
        first = InputQuantizer(quantizer, pixel_range)
    channels, height, columns = shape
    hidden: list[HiddenLayer] = []
    for conv in _ARCHITECTURES[arch].convolutions:
        outputs = _scaled(width, conv.channels)
        sides = [(side + 2 * conv.padding - conv.kernel) // conv.stride + 1 for side in (height, columns)]
        height, columns = (side // POOL for side in sides) if conv.pool else sides
        if height < 1 or columns < 1:
            raise ValueError(
                f"images of {shape[1]}x{shape[2]} are too small for {arch}: use a larger image or mnist-mlp"
            )
        convolution = BinConv2d(channels, outputs, conv.kernel, conv.stride, conv.padding, density)
        pool = MaxPool(POOL) if conv.pool else None
        hidden.append(
            HiddenLayer(convolution, BatchNorm(outputs), Binarize(gradient_scale), pool, conv.pool and conv.pool_first)
        )
        channels = outputs
    inputs = channels * height * columns
    for outputs in _ARCHITECTURES[arch].dense:
        outputs = _scaled(width, outputs)
        dense = BinLinear(inputs, outputs, density)
        hidden.append(HiddenLayer(dense, BatchNorm(outputs), Binarize(gradient_scale)))
        inputs = outputs
    output = OutputLayer(BinLinear(inputs, classes, density), ScalarBatchNorm(classes))
    return Network(first, hidden, output, shape)
