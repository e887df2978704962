"""Bit-exactness: every architecture, with every instruction set of this processor, beside the NumPy reference.

    python benchmarks/exactness.py [--architecture vgg-small] [--images 10000] [--processes 2]

Weights are random and 70 % zero; batch norms are calibrated, so about half of the bits are set. Each image has its own
range of grey, so some are dark, some flat and some full of contrast. All scores are compared, not only the classes.
The exit code is 1 if one score of one image differs. The reference is slow: all of it takes about an hour of one
core, most of it for vgg-small.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from bnnhw.inference import compile
from bnnhw.kernels import instruction_set
from bnnhw.model import IntegerModel, reference
from bnnhw.nn import ARCHITECTURES, build
from bnnhw.train import calibrate, lower

BATCH = 100


def shape_of(arch: str) -> tuple[int, int, int]:
    """CNV pads nothing and needs 32x32; the others read MNIST's size."""
    return (3, 32, 32) if arch == "cnv" else (1, 28, 28)


def images(shape: tuple[int, int, int], count: int, seed: int) -> npt.NDArray[np.uint8]:
    """uint8[count, *shape]; the grey levels of an image are uniform between two that are its own."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.integers(0, 256, (count, 2)), axis=1)
    return rng.integers(
        ends[:, 0, None, None, None], ends[:, 1, None, None, None], (count, *shape), np.uint8, endpoint=True
    )


def network(arch: str) -> IntegerModel:
    torch.manual_seed(0)
    shape = shape_of(arch)
    net = build(arch, shape, (0, 255), 10, quantizer=(102,), density=0.3)
    calibrate(net, images(shape, 200, seed=0))
    return lower(net)


def wrong_images(model: IntegerModel, pixels: npt.NDArray[np.uint8]) -> Counter[str]:
    """How many images get other scores than the reference's, by instruction set."""
    expected = reference.scores(model, pixels)
    found = Counter[str]()
    for name in instruction_set.available():
        with instruction_set.using(name):
            found[name] = int((compile(model, threads=1)(pixels) != expected).any(axis=1).sum())
    return found


def wrong_of(job: tuple[IntegerModel, int, int]) -> Counter[str]:
    """Of one batch: a model, a number of images and their seed."""
    model, count, seed = job
    return wrong_images(model, images(model.quantizer.shape, count, seed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append", help="only this one; may be repeated")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    total = 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for arch in arguments.architecture or ARCHITECTURES:
            model = network(arch)
            sizes = [len(part) for part in np.array_split(range(arguments.images), -(-arguments.images // BATCH))]
            found: Counter[str] = Counter(dict.fromkeys(instruction_set.available(), 0))
            batches: Iterator[Counter[str]] = pool.map(wrong_of, [(model, size, n + 1) for n, size in enumerate(sizes)])
            for part in track(batches, description=arch, total=len(sizes), disable=not sys.stderr.isatty()):
                found.update(part)
            print(f"{arch}: images with other scores, of {arguments.images:,}: {dict(found)}", flush=True)
            total += found.total()
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
