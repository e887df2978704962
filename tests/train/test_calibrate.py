"""Calibration: exact statistics over the whole set, independent of how it is cut into batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_networks import random_network

from bnnhw.nn import Network, ScalarBatchNorm
from bnnhw.train import calibrate


def images_for(network: Network, count: int = 37) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 13, (count, *network.shape)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_statistics_are_those_of_the_integer_accumulators(seed: int) -> None:
    network = random_network(np.random.default_rng(seed))
    images = images_for(network)
    calibrate(network, images, batch=10)
    seen: list[np.ndarray] = []
    with torch.no_grad():
        network(torch.from_numpy(images).float(), lambda i, layer, sums: seen.append(sums.numpy()))
    for layer, sums in zip(network.layers, seen, strict=True):
        columns = np.moveaxis(sums, 1, 0).reshape(sums.shape[1], -1).astype(np.int64)
        mean = columns.mean(axis=1)
        var = columns.var(axis=1)
        np.testing.assert_array_equal(layer.norm.mean.numpy(), mean.astype(np.float32))
        expected = var.mean() if isinstance(layer.norm, ScalarBatchNorm) else var
        np.testing.assert_allclose(layer.norm.var.numpy(), expected, rtol=1e-6, atol=1e-12)


def test_the_batch_size_changes_nothing() -> None:
    states = []
    for batch in (1, 7, 37, 100):
        network = random_network(np.random.default_rng(2))
        calibrate(network, images_for(network), batch)
        states.append(network.state_dict())
    assert all(torch.equal(value, state[name]) for state in states for name, value in states[0].items())


def test_the_mode_is_restored_and_nothing_else_changes() -> None:
    network = random_network(np.random.default_rng(2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    calibrate(network, images_for(network))
    assert network.training
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.endswith(("norm.mean", "norm.var")) for name in changed)


def test_no_images_is_an_error() -> None:
    network = random_network(np.random.default_rng(2))
    with pytest.raises(ValueError, match="at least one image"):
        calibrate(network, images_for(network)[:0])
