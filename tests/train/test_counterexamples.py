"""The verifier in the loop: what is asked is what training computes, and answers land where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnnhw.model import IntegerModel
from bnnhw.model.reference import predict
from bnnhw.nn import Network, build
from bnnhw.train import Decision, Recipe, train
from bnnhw.train.counterexamples import batch_model, mix_counterexamples
from bnnhw.train.recipe import Choice, Verifier


def example() -> tuple[Network, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12), width=0.5)
    pixels = torch.randint(0, 17, (64, 1, 8, 8)).float()
    return network, pixels, network(pixels).argmax(dim=1)


def test_the_model_asked_about_is_the_network_on_this_batch() -> None:
    network, pixels, labels = example()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model = batch_model(network, pixels + 0.9)
    assert np.array_equal(predict(model, pixels.numpy().astype(np.uint8)), labels.numpy())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_only_images_that_withstood_are_asked_about_and_replaced() -> None:
    network, clean, labels = example()
    labels[5:9] = (labels[5:9] + 1) % 10
    attacked = clean.clone()
    asked: list[np.ndarray] = []

    def decide(
        model: IntegerModel, images: np.ndarray, truth: np.ndarray, radius: int, conflicts: int, seconds: float | None
    ) -> list[Decision]:
        assert (radius, conflicts, seconds) == (2, 77, None)
        assert np.array_equal(predict(model, images), truth)
        asked.append(images)
        answers = [Decision(False, image.astype(np.int64) // 2) for image in images]
        answers[1] = Decision(True)
        answers[2] = Decision(False)
        return answers

    mixed, found = mix_counterexamples(network, clean, attacked, labels, 2, decide, 8, 77)
    withstood = [0, 1, 2, 3, 4, 9, 10, 11]
    assert np.array_equal(asked[0], clean[withstood].numpy().astype(np.uint8))
    assert found == 6
    replaced = [0, 3, 4, 9, 10, 11]
    assert torch.equal(mixed[replaced], (clean[replaced] / 2).floor())
    kept = [index for index in range(64) if index not in replaced]
    assert torch.equal(mixed[kept], attacked[kept])
    assert torch.equal(attacked, clean)


def test_nothing_is_asked_without_a_radius_or_a_share() -> None:
    network, clean, labels = example()
    for radius, most in ((0, 8), (2, 0)):
        mixed, found = mix_counterexamples(network, clean, clean, labels, radius, None, most, 1)
        assert found == 0
        assert mixed is clean


@pytest.mark.parametrize("recipe", [Recipe(verifier=Verifier(share=0.1)), Recipe(choice=Choice(by="exact"))])
def test_a_recipe_that_needs_a_verifier_says_so(recipe: Recipe, tmp_path) -> None:
    from bnnhw.data import load

    with pytest.raises(ValueError, match="verifier"):
        train(load("digits"), recipe, tmp_path, progress=False)
