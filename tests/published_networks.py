"""Networks in the published formats that `bnnhw.importers` reads, made up at random, small, and full of exact ties."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]


def _batch_norm(rng: np.random.Generator, name: str, channels: int, spread: float) -> Arrays:
    """Shifts of 0 and whole means put a boundary exactly on an accumulator; scales are negative or 0 now and then."""
    return {
        f"{name}/N": np.array(0),
        f"{name}/gamma": rng.choice([-1.5, 0, 0.5, 1, 2.1], channels).astype("f4"),
        f"{name}/beta": (rng.choice([0, 0, 1], channels) * rng.normal(0, 1, channels)).astype("f4"),
        f"{name}/avg_mean": (np.round(rng.normal(0, 2, channels)) * spread).astype("f4"),
        f"{name}/avg_var": (rng.choice([0, 1, 4], channels) * rng.random(channels) * spread).astype("f4"),
    }


def bnn_verification(
    rng: np.random.Generator, pixels: int = 9, widths: tuple[int, ...] = (6, 5), classes: int = 4
) -> Arrays:
    """A random network in the collection's format; its weights are floats whose sign counts."""
    arrays = _batch_norm(rng, "input_bn", pixels, 0.2)
    arrays["input_bn/avg_mean"] = np.abs(arrays["input_bn/avg_mean"])
    inputs = pixels
    for k, width in enumerate(widths):
        arrays |= _batch_norm(rng, f"blocks/{k}/bn", width, 1)
        arrays[f"blocks/{k}/lin/W"] = rng.choice([-1, -0.5, 0, 1], (width, inputs)).astype("f4")
        arrays[f"blocks/{k}/lin/b"] = rng.choice([0, 0, 1, 0.3], width).astype("f4")
        inputs = width
    arrays["output_lin/W"] = rng.choice([-1, 1], (classes, inputs)).astype("f4")
    arrays["output_lin/b"] = rng.choice([0, 0.1, 2, -2, 40], classes).astype("f4")
    return arrays


def eev(rng: np.random.Generator, conv: bool = True, step: float = 0.3) -> Arrays:
    """A random network in EEV's format on MNIST's image size; its stored predictions are zeros."""
    kinds = ["conv", "flatten", "linear", "output"] if conv else ["flatten", "linear", "linear", "output"]
    arrays: Arrays = {"kinds": np.array(kinds), "quant_step": np.array(step), "description": np.array("{}")}
    arrays["test_pred_first1000"] = np.zeros(7, np.int8)
    inputs, shape = (784, (5, 784)) if not conv else (5 * 4 * 4, (5, 1, 7, 7))
    if conv:
        arrays |= {"L0_stride": np.array([7, 7]), "L0_padding": np.array([0, 0])}
    for index, size in ((0 if conv else 1, shape), (2, (6, inputs if conv else 5)), (3, (4, 6))):
        arrays[f"L{index}_weight"] = rng.integers(-1, 2, size).astype(np.int8)
        arrays[f"L{index}_sign"] = rng.choice([-1, 1], size[0]).astype(np.int8)
        arrays[f"L{index}_bias"] = rng.integers(-3, 4, size[0]).astype(np.int32)
    arrays["L3_bias"] = rng.choice([0, 0.1, 1, -1, -9.75], 4).astype("f4")
    return arrays
