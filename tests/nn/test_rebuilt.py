"""A network rebuilt from an IntegerModel has the model's bits, scores and class, and gradients that lead somewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_pixels

from bnnhw.model import Dense, IntegerModel, Output, Quantizer
from bnnhw.model.reference import trace
from bnnhw.nn.rebuilt import rebuild
from bnnhw.train import pgd


@settings(derandomize=True, deadline=None, max_examples=80)
@given(model=models(), seed=st.integers(0, 2**32 - 1))
def test_every_bit_score_and_class_is_the_models(model: IntegerModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = rebuild(model, random_pixels(rng, model, 20))
    pixels = random_pixels(rng, model, 30)
    expected = trace(model, pixels)
    with torch.no_grad():
        values = network.quantizer(torch.from_numpy(pixels).float())
        assert np.array_equal(values.numpy(), expected.levels)
        for piece, bits in zip(network.module[:-1], expected.bits, strict=True):
            values = piece(values)
            assert np.array_equal(values.numpy(), bits)
        logits = network(torch.from_numpy(pixels).float()).numpy()
    scores = logits * network.module[-1].spread
    assert np.array_equal(np.round(scores), expected.scores)
    assert np.abs(scores - np.round(scores)).max() < 1e-6
    assert np.array_equal(logits.argmax(axis=1), expected.predictions)


def test_gradients_by_hand() -> None:
    """One pixel of two levels, a bit that wants acc >= 1, one that wants acc <= 1, and a class for each."""
    hidden = Dense([[1], [1]], [1, 1], [False, True])
    model = IntegerModel(Quantizer((1, 1, 1), [3, 7], 0, 9), (hidden,), Output([[1, 0], [0, -1]], [0, 2], 1))
    images = np.array([0, 5, 9, 9]).reshape(4, 1, 1, 1)
    network = rebuild(model, images)
    pixels = torch.tensor(8.0).reshape(1, 1, 1, 1).requires_grad_()
    logits = network(pixels)
    # Levels 0, 1, 2, 2: the standard deviation is that of the accumulators. Bits (1, 0), so scores 2 and 2.
    spread = float(np.std([0, 1, 2, 2]))
    found = trace(model, images).scores
    unit = float(np.sqrt(found.var(axis=0).mean()))
    assert logits.tolist() == [[2 / unit, 2 / unit]]
    slope = (1 - np.tanh(1 / spread) ** 2) / spread * (2 / 9)
    (first,) = torch.autograd.grad(logits[0, 0], pixels, retain_graph=True)
    (second,) = torch.autograd.grad(logits[0, 1], pixels)
    assert first.item() == pytest.approx(2 / unit * slope, rel=1e-5)
    assert second.item() == pytest.approx(2 / unit * slope, rel=1e-5)


def test_an_attack_along_these_gradients_finds_what_random_images_do_not() -> None:
    """A class that asks for 18 of 20 pixels to be bright: a random image of the ball is hardly ever there."""
    hidden = Dense(np.ones((1, 20), int), [18], [False])
    model = IntegerModel(Quantizer((1, 4, 5), [5], 0, 9), (hidden,), Output([[0], [1]], [1, 0], 1))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 10, (50, 1, 4, 5))
    images = images[(images >= 5).sum(axis=(1, 2, 3)) < 14]
    labels = torch.zeros(len(images), dtype=torch.long)
    network = rebuild(model, images)
    noise = np.clip(images + rng.integers(-5, 6, (200, *images.shape)), 0, 9).reshape(-1, 1, 4, 5)
    assert trace(model, noise).predictions.mean() < 0.01
    found = pgd(network, torch.from_numpy(images).float(), labels, 5, 20, torch.Generator().manual_seed(0))
    assert trace(model, found.floor().long().numpy()).predictions.all()


def test_sums_beyond_float32_are_refused() -> None:
    hidden = Dense([[1]], [1 << 24], [False])
    model = IntegerModel(Quantizer((1, 1, 1), [3]), (hidden,), Output([[1], [0]], [0, 0], 0))
    with pytest.raises(ValueError, match=r"layer 1 .* float32"):
        rebuild(model, np.zeros((1, 1, 1, 1), int))
