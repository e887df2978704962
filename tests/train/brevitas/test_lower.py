"""Networks declared with Brevitas lower exactly, random ones and ties too; what has no exact form is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("brevitas")
import brevitas.nn as qnn
import torch
from brevitas.quant import Int8WeightPerTensorFloat
from brevitas.quant.float import Fp8e4m3ActPerTensorFloat
from brevitas_networks import BINARY, BIPOLAR, PER_CHANNEL, TERNARY, random_brevitas, tied_brevitas
from torch import nn

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, decode, encode
from bnnhw.model.reference import predict, trace
from bnnhw.nn import InputQuantizer, ModuleNetwork
from bnnhw.train import LoweringError
from bnnhw.train import lower as lower_network
from bnnhw.train.brevitas import compare, lower


def images(seed: int, count: int, network: ModuleNetwork) -> np.ndarray:
    top = network.quantizer.pixel_max
    return np.random.default_rng(seed).integers(0, top + 1, (count, *network.shape))


@pytest.mark.parametrize("seed", range(24))
def test_every_decision_is_the_exact_one(seed: int) -> None:
    network = random_brevitas(np.random.default_rng(seed))
    model = lower(network)
    assert decode(encode(model)) == model
    found = compare(network, model, images(seed, 60, network), batch=25)
    assert found.agrees, found.note
    assert found.decisions > 60 * 64


def test_classes_equal_those_of_the_same_networks_in_double_precision() -> None:
    """In float64 a rounding error is 2^-53 and no random network decides by one; ties are left out."""
    compared = 0
    for seed in range(100, 110):
        network = random_brevitas(np.random.default_rng(seed))
        pixels = images(seed, 300, network)
        found = predict(lower(network), pixels)
        with torch.no_grad():
            entered = network.enter(torch.from_numpy(pixels).float()).double()
            logits = network.module.double()(entered)
        top = logits.sort(dim=1, descending=True).values
        clear = (top[:, 0] - top[:, 1] > 1e-9).numpy()
        compared += int(clear.sum())
        assert np.array_equal(logits.argmax(dim=1).numpy()[clear], found[clear])
    assert compared > 1500


def test_ten_thousand_random_images_differ_at_exact_ties_only() -> None:
    network = tied_brevitas()
    model = lower(network)
    pixels = images(0, 10_000, network)
    found = compare(network, model, pixels, batch=1000)
    assert found.agrees, found.note
    assert found.rounding == 0
    # Counted here once more: integer sums of 0 that Brevitas's float sum puts below the boundary, in the hidden layer.
    with torch.no_grad():
        bits = torch.from_numpy(np.where(pixels >= 8, 1, -1)).flatten(1)
        module = network.module
        signs = module[2].quant_weight().value.sign().long()
        sums = bits @ signs.T
        bipolar = module[:5](network.enter(torch.from_numpy(pixels).float()))
    hidden = int(((sums == 0) & (bipolar < 0)).sum())
    assert 0 < hidden <= found.ties
    assert hidden < int((sums == 0).sum())
    assert 0 < found.class_differences < 10_000
    assert any("exactly on it" in line and line.startswith("tie") for line in found.explanations)


def mutants(model: IntegerModel) -> list[IntegerModel]:
    """The model with one thing wrong: thresholds off by one, a weight's sign, comparisons, pools, a bias, the input."""
    made = []
    for index, layer in enumerate(model.hidden):
        changed: list[Conv | Dense | MaxPool] = []
        if isinstance(layer, MaxPool):
            changed.append(replace(layer, conjunctive=~layer.conjunctive))
        else:
            weights = layer.weights.copy()
            weights[:, 0] *= -1
            changed.append(replace(layer, threshold=layer.threshold + 1))
            changed.append(replace(layer, threshold=layer.threshold - 1))
            changed.append(replace(layer, weights=weights))
            changed.append(replace(layer, less_equal=~layer.less_equal))
        made += [replace(model, hidden=(*model.hidden[:index], one, *model.hidden[index + 1 :])) for one in changed]
    output = model.output
    bias = output.bias.copy()
    bias[0] += 1 << output.shift
    made.append(replace(model, output=replace(output, bias=bias)))
    made.append(replace(model, output=replace(output, weights=-output.weights)))
    quantizer = model.quantizer
    made.append(replace(model, quantizer=replace(quantizer, thresholds=quantizer.thresholds + 1)))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_mutant_is_caught_wherever_it_computes_anything_else(seed: int) -> None:
    network = random_brevitas(np.random.default_rng(seed))
    model = lower(network)
    pixels = images(3, 60, network)
    assert compare(network, model, pixels).agrees
    # What enters a pool is its stage's own affair.
    ends = [i for i, layer in enumerate(model.layers[1:]) if not isinstance(layer, MaxPool)]
    right = trace(model, pixels)
    caught = 0
    for mutant in mutants(model):
        found = trace(mutant, pixels)
        same = np.array_equal(found.levels, right.levels) and np.array_equal(found.predictions, right.predictions)
        same &= all(np.array_equal(found.bits[end], right.bits[end]) for end in ends)
        agrees = compare(network, mutant, pixels).agrees
        assert agrees == same
        caught += not agrees
    assert caught >= 8


