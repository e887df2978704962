"""A network declared with Brevitas goes the whole way: the same trainer, exact lowering, comparison, verdicts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("brevitas")
import brevitas.nn as qnn
import torch
from brevitas_networks import BINARY, BIPOLAR, TERNARY
from torch import nn

from bnnhw import verify
from bnnhw.data import Dataset, load
from bnnhw.model.reference import predict
from bnnhw.nn import InputQuantizer, ModuleNetwork, ScalarBatchNorm
from bnnhw.train import Recipe, score, train
from bnnhw.train.brevitas import compare, lower
from bnnhw.train.recipe import Adversary, Choice, Optimizer, Weights

RECIPE = Recipe(
    arch="own",
    epochs=3,
    batch=32,
    weights=Weights(decay=0),
    optimizer=Optimizer(lr=5e-3),
    adversary=Adversary(epsilon=0.07, ramp=1, steps=1),
    choice=Choice(epochs=1),
)


def declared() -> ModuleNetwork:
    """Padded bipolar convolutions with pooling; ternary and binary weights."""
    module = nn.Sequential(
        qnn.QuantConv2d(1, 8, 3, padding=1, bias=False, **TERNARY),
        nn.BatchNorm2d(8),
        qnn.QuantIdentity(**BIPOLAR),
        qnn.QuantConv2d(8, 12, 3, padding=1, bias=False, **BINARY),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(12),
        qnn.QuantIdentity(**BIPOLAR),
        nn.Flatten(),
        qnn.QuantLinear(192, 10, bias=False, **BINARY),
        ScalarBatchNorm(10),
    )
    return ModuleNetwork(module, InputQuantizer((4, 9), (0, 16)), (1, 8, 8))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_it_learns_and_its_integer_model_is_verified(digits: Dataset, tmp_path: Path) -> None:
    result = train(digits, RECIPE, tmp_path, progress=False, network=declared)
    network = result.network
    assert isinstance(network, ModuleNetwork)
    model = lower(network)
    found = compare(network, model, digits.test_images)
    assert found.agrees, found.note
    right = int((predict(model, digits.test_images) == digits.test_labels).sum())
    measured = score(network, digits.test_images, digits.test_labels)
    assert abs(right - measured.clean) <= found.class_differences
    assert right > 0.7 * len(digits.test_labels)
    records = verify.verify_many(
        model, digits.test_images[:10], digits.test_labels[:10], 1, tmp_path / "verdicts.jsonl", workers=1
    )
    assert {record.status for record in records} <= {"robust", "falsified"}
    assert any(record.status == "robust" for record in records)


def test_the_documented_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    document = Path(__file__).parents[3] / "docs" / "networks.md"
    own, example = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    exec(compile(own, str(document), "exec"), {})
    assert "(10, 1, 1)" in capsys.readouterr().out
    exec(compile(example, str(document), "exec"), {})
    assert ", 0 errors;" in capsys.readouterr().out
    assert (tmp_path / "runs/declared/model.bnn").exists()


def test_a_second_run_is_found_and_another_network_refused(digits: Dataset, tmp_path: Path) -> None:
    few = replace(digits, train_images=digits.train_images[:64], train_labels=digits.train_labels[:64])
    recipe = replace(RECIPE, epochs=1)
    first = train(few, recipe, tmp_path, progress=False, network=declared)
    again = train(few, recipe, tmp_path, progress=False, network=declared)
    for name, value in first.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)

    def other() -> ModuleNetwork:
        made = declared()
        return ModuleNetwork(
            made.module[:7] + nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), made.quantizer, made.shape
        )

    with pytest.raises(ValueError, match="another network"):
        train(few, recipe, tmp_path, progress=False, network=other)


def test_what_the_trainer_cannot_do_to_a_foreign_module_is_refused(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mask decay"):
        train(digits, replace(RECIPE, weights=Weights(decay=1e-5)), tmp_path, progress=False, network=declared)
    with pytest.raises(ValueError, match="needs a function"):
        train(digits, RECIPE, tmp_path, progress=False)
    with pytest.raises(ValueError, match="needs a function"):
        train(digits, replace(RECIPE, arch="conv-small"), tmp_path, progress=False, network=declared)
    with pytest.raises(ValueError, match="pixel range"):
        train(replace(digits, pixel_max=17), RECIPE, tmp_path, progress=False, network=declared)


def test_frozen_passes_change_nothing_and_give_no_weight_gradients() -> None:
    torch.manual_seed(0)
    network = declared().train()
    pixels = torch.randint(0, 17, (9, 1, 8, 8)).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with network.frozen():
        moving = pixels.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(moving).square().sum(), moving)
    assert gradient.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    network(pixels)
    assert not torch.equal(network.module[1].running_mean, before["module.1.running_mean"])


def test_modules_that_make_no_logits_are_refused() -> None:
    quantizer = InputQuantizer((4,), (0, 16))
    with pytest.raises(ValueError, match="does not fit"):
        ModuleNetwork(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), quantizer, (1, 2, 2))
    with pytest.raises(ValueError, match="end in logits"):
        ModuleNetwork(nn.Conv2d(1, 2, 1), quantizer, (1, 2, 2))
