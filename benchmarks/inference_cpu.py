"""Images per second of bit-exact inference: the compiled program beside the network in torch float32, by batch size.

Weights, thresholds and pixels are random (speed does not depend on them); the shapes are those of published robust
binarized networks. Torch runs the same arithmetic in float32, which is exact here because every sum is below 2**24.
First the program must equal the NumPy reference on --check images with every instruction set of this processor, and
torch on a batch; otherwise the benchmark fails. Every figure is the median of the repeats:
`python benchmarks/inference_cpu.py [--threads 2] [--repeat 5]`. On a machine that others use, compare with
`--threads 1 --clock cpu`, which counts only the time the process itself computes.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from exactness import wrong_images

from bnnhw.inference import compile
from bnnhw.kernels import available_threads, instruction_set
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer, Shape
from bnnhw.model.layers import Hidden, output_shape

ConvSpec = tuple[int, int, int, int]
"""Output channels, kernel, stride, padding; a bare number is a dense layer's outputs and "pool" a 2x2 max pooling."""

BATCHES = (1, 256, 4096)

NETWORKS: dict[str, tuple[Shape, int, list[ConvSpec | int | str]]] = {
    "mnist mlp": ((1, 28, 28), 1, [500, 300, 200, 100]),
    "mnist conv-small": ((1, 28, 28), 1, [(16, 4, 2, 1), (32, 4, 2, 1), 100]),
    "mnist conv-small, 5 levels": ((1, 28, 28), 4, [(16, 4, 2, 1), (32, 4, 2, 1), 100]),
    "cifar conv-large, 16 levels": (
        (3, 32, 32),
        15,
        [(32, 3, 1, 1), (32, 4, 2, 1), (64, 3, 1, 1), (64, 4, 2, 1), 512, 512],
    ),
    "cifar vgg, 16 levels": (
        (3, 32, 32),
        15,
        [
            (64, 3, 1, 1),
            (64, 3, 1, 1),
            "pool",
            (128, 3, 1, 1),
            (128, 3, 1, 1),
            "pool",
            (256, 3, 1, 1),
            (256, 3, 1, 1),
            "pool",
            512,
            512,
        ],
    ),
}


def build(shape: Shape, levels: int, specs: list[ConvSpec | int | str], rng: np.random.Generator) -> IntegerModel:
    """A random model; half of its weights are zero and its bits are about half ones."""
    step = 256 // (levels + 1)
    quantizer = Quantizer(shape, np.arange(1, levels + 1, dtype=np.int32) * np.int32(step))
    layers: list[Hidden] = []
    current = shape

    def weights(*sizes: int) -> npt.NDArray[np.int8]:
        return (rng.integers(-1, 2, sizes) * rng.integers(0, 2, sizes)).astype(np.int8)

    def near_zero(count: int) -> npt.NDArray[np.int32]:
        return rng.integers(-5, 6, count, dtype=np.int32)

    for spec in specs:
        if isinstance(spec, str):
            layers.append(MaxPool((2, 2), (2, 2), np.zeros(current[0], bool)))
        elif isinstance(spec, int):
            layers.append(Dense(weights(spec, int(np.prod(current))), near_zero(spec), rng.random(spec) < 0.3))
        else:
            out, kernel, stride, padding = spec
            layers.append(
                Conv(
                    weights(out, current[0], kernel, kernel),
                    near_zero(out),
                    rng.random(out) < 0.3,
                    (stride, stride),
                    (padding, padding),
                )
            )
        current = output_shape(layers[-1], current)
    return IntegerModel(quantizer, tuple(layers), Output(weights(10, int(np.prod(current))), near_zero(10)))


