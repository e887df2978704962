"""Every named architecture and a user's own list of layers: lowered exactly, trained, verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bnnhw import verify
from bnnhw.data import load
from bnnhw.model.reference import trace
from bnnhw.nn import (
    ARCHITECTURES,
    BatchNorm,
    Binarize,
    BinConv2d,
    BinLinear,
    InputQuantizer,
    MaxPool,
    Network,
    ScalarBatchNorm,
    Sequential,
    build,
)
from bnnhw.train import Recipe, agreement, calibrate, lower, train
from bnnhw.train.recipe import Adversary, Choice, Optimizer


@torch.no_grad()
def lively(network: Network, rng: np.random.Generator, images: np.ndarray) -> Network:
    """Sparse weights, scales of both signs and the statistics of real accumulators: no layer ends up constant."""
    for layer in network.layers:
        weights, norm = layer.weighted.weights, layer.norm
        weights.mask.copy_(torch.from_numpy(rng.normal(0.3, 1, weights.mask.shape)))
        norm.scale.copy_(torch.tensor(rng.normal(0, 1, norm.scale.shape)))
        norm.shift.copy_(torch.tensor(rng.normal(0, 0.3, norm.shift.shape)))
    calibrate(network, images)
    return network.eval()


SHAPES = ((1, 28, 28), (3, 32, 32))
PLACES = [(arch, shape) for arch in ARCHITECTURES for shape in SHAPES if (arch, shape[1]) != ("cnv", 28)]


@pytest.mark.parametrize(("arch", "shape"), PLACES)
def test_its_integer_model_has_its_bits(arch: str, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(map(ord, arch)))
    torch.manual_seed(0)
    images = rng.integers(0, 256, (60, *shape)).astype(np.uint8)
    network = lively(build(arch, shape, (0, 255), 10, quantizer=(90, 180), width=0.12), rng, images)
    model = lower(network)
    report = agreement(network, model, images)
    assert (report.images, report.mismatches) == (60, 0), report.note
    bits = trace(model, images).bits
    assert all(0 < layer.mean() < 1 for layer in bits)


def declared() -> Sequential:
    return Sequential(
        InputQuantizer((4, 9), (0, 16)),
        [
            *(BinConv2d(1, 8, 3, padding=1), BatchNorm(8), Binarize(), MaxPool(2)),
            *(BinConv2d(8, 12, 3, padding=1), MaxPool(2), BatchNorm(12), Binarize()),
            *(nn.Flatten(), BinLinear(48, 10), ScalarBatchNorm(10)),
        ],
        (1, 8, 8),
    )


def test_a_users_own_list_of_layers_trains_lowers_and_verifies(tmp_path: Path) -> None:
    digits = load("digits")
    recipe = Recipe(
        arch="own",
        epochs=4,
        batch=32,
        optimizer=Optimizer(lr=3e-3),
        adversary=Adversary(epsilon=0.07, ramp=1, steps=1),
        choice=Choice(epochs=1),
    )
    result = train(digits, recipe, tmp_path, progress=False, network=declared)
    model = lower(result.network)
    report = agreement(result.network, model, digits.test_images)
    assert (report.images, report.mismatches) == (len(digits.test_images), 0)
    assert result.metrics[-1]["test_accuracy"] > 0.7
    again = train(digits, recipe, tmp_path, progress=False, network=declared)
    assert lower(again.network) == model
    records = verify.verify_many(
        model, digits.test_images[:10], digits.test_labels[:10], 1, tmp_path / "verdicts.jsonl", workers=1
    )
    assert {"robust"} <= {record.status for record in records} <= {"robust", "falsified"}
    with pytest.raises(ValueError, match="another recipe"):
        train(digits, replace(recipe, seed=1), tmp_path, progress=False, network=declared)