def test_a_network_that_computes_something_else_than_it_declares_is_caught() -> None:
    network = random_brevitas(np.random.default_rng(2))
    model = lower(network)
    first = next(module for module in network.modules() if isinstance(module, qnn.QuantConv2d))
    first.register_forward_hook(lambda module, given, made: made + 1e-3)
    found = compare(network, model, images(0, 20, network))
    assert not found.agrees
    assert any("Brevitas computes" in line for line in found.explanations)


def test_thresholds_go_by_position_exactly_where_an_offset_meets_padding() -> None:
    def first_layers(act: nn.Module, padding: int) -> Conv:
        torch.manual_seed(0)
        module = nn.Sequential(
            qnn.QuantConv2d(1, 2, 3, bias=False, **BINARY),
            act,
            qnn.QuantConv2d(2, 2, 3, padding=padding, bias=False, **BINARY),
            qnn.QuantIdentity(**BIPOLAR),
            nn.Flatten(),
            qnn.QuantLinear(2 * (2 + 2 * padding) ** 2, 3, bias=False, **BINARY),
        )
        layer = lower(ModuleNetwork(module, InputQuantizer((4,), (0, 12)), (1, 6, 6))).hidden[1]
        assert isinstance(layer, Conv)
        return layer

    assert first_layers(qnn.QuantIdentity(**BIPOLAR), 1).threshold.shape == (2, 4, 4)
    assert first_layers(qnn.QuantIdentity(**BIPOLAR), 0).threshold.shape == (2,)
    assert first_layers(qnn.QuantReLU(bit_width=1), 1).threshold.shape == (2,)


UNTRACKED = nn.BatchNorm2d(2, track_running_stats=False)


def chain(*layers: nn.Module) -> nn.Module:
    """A dense network with ``layers`` between its first two weighted ones."""
    return nn.Sequential(
        nn.Flatten(), qnn.QuantLinear(4, 3, bias=False, **BINARY), *layers, qnn.QuantLinear(3, 2, bias=False, **BINARY)
    )


