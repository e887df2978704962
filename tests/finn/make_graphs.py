"""Graphs for FINN, with images and the classes that the model gives them: python make_graphs.py FOLDER

A dense network, a convolutional one with stride and padding, and one with max-pooling; all random, with thresholds
in the middle of what their neurons see.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnnhw.hw_export import qonnx_graph
from bnnhw.hw_export.emit import stream_values
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer, reference

IMAGES = 20


def ternary(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice([-1, 1], shape) * (rng.random(shape) < 0.5)


def blobs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Images of all brightnesses; noise alone would look the same to every neuron."""
    coarse = rng.random((count, 1, 7, 7)) ** rng.integers(1, 6, (count, 1, 1, 1))
    return (255 * np.kron(coarse, np.ones((1, 1, 4, 4)))).astype(np.int64)


def balanced(rng: np.random.Generator, hidden: list[Conv | Dense | MaxPool], classes: np.ndarray) -> IntegerModel:
    """The network with thresholds in the middle of what its neurons see, and no class preferred."""
    pixels, images = Quantizer((1, 28, 28), np.array([60, 128]), 0, 255), blobs(rng, 40)
    output = Output(classes, np.zeros(len(classes), np.int32), 2)
    for index, layer in enumerate(hidden):
        if isinstance(layer, MaxPool):
            continue
        sums = reference.trace(IntegerModel(pixels, tuple(hidden), output), images).accumulators[index]
        middle = np.median(sums, axis=(0, 2, 3)).astype(np.int32)
        hidden[index] = replace(layer, threshold=middle, less_equal=rng.random(len(middle)) < 0.4)
    scores = reference.scores(IntegerModel(pixels, tuple(hidden), output), images)
    bias = rng.integers(-2, 3, len(classes)) - np.median(scores, axis=0).astype(np.int64)
    return IntegerModel(pixels, tuple(hidden), replace(output, bias=bias))


def networks() -> dict[str, IntegerModel]:
    rng = np.random.default_rng(20261125)

    def conv(out: int, channels: int, kernel: int, stride: int) -> Conv:
        weights = ternary(rng, out, channels, kernel, kernel)
        blank = np.zeros(out, np.int32), np.zeros(out, bool)
        return Conv(weights, *blank, (stride, stride), (kernel // 2, kernel // 2))

    def dense(out: int, inputs: int) -> Dense:
        return Dense(ternary(rng, out, inputs), np.zeros(out, np.int32), np.zeros(out, bool))

    def pool(conjunctive: np.ndarray) -> MaxPool:
        return MaxPool((2, 2), (2, 2), conjunctive)

    pooled = [conv(8, 1, 3, 1), pool(rng.random(8) < 0.5), conv(8, 8, 3, 1), pool(np.zeros(8, bool))]
    return {
        "dense": balanced(rng, [dense(64, 784), dense(32, 64)], ternary(rng, 10, 32)),
        "convolutions": balanced(rng, [conv(8, 1, 5, 2), conv(16, 8, 3, 2), dense(32, 784)], ternary(rng, 10, 32)),
        "pooled": balanced(rng, pooled, ternary(rng, 10, 8 * 49)),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(1)
    for name, model in networks().items():
        graph = qonnx_graph.write(model, folder / f"{name}.onnx")
        images = blobs(rng, IMAGES)
        classes = reference.classify(reference.scores(model, images))
        assert (qonnx_graph.classify(graph, model, images) == classes).all(), name
        assert len(set(classes.tolist())) > 2, f"{name}: {classes}"
        # One channel: channels first and channels last are the same stream.
        pixels = stream_values(model, images).astype(np.float32)
        np.savez(folder / f"{name}.npz", pixels=pixels, classes=classes)
        print(f"{name}: {len(set(classes.tolist()))} classes among {IMAGES} images, equal by qonnx")


if __name__ == "__main__":
    main()
