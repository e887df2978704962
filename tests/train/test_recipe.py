"""Recipes: TOML and back, schedules, refusals that name the entry, and the recipes that come with the package."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.data import NAMES, load
from bnnhw.nn import ARCHITECTURES, build
from bnnhw.train import Recipe, named_recipe, recipe_for, recipe_names
from bnnhw.train.recipe import Adversary, Optimizer, Teacher, Weights
from bnnhw.train.run import Run


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    epochs=st.integers(1, 500),
    lr=st.floats(1e-8, 1.0),
    quantizer=st.one_of(
        st.floats(0.01, 1.0), st.lists(st.integers(1, 255), min_size=1).map(tuple), st.just("histogram")
    ),
    epsilon=st.floats(0, 1),
    kind=st.sampled_from(["none", "labels", "calibration"]),
)
def test_toml_round_trips(epochs: int, lr: float, quantizer: object, epsilon: float, kind: str) -> None:
    recipe = Recipe(
        epochs=epochs,
        quantizer=quantizer,
        optimizer=Optimizer(lr=lr),
        adversary=Adversary(epsilon=epsilon),
        teacher=Teacher(kind=kind),
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_what_a_file_leaves_out_keeps_its_default() -> None:
    recipe = Recipe.from_toml("epochs = 3\nquantizer = [7, 9]\n[optimizer]\nlr = 0.5\n")
    assert recipe == Recipe(epochs=3, quantizer=(7, 9), optimizer=Optimizer(lr=0.5))


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_there_is_a_recipe_for_every_data_set_and_architecture(dataset: str, arch: str) -> None:
    recipe = recipe_for(dataset, arch, 0.05)
    assert (recipe.arch, recipe.adversary.epsilon) == (arch, 0.05)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('arch = "vgg"', "architecture"),
        ("epochs = 0", "epochs"),
        ("epochs = 2.5", "epochs"),
        ("batch = 1", "batch"),
        ("optimizer.lr = 0.0", r"optimizer\.lr"),
        ("optimizer.lr = nan", r"optimizer\.lr"),
        ('optimizer.lr = "fast"', r"optimizer\.lr"),
        ('optimizer.kind = "sgd"', "adam, bop"),
        ("adversary.epsilon = 1.5", r"adversary\.epsilon"),
        ("adversary.epsilon = -0.1", r"adversary\.epsilon"),
        ("quantizer = []", "quantizer"),
        ("quantizer = [1.5]", "quantizer"),
        ('quantizer = "0.61"', "quantizer"),
        ("weights.decay = true", r"weights\.decay"),
        ("threads = 0", "threads"),
        ("compile = 1", "compile"),
        ("speed = 1", "speed"),
        ("adversary.speed = 1", r"adversary\.speed"),
        ("adversary = 1", "adversary must be a table"),
        ('weights.kind = "binary"', "Bop"),
        ('optimizer.kind = "bop"', "Bop"),
        ('weights.kind = "ternary"', "density"),
        ('gradient = {adaptive = true, shape = "hardtanh"}', "adaptive"),
        ('weights.kind = "real"\nbox.weight = 0.5', "teacher"),
    ],
)
def test_a_bad_entry_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Recipe.from_toml(text)


@pytest.mark.parametrize("text", ["[1]", "{", "3", "epochs 4"])
def test_text_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="recipe"):
        Recipe.from_toml(text)


def test_schedules_start_and_end_where_they_should() -> None:
    optimizer = Optimizer(lr=0.1, lr_floor=0.01)
    assert optimizer.lr_at(0, 0.0) == 0.1
    assert optimizer.lr_at(9, 1.0) == pytest.approx(0.001)
    halving = Optimizer(lr=0.1, schedule="halving", halve_every=150)
    assert [halving.lr_at(epoch, 0.0) for epoch in (0, 149, 150, 299, 300)] == [0.1, 0.1, 0.05, 0.05, 0.025]
    adversary = Adversary(ramp=4, steps=7, steps_ramp=3)
    assert [adversary.share_at(epoch) for epoch in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert [adversary.steps_at(epoch) for epoch in range(5)] == [1, 3, 5, 7, 7]
    assert replace(adversary, steps=0).steps_at(9) == 0
    assert replace(adversary, ramp=0, steps_ramp=0).steps_at(0) == 7
    weights = Weights(decay=0.5, decay_ramp=2)
    assert [weights.decay_at(epoch) for epoch in (0, 1, 2, 3)] == [0, 0.25, 0.5, 0.5]
    bop = Optimizer(gamma=1e-2, gamma_end=1e-4, threshold=1e-6, threshold_end=1e-6)
    assert bop.bop_at(0.0) == (1e-2, 1e-6)
    assert bop.bop_at(0.5) == pytest.approx((1e-3, 1e-6))
    assert bop.bop_at(1.0) == pytest.approx((1e-4, 1e-6))


def test_the_published_schedules_are_the_published_ones() -> None:
    """EEV: lr 1e-4 * 0.5^(epoch // 150), eps min(epoch / 100, 1), steps int(min(epoch / 50, 0.9) * 10 + 1)."""
    recipe = named_recipe("eev/mnist-l-adv0.3-cbd3")
    for epoch in (0, 1, 4, 5, 44, 45, 50, 99, 100, 149, 150, 199):
        assert recipe.optimizer.lr_at(epoch, epoch / 200) == 1e-4 * 0.5 ** (epoch // 150)
        assert recipe.adversary.share_at(epoch) == min(epoch / 100, 1)
        assert recipe.adversary.steps_at(epoch) == int(min(epoch / 50, 0.9) * 10 + 1)
    assert (recipe.bounds.decay, recipe.bounds.slack, recipe.weights.decay_at(0)) == (5e-4, 5, 1e-7)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_builds(name: str) -> None:
    recipe = named_recipe(name)
    shape, quantizer = ((3, 32, 32), recipe.quantizer) if "cifar10" in name else ((1, 28, 28), recipe.quantizer)
    network = build(recipe.arch, shape, (0, 255), 10, quantizer=(128,) if quantizer == "histogram" else quantizer)
    assert network(torch.zeros(2, *shape)).shape == (2, 10)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_the_documented_recipe_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    recipe = Recipe.from_toml(text)
    assert (recipe.choice.by, recipe.box.weight) == ("exact", 0.7)
    named = re.findall(r"--recipe (eev/\S+)", page)
    assert named
    assert set(named) <= set(recipe_names())


def test_names_are_there_for_every_row() -> None:
    names = set(recipe_names())
    assert {f"eev/mnist-l-adv0.3-cbd{level}" for level in range(4)} <= names
    assert {"eev/mnist-mlp", "eev/mnist-s-adv0.1", "eev/cifar10-l-adv8-cbd3-vrf", "exact/mnist-s-0.3"} <= names


def test_a_recipe_starts_a_run_as_it_says() -> None:
    recipe = replace(named_recipe("eev/mnist-s-adv0.3-ternweight-wd0"), quantizer="histogram")
    run = Run(load("digits"), recipe)
    assert run.network.quantizer.levels == 1
    assert abs(run.network.density()[2] - 0.617) < 0.01


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digits"):
        recipe_for("svhn", "conv-small", 0.1)
    with pytest.raises(ValueError, match="eev/mnist-mlp"):
        named_recipe("eev/mnist-xl")
    (tmp_path / "mine.toml").write_text("epochs = 7\n")
    assert named_recipe(str(tmp_path / "mine.toml")).epochs == 7