def float_network(model: IntegerModel) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int64]]:
    """The model in torch float32, its weights converted once."""

    def tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.float32))

    cuts = tensor(model.quantizer.thresholds.ravel())
    weights = [None if isinstance(layer, MaxPool) else tensor(layer.weights) for layer in model.layers]
    # (acc >= t) for one direction and (-acc >= -t) for the other: one multiplication and one comparison.
    signs = [None if isinstance(layer, MaxPool) else tensor(1 - 2 * layer.less_equal) for layer in model.hidden]
    limits = [None if isinstance(layer, MaxPool) else tensor(layer.threshold) for layer in model.hidden]
    bias = tensor(model.output.bias)

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        with torch.inference_mode():
            # right=True counts the cuts that a pixel reaches.
            x = torch.bucketize(torch.from_numpy(pixels).float(), cuts, right=True).float()
            for layer, weight, sign, limit in zip(model.hidden, weights, signs, limits, strict=False):
                if weight is None or sign is None or limit is None:
                    x = F.max_pool2d(x, 2)
                    continue
                if isinstance(layer, Conv):
                    sums = F.conv2d(x, weight, stride=layer.stride, padding=layer.padding)
                else:
                    sums = F.linear(x.flatten(1), weight)[:, :, None, None]
                x = (sums * sign[:, None, None] >= (limit * sign)[:, None, None]).float()
            last = weights[-1]
            assert last is not None
            scores = F.linear(x.flatten(1), last) * 2**model.output.shift + bias
            integers: npt.NDArray[np.int64] = scores.numpy().astype(np.int64)
            return integers

    return run


def measure(run: Callable[[], object], images: int, repeat: int, clock: Callable[[], float]) -> float:
    """Median images per second, after one run that does not count."""
    run()
    seconds = []
    for _ in range(repeat):
        start = clock()
        run()
        seconds.append(clock() - start)
    return images / statistics.median(seconds)


def differing_sets(model: IntegerModel, pixels: npt.NDArray[np.uint8]) -> list[str]:
    """The instruction sets with which a score of the program's is not the reference's."""
    parts = np.array_split(pixels, 1 + len(pixels) // 250)
    return sorted({name for part in parts for name, count in wrong_images(model, part).items() if count})


def processor() -> str:
    """The processor's model name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=available_threads(), help="for the program and for torch")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--check", type=int, default=32, help="images to compare with the reference (default 32)")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="only this one; may be repeated")
    parser.add_argument("--batch", type=int, choices=BATCHES, action="append", help="only this size; may be repeated")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="which seconds count")
    arguments = parser.parse_args()
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    torch.set_num_threads(arguments.threads)
    print(
        f"{processor()}, {available_threads()} processors, {arguments.threads} threads, "
        f"{arguments.clock} clock; instructions {instruction_set.selected()}; "
        f"torch {torch.__version__}, NumPy {np.__version__}"
    )
    batches = arguments.batch or BATCHES
    columns = [f"{who}, batch {size}" for size in batches for who in ("program", "torch", "ratio")]
    print(f"{'images/s':28} " + " ".join(f"{column:>18}" for column in columns))
    for name in arguments.network or NETWORKS:
        shape, levels, specs = NETWORKS[name]
        rng = np.random.default_rng(0)
        model = build(shape, levels, specs, rng)
        wrong = differing_sets(model, rng.integers(0, 256, (arguments.check, *shape)).astype(np.uint8))
        if wrong:
            print(f"{name}: {', '.join(wrong)} and the reference disagree", file=sys.stderr)
            return 1
        print(f"{name}: {', '.join(instruction_set.available())} equal the reference on {arguments.check:,} images")
        program, in_float = compile(model, threads=arguments.threads), float_network(model)
        cells = []
        for size in batches:
            pixels = rng.integers(0, 256, (size, *shape)).astype(np.uint8)
            if not np.array_equal(program(pixels), in_float(pixels)):
                print(f"{name}: the program and torch disagree", file=sys.stderr)
                return 1
            repeat = arguments.repeat * max(1, 64 // size)
            fast = measure(partial(program, pixels), size, 4 * repeat, clock)
            floats = measure(partial(in_float, pixels), size, repeat, clock)
            cells += [f"{fast:18,.0f}", f"{floats:18,.0f}", f"{fast / floats:17.1f}x"]
        print(f"{name:28} " + " ".join(cells), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
