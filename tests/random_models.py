"""Random IntegerModels for hypothesis: every layer kind, small enough for brute force over their inputs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer
from bnnhw.model.layers import Hidden, Shape, output_shape
from bnnhw.model.reference import predict


def random_model(
    rng: np.random.Generator,
    shape: Shape = (1, 4, 4),
    levels: int = 3,
    hidden: int = 2,
    classes: int = 3,
    pixel_range: tuple[int, int] = (0, 12),
    per_position: bool = True,
    overhang: bool = True,
) -> IntegerModel:
    """A random model; convolutions while the image is larger than 1x1, a dense or pooling layer now and then.

    overhang: whether a kernel may be larger than its image, where padding makes room for it.
    """
    low, high = pixel_range
    sides = (levels, 1, 1, 1) if rng.random() < 0.7 else (levels, *shape)
    thresholds = np.sort(rng.integers(low, high + 2, sides), axis=0)
    quantizer = Quantizer(shape, thresholds, low, high)
    layers: list[Hidden] = []
    current, highest = shape, levels
    while len(layers) < hidden:
        choice = rng.random()
        if highest == 1 and current[1] > 1 and current[2] > 1 and choice < 0.25:
            pool = MaxPool((2, 2), _pair(rng, 1, 2), rng.random(current[0]) < 0.3)
            layers.append(pool)
        elif current[1] > 1 and current[2] > 1 and choice < 0.75:
            out, kernel = int(rng.integers(1, 4)), _pair(rng, 1, 3 if overhang else min(3, current[1], current[2]))
            padding = random_padding(rng, kernel, current)
            weights = _weights(rng, (out, current[0], *kernel))
            stride = _pair(rng, 1, 2)
            blank = Conv(weights, np.zeros(out, np.int32), np.zeros(out, bool), stride, padding)
            made = output_shape(blank, current)
            t_shape = made if per_position and rng.random() < 0.3 else (out,)
            layers.append(Conv(weights, _limits(rng, t_shape, highest), rng.random(out) < 0.4, stride, padding))
            highest = 1
        else:
            out = int(rng.integers(1, 7))
            weights = _weights(rng, (out, int(np.prod(current))))
            layers.append(Dense(weights, _limits(rng, (out,), highest), rng.random(out) < 0.4))
            highest = 1
        current = output_shape(layers[-1], current)
    weights = _weights(rng, (classes, int(np.prod(current))))
    shift = int(rng.integers(0, 3))
    return IntegerModel(quantizer, tuple(layers), Output(weights, rng.integers(-4, 5, classes), shift))


def random_classifier(rng: np.random.Generator, images: np.ndarray, hidden: int, levels: int) -> IntegerModel:
    """A random model that does not give all of these images, of pixels 0..4, one class, as nine in ten tiny ones do."""
    while True:
        model = random_model(rng, images.shape[1:], levels, hidden, pixel_range=(0, 4))
        if len(np.unique(predict(model, images))) > 1:
            return model


def random_padding(rng: np.random.Generator, kernel: tuple[int, int], shape: Shape) -> tuple[int, int]:
    """Less than the kernel, and enough that it fits an image of this shape."""
    least = [max(0, (side - room + 1) // 2) for side, room in zip(kernel, shape[1:], strict=True)]
    return (int(rng.integers(least[0], kernel[0])), int(rng.integers(least[1], kernel[1])))


def _pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    return (int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1)))


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    density = rng.choice([0.3, 0.7, 1.0])
    return rng.choice([-1, 1], shape) * (rng.random(shape) < density)


def _limits(rng: np.random.Generator, shape: tuple[int, ...], highest: int) -> np.ndarray:
    return rng.integers(-2 * highest, 2 * highest + 2, shape)


def random_pixels(rng: np.random.Generator, model: IntegerModel, count: int) -> np.ndarray:
    """``count`` random images of the model's shape and pixel range."""
    q = model.quantizer
    return rng.integers(q.pixel_min, q.pixel_max + 1, (count, *q.shape))


@st.composite
def models(draw: st.DrawFn) -> IntegerModel:
    """Random models of mixed shapes, ranges and depths."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    low = draw(st.sampled_from([0, 0, -5]))
    return random_model(
        rng,
        shape,
        levels=draw(st.integers(1, 4)),
        hidden=draw(st.integers(1, 3)),
        classes=draw(st.integers(1, 4)),
        pixel_range=(low, low + draw(st.integers(1, 20))),
    )


def random_digits_model(seed: int) -> IntegerModel:
    """Of the digits' shape: a convolution and a dense layer."""
    rng = np.random.default_rng(seed)
    conv = Conv(rng.integers(-1, 2, (4, 1, 3, 3)), rng.integers(-1, 2, 4), [False, True, False, False], (2, 2), (1, 1))
    dense = Dense(rng.integers(-1, 2, (12, 64)), rng.integers(-2, 3, 12), rng.random(12) < 0.5)
    output = Output(rng.integers(-1, 2, (10, 12)), rng.integers(-9, 10, 10), 2)
    return IntegerModel(Quantizer((1, 8, 8), [4, 9], 0, 16), (conv, dense), output)
