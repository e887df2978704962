"""Recipes: JSON and back, schedules, and refusals that name the entry."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.data import NAMES
from bnnhw.nn import ARCHITECTURES
from bnnhw.train import Recipe, recipe_for


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    epochs=st.integers(1, 500),
    lr=st.floats(1e-8, 1.0),
    quantizer=st.one_of(st.floats(0.01, 1.0), st.lists(st.integers(1, 255), min_size=1).map(tuple)),
    epsilon=st.floats(0, 1),
)
def test_json_round_trips(epochs: int, lr: float, quantizer: float | tuple[int, ...], epsilon: float) -> None:
    recipe = Recipe(epochs=epochs, lr=lr, quantizer=quantizer, epsilon=epsilon)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_there_is_a_recipe_for_every_data_set_and_architecture(dataset: str, arch: str) -> None:
    recipe = recipe_for(dataset, arch, 0.05)
    assert (recipe.arch, recipe.epsilon) == (arch, 0.05)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("arch", "vgg"),
        ("epochs", 0),
        ("epochs", 2.5),
        ("batch", 1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", "fast"),
        ("epsilon", 1.5),
        ("epsilon", -0.1),
        ("quantizer", []),
        ("quantizer", [1.5]),
        ("quantizer", "0.61"),
        ("mask_decay", True),
        ("threads", 0),
        ("speed", 1),
    ],
)
def test_a_bad_entry_is_named(entry: str, value: object) -> None:
    with pytest.raises(ValueError, match="architecture" if entry == "arch" else entry):
        Recipe.from_json(json.dumps({entry: value}))


@pytest.mark.parametrize("text", ["", "[1]", "{", "3"])
def test_text_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="recipe"):
        Recipe.from_json(text)


def test_schedules_start_and_end_where_they_should() -> None:
    recipe = Recipe(lr=0.1, lr_floor=0.01, epsilon_ramp=4, steps=7, steps_ramp=3)
    assert recipe.learning_rate(0.0) == 0.1
    assert recipe.learning_rate(1.0) == pytest.approx(0.001)
    assert [recipe.ramp(epoch) for epoch in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert [recipe.steps_at(epoch) for epoch in range(5)] == [1, 3, 5, 7, 7]
    assert replace(recipe, steps=0).steps_at(9) == 0
    assert replace(recipe, epsilon_ramp=0, steps_ramp=0).steps_at(0) == 7


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="digits"):
        recipe_for("svhn", "conv-small", 0.1)
