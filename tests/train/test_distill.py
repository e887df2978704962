"""Distillation: the loss is torch's own divergence, and label-free training never sees a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnnhw.data import Dataset, load
from bnnhw.nn import RealWeight
from bnnhw.train import Recipe, train
from bnnhw.train.distill import divergence, teacher_recipe
from bnnhw.train.recipe import Adversary, Box, Choice, Optimizer, Teacher, Weights
from bnnhw.train.run import Run


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_divergence_is_torchs(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 5, requires_grad=True), torch.randn(7, 5, requires_grad=True)
    loss = divergence(student, teacher, temperature)
    expected = F.kl_div(
        F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1), reduction="batchmean"
    )
    torch.testing.assert_close(loss, temperature**2 * expected)
    loss.backward()
    # dL/ds = T (q - p) / N
    gap = F.softmax(student / temperature, 1) - F.softmax(teacher / temperature, 1)
    torch.testing.assert_close(student.grad, temperature * gap.detach() / 7)
    assert teacher.grad is None


def test_equal_distributions_do_not_diverge() -> None:
    logits = torch.randn(3, 4)
    assert divergence(logits + 2.0, logits, 3.0).abs() < 1e-5


RECIPE = Recipe(
    quantizer=(4, 9),
    epochs=2,
    batch=32,
    width=0.5,
    adversary=Adversary(epsilon=0.07, ramp=1, steps=1),
    optimizer=Optimizer(lr=3e-3),
    weights=Weights(decay=1e-5),
    teacher=Teacher(kind="calibration", epochs=8, lr=5e-3),
    choice=Choice(epochs=1, images=100, steps=2),
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = load("digits")
    return replace(whole, train_images=whole.train_images[:400], train_labels=whole.train_labels[:400])


def test_the_teacher_is_a_real_network_of_the_same_shape_beside_the_checkpoint(digits: Dataset, tmp_path: Path) -> None:
    result = train(digits, RECIPE, tmp_path, progress=False)
    wanted = teacher_recipe(RECIPE)
    assert (wanted.arch, wanted.width, wanted.weights.kind) == ("conv-small", 0.5, "real")
    teacher = train(digits, wanted, tmp_path / "teacher", progress=False)
    assert len(teacher.metrics) == 8
    for one, other in zip(teacher.network.layers, result.network.layers, strict=True):
        assert isinstance(one.weighted.weights, RealWeight)
        assert one.weighted.weights.latent.shape == other.weighted.weights.latent.shape
    assert teacher.metrics[-1]["test_accuracy"] > 0.85


def test_calibration_uses_labels_only_through_its_teacher(digits: Dataset, tmp_path: Path) -> None:
    """Once the teacher exists, other labels change nothing, the attack included."""
    recipe = replace(RECIPE, adversary=replace(RECIPE.adversary, ramp=0))
    wrong = replace(digits, train_labels=np.zeros_like(digits.train_labels))
    teacher = train(digits, teacher_recipe(recipe), tmp_path, progress=False).network
    states = []
    for data in (digits, wrong):
        run = Run(data, recipe, teacher=teacher)
        for _ in range(3):
            run.train_step()
        states.append(run.network.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_with_labels_other_labels_do_change_it(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, teacher=replace(RECIPE.teacher, kind="labels", weight=0.5, epochs=1))
    wrong = replace(digits, train_labels=np.zeros_like(digits.train_labels))
    teacher = train(digits, teacher_recipe(recipe), tmp_path, progress=False).network
    states = []
    for data in (digits, wrong):
        run = Run(data, recipe, teacher=teacher)
        run.train_step()
        states.append(run.network.state_dict())
    assert any(not torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_teacher_has_no_boxes(digits: Dataset) -> None:
    assert not teacher_recipe(replace(RECIPE, box=Box(weight=0.5))).box.used
