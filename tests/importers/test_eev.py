"""EEV's networks: the published meaning of every layer, and the published predictions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import published_networks
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.data.idx import read_idx
from bnnhw.importers import SourceError, eev, load
from bnnhw.importers.archive import Archive, read_archive
from bnnhw.model import IntegerModel, ModelError
from bnnhw.model.reference import predict, trace

NAMES = ["mnist-mlp", "mnist-s-adv0.1-cbd"]


def convert(arrays: published_networks.Arrays) -> IntegerModel:
    return eev.convert(Archive("net.npz", arrays))


def exact_scores(arrays: published_networks.Arrays, image: np.ndarray[Any, Any]) -> list[Fraction]:
    """The real scores of one image [1, 28, 28], by the format's own definition; its convolution has no overlaps."""
    step = Fraction(str(float(arrays["quant_step"])))
    values = np.array([round(Fraction(int(p), 255) / step) for p in image.reshape(-1)])
    kinds = arrays["kinds"].tolist()
    for index, kind in enumerate(kinds):
        if kind == "flatten":
            continue
        weights = arrays[f"L{index}_weight"].astype(int)
        signs, bias = arrays[f"L{index}_sign"].tolist(), arrays[f"L{index}_bias"].tolist()
        if kind == "conv":
            tiles = values.reshape(4, 7, 4, 7).transpose(1, 3, 0, 2).reshape(49, 16)
            sums = weights.reshape(len(weights), 49) @ tiles
        else:
            sums = weights @ values.reshape(-1, 1)
        if kind == "output":
            return [s * (int(x) + Fraction(b)) for s, x, b in zip(signs, sums[:, 0], bias, strict=True)]
        values = np.array([[s * (x + b) >= 0 for x in row] for s, row, b in zip(signs, sums, bias, strict=True)])
        values = values.reshape(-1).astype(int)
    raise AssertionError("no output layer")


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), conv=st.booleans(), step=st.sampled_from([0.61, 0.3, 0.1, 0.064]))
def test_the_highest_scores_are_those_of_the_definition(seed: int, conv: bool, step: float) -> None:
    rng = np.random.default_rng(seed)
    arrays = published_networks.eev(rng, conv, step)
    model = convert(arrays)
    images = rng.choice([0, 25, 77, 78, 204, 233, 234, 255], (4, 1, 28, 28))
    for image, scores in zip(images, trace(model, images).scores, strict=True):
        wanted = exact_scores(arrays, image)
        assert [s == scores.max() for s in scores] == [s == max(wanted) for s in wanted]


def change(key: str, value: Any) -> published_networks.Arrays:
    arrays = published_networks.eev(np.random.default_rng(2))
    arrays[key] = np.asarray(value)
    return arrays


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kinds", ["conv", "pool", "output"], "conv, pool, output"),
        ("kinds", ["conv", "linear"], "then one output"),
        ("kinds", ["output"], "no hidden layer"),
        ("kinds", ["conv", "flatten", "flatten", "linear", "output"], "L3_bias must have shape"),
        ("quant_step", 0.0, "must lie in"),
        ("quant_step", np.inf, "no step"),
        ("quant_step", 0.001, "enlarge it"),
        ("L0_sign", np.zeros(5, int), "only -1 and \\+1"),
        ("L0_weight", np.ones((5, 2, 7, 7), int), "neither MNIST nor CIFAR-10"),
        ("L3_bias", [0.0, np.inf, 0, 0], "not finite"),
    ],
)
def test_what_does_not_fit_is_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        convert(change(key, value))


def test_layers_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    arrays = change("L2_weight", np.ones((6, 81), np.int8))
    with pytest.raises(ModelError):
        convert(arrays)
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(SourceError, match=r"net\.npz does not make a model: layer 2"):
        load(tmp_path / "net.npz")


@pytest.mark.parametrize("name", NAMES)
def test_published_predictions_are_reproduced(eev_models: Path, mnist: Path, name: str) -> None:
    imported = load(eev_models / f"{name}.npz")
    assert imported.predictions is not None
    images = read_idx(mnist / "t10k-images-idx3-ubyte.gz", 3)[: len(imported.predictions), None]
    assert len(images) == 1000
    parts = [predict(imported.model, images[start : start + 250]) for start in range(0, 1000, 250)]
    assert np.array_equal(np.concatenate(parts), imported.predictions)


@pytest.mark.parametrize("name", NAMES)
def test_published_pairwise_thresholds_are_reproduced(eev_models: Path, name: str) -> None:
    """``lt_thresh[i, j]``: class j beats i strictly where ``(w_j - w_i) . bits + lt_thresh[i, j] >= 0``."""
    archive = read_archive(eev_models / f"{name}.npz")
    output = eev.convert(archive).output
    bias = output.bias.astype(int)
    found = (bias[None, :] - bias[:, None] - 1) >> output.shift
    apart = ~np.eye(len(bias), dtype=bool)
    assert np.array_equal(found[apart], archive.arrays["lt_thresh"][apart])
