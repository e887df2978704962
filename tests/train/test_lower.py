"""Lowering is exact: integer bits and classes equal the float network's meaning in 150-digit arithmetic, everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import TIE, decide, random_network

from bnnhw.model import MaxPool, Output, decode, encode
from bnnhw.model.layers import Conv
from bnnhw.model.reference import accumulate, trace
from bnnhw.nn import BatchNorm, BinLinear, HiddenLayer, InputQuantizer, Network, OutputLayer, ScalarBatchNorm
from bnnhw.train import LoweringError, agreement, lower

seeds = st.integers(0, 2**32 - 1)
exact = settings(derandomize=True, deadline=None)


def accumulators_of(network: Network, layer: int, inputs: np.ndarray) -> np.ndarray:
    """Integer sums of a layer of the torch network, by the reference's plain NumPy arithmetic."""
    weighted = network.layers[layer].weighted
    weights = weighted.ternary().detach().numpy().astype(np.int8)
    if weights.ndim == 2:
        return accumulate(Output(weights, np.zeros(len(weights), np.int32)), inputs)
    stride, padding = weighted.stride, weighted.padding
    blank = Conv(weights, np.zeros(len(weights)).astype(np.int32), np.zeros(len(weights), bool))
    return accumulate(Conv(weights, blank.threshold, blank.less_equal, (stride,) * 2, (padding,) * 2), inputs)


def windows_of(values: np.ndarray) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(values, (2, 2), axis=(2, 3))
    return view.reshape(*view.shape[:4], 4)


@settings(exact, max_examples=80)
@given(seed=seeds)
def test_every_bit_and_class_equals_the_exact_meaning(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    model = lower(network)
    pixels = rng.integers(0, 13, (12, *network.shape))
    found = trace(model, pixels)
    values: np.ndarray = found.levels
    done = 0
    for index, layer in enumerate(network.layers):
        sums = accumulators_of(network, index, values)
        if isinstance(layer, OutputLayer):
            logits = decide(layer, sums)[:, :, 0, 0]
            for row, chosen in zip(logits, found.predictions, strict=True):
                best = max(row)
                assert chosen == next(c for c, logit in enumerate(row) if best - logit <= TIE * (1 + abs(best)))
            continue
        if layer.pool is not None and layer.pool_first:
            sums = windows_of(sums).max(axis=-1)
        bits = decide(layer, sums) >= -TIE
        if layer.pool is not None and not layer.pool_first:
            bits = windows_of(bits).any(axis=-1)
        done += 1 if layer.pool is None else 2
        assert np.array_equal(bits, found.bits[done - 1])
        values = bits


@settings(exact, max_examples=40)
@given(seed=seeds)
def test_a_lowered_network_is_a_valid_model_file(seed: int) -> None:
    model = lower(random_network(np.random.default_rng(seed)))
    assert decode(encode(model)) == model


def tied_network(scale: float) -> Network:
    """Two hidden bits, three classes; classes 1 and 2 have equal weights and offsets, class 0 differs by the shift."""
    torch.manual_seed(0)
    hidden = HiddenLayer(BinLinear(2, 2), BatchNorm(2))
    output = OutputLayer(BinLinear(2, 3), ScalarBatchNorm(3))
    network = Network(InputQuantizer((1,), (0, 1)), [hidden], output, (1, 1, 2)).eval()
    hidden.weighted.weights.latent.data = torch.eye(2)
    hidden.norm.mean.fill_(0.5)
    output.weighted.weights.latent.data = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    output.norm.scale.data = torch.tensor(scale)
    output.norm.mean.copy_(torch.tensor([0.25, 0.25, 0.25]))
    return network


def test_exact_ties_go_to_the_lowest_class() -> None:
    pixels = np.array([[[[0, 0]]], [[[0, 1]]], [[[1, 0]]], [[[1, 1]]]])
    for scale, expected in ((1.0, [0, 0, 0, 0]), (-1.0, [0, 1, 0, 1]), (0.0, [0, 0, 0, 0])):
        network = tied_network(scale)
        model = lower(network)
        assert trace(model, pixels).predictions.tolist() == expected
        assert agreement(network, model, pixels).mismatches == 0


def test_a_zero_scale_leaves_the_shifts_to_decide() -> None:
    network = tied_network(0.0)
    network.output.norm.shift.data = torch.tensor([0.5, 0.5000001, -3.0])
    model = lower(network)
    assert not model.output.weights.any()
    assert trace(model, np.zeros((1, 1, 1, 2), int)).predictions.tolist() == [1]


def test_offsets_that_differ_by_less_than_a_step_break_ties_the_right_way() -> None:
    network = tied_network(1.0)
    network.output.norm.shift.data = torch.tensor([-0.1, 0.0, 1e-7])
    model = lower(network)
    pixels = np.array([[[[0, 0]]], [[[0, 1]]], [[[1, 0]]], [[[1, 1]]]])
    assert trace(model, pixels).predictions.tolist() == [2, 0, 2, 0]
    assert agreement(network, model, pixels).mismatches == 0


def test_rows_without_weights_become_constants() -> None:
    network = random_network(np.random.default_rng(3), pool=False)
    for layer in network.layers:
        layer.weighted.weights.mask.data.fill_(-1)
    model = lower(network)
    bits = trace(model, np.random.default_rng(0).integers(0, 13, (20, *network.shape))).bits
    assert all((layer == layer[:1]).all() for layer in bits)


def test_pooled_accumulators_of_a_negative_scale_become_a_conjunction() -> None:
    rng = np.random.default_rng(0)
    network = next(n for n in (random_network(rng) for _ in range(50)) if n.hidden[0].pool and n.hidden[0].pool_first)
    network.hidden[0].norm.scale.data = torch.tensor([-1.0, 1.0, -0.5])
    pool = lower(network).hidden[1]
    assert isinstance(pool, MaxPool)
    assert pool.conjunctive.tolist() == [True, False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["norm.scale", "norm.shift", "norm.mean", "norm.var", "weighted.weights.latent"])
def test_a_diverged_network_is_refused(name: str, value: float) -> None:
    for depth in range(3):
        network = random_network(np.random.default_rng(1))
        state = network.layers[depth].state_dict()
        state[name].reshape(-1)[0] = value
        with pytest.raises(LoweringError, match=f"layer {depth + 1}"):
            lower(network)


@settings(exact, max_examples=40)
@given(seed=seeds)
def test_the_float_network_agrees_with_its_integer_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    report = agreement(network, lower(network), rng.integers(0, 13, (30, *network.shape)), batch=7)
    assert report.images == 30
    for sentence in report.explanations:
        distance = abs(float(sentence.split(" from a whole")[0].split(" steps apart")[0].split()[-1]))
        assert distance < 1e-9, sentence


def test_a_wrong_model_is_caught() -> None:
    rng = np.random.default_rng(5)
    network = random_network(rng, pool=False)
    pixels = rng.integers(0, 13, (40, *network.shape))
    norm = network.hidden[0].norm
    for values, value in ((norm.scale.data, 1), (norm.shift.data, 0), (norm.var, 1), (norm.mean, 0.5)):
        values.fill_(value)
    model = lower(network)
    assert agreement(network, model, pixels).mismatches == 0
    norm.mean.fill_(1.5)
    report = agreement(network, model, pixels)
    assert report.mismatches > 0
    assert report.bit_mismatches[0] > 0
    assert str(report.mismatches) in report.note