STATISTIC = {"weight_scaling_impl_type": "stats"}
BIT = qnn.QuantIdentity(**BIPOLAR)
REFUSED = {
    "floating-point weights": chain(BIT, qnn.QuantLinear(3, 3, weight_quant=None), BIT),
    "other than -1, 0 and": chain(BIT, qnn.QuantLinear(3, 3, weight_quant=Int8WeightPerTensorFloat), BIT),
    "needs a quantizer behind it": chain(nn.BatchNorm1d(3)),
    "1 (BatchNorm1d) stands where": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), qnn.QuantLinear(4, 2, **BINARY)),
    "has no place behind": chain(nn.BatchNorm1d(3), nn.BatchNorm1d(3), BIT),
    "ReLU": chain(nn.ReLU(), BIT),
    "levels: use 4 bits": chain(qnn.QuantReLU(bit_width=8)),
    "no plain binary, ternary": chain(qnn.QuantIdentity(act_quant=Fp8e4m3ActPerTensorFloat)),
    "does not round to the nearest": chain(qnn.QuantReLU(bit_width=2, float_to_int_impl_type="floor")),
    "delays its quantization": chain(qnn.QuantIdentity(**BIPOLAR, quant_delay_steps=5)),
    "cuts at zero": chain(qnn.QuantReLU(**BIPOLAR)),
    "(QuantSigmoid) has no place": chain(qnn.QuantSigmoid(bit_width=2)),
    "end in a QuantLinear": chain(BIT, qnn.QuantLinear(3, 3, **BINARY), BIT),
    "scale each class differently": nn.Sequential(chain(BIT), nn.BatchNorm1d(2)),
    "needs an nn.Flatten": nn.Sequential(qnn.QuantLinear(2, 2, **BINARY), nn.Flatten(), BIT, chain(BIT)[1:]),
    "changes its own scale": chain(BIT, qnn.QuantLinear(3, 3, **BINARY, **{**PER_CHANNEL, **STATISTIC}), BIT),
    "quantizes its input, output": chain(BIT, qnn.QuantLinear(3, 3, output_quant=BIT.act_quant, **BINARY), BIT),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_exact_form_is_refused_by_name(reason: str) -> None:
    module = REFUSED[reason]
    if reason == "scale each class differently":
        module[1].running_var[0] = 3.0
    if reason.startswith("end in"):
        module = module[:-1]
    with pytest.raises(LoweringError) as caught:
        lower(ModuleNetwork(module, InputQuantizer((4,), (0, 12)), (1, 2, 2)))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("convolution", "reason"),
    [
        (qnn.QuantConv2d(2, 2, 1, groups=2, **BINARY), "groups or dilation"),
        (qnn.QuantConv2d(2, 2, 3, padding=1, padding_mode="reflect", **BINARY), "padded with zeros"),
        (qnn.QuantConv2d(2, 2, 3, padding="same", stride=2, **BINARY), "padded with zeros"),
        (qnn.QuantConv2d(2, 2, 3, padding="same", **BINARY), "padded with zeros"),
        (nn.Sequential(qnn.QuantConv2d(2, 2, 3, **BINARY), UNTRACKED), "keeps no running statistics"),
        (nn.Sequential(qnn.QuantConv2d(2, 2, 3, **BINARY), nn.MaxPool2d(2, padding=1)), "has padding, dilation or"),
    ],
)
def test_convolutions_that_the_integer_model_has_not_are_refused(convolution: nn.Module, reason: str) -> None:
    with torch.no_grad():
        inputs = convolution(torch.zeros(1, 2, 4, 4)).numel()
    module = nn.Sequential(convolution, BIT, nn.Flatten(), qnn.QuantLinear(inputs, 2, **BINARY))
    with pytest.raises(LoweringError, match=reason):
        lower(ModuleNetwork(module, InputQuantizer((4,), (0, 12)), (2, 4, 4)))


def test_scales_by_channel_may_differ_in_hidden_layers_and_not_in_the_last() -> None:
    torch.manual_seed(0)
    hidden = [nn.Flatten(), qnn.QuantLinear(4, 3, **TERNARY, **PER_CHANNEL), BIT]
    quantizer = InputQuantizer((4, 7), (0, 12))
    even = ModuleNetwork(nn.Sequential(*hidden, qnn.QuantLinear(3, 2, **BINARY)), quantizer, (1, 2, 2))
    assert compare(even, lower(even), images(0, 100, even)).agrees
    uneven = nn.Sequential(*hidden, qnn.QuantLinear(3, 2, **BINARY, **PER_CHANNEL))
    with pytest.raises(LoweringError, match="each class differently"):
        lower(ModuleNetwork(uneven, quantizer, (1, 2, 2)))


def test_our_own_lowering_points_to_this_one() -> None:
    with pytest.raises(LoweringError, match=r"train\.brevitas\.lower"):
        lower_network(tied_brevitas())
