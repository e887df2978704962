"""Verdicts against brute force: every image of the ball is run through reference inference."""

from itertools import product

import numpy as np
import pytest
from random_models import random_model, random_pixels

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer
from bnnhw.model.reference import predict, trace
from bnnhw.verify import Limits, LinfRobustness, UnsoundnessError, build, check
from bnnhw.verify.bounds import propagate
from bnnhw.verify.check import replay


def ball(model, query):
    """Every image of the ball, [M, C, H, W]."""
    low, high = query.box(model.quantizer)
    sides = [range(a, b + 1) for a, b in zip(low.ravel(), high.ravel(), strict=True)]
    return np.array(list(product(*sides))).reshape(-1, *query.image.shape)


def agree(model, query):
    """Check one query against brute force; the stage that decided it."""
    everything = ball(model, query)
    kept = trace(model, everything)
    network = build(model)
    bounds = propagate(network, query)
    for low, high, bits in zip(bounds.bit_low, bounds.bit_high, kept.bits, strict=True):
        flat = bits.reshape(len(everything), -1)
        assert (flat >= low).all()
        assert (flat <= high).all()
    verdict = check(network, query, Limits(seconds=60))
    expected = "robust" if (kept.predictions == query.label).all() else "falsified"
    assert verdict.status == expected, (verdict.stage, query)
    if verdict.counterexample is not None:
        assert (everything == verdict.counterexample.image).all(axis=(1, 2, 3)).any()
        assert predict(model, verdict.counterexample.image[None])[0] == verdict.counterexample.predicted != query.label
    return verdict.stage, verdict.status


@pytest.mark.parametrize(
    ("shape", "pixels", "radius", "levels", "count"),
    [
        ((1, 2, 2), 14, 3, 6, 400),
        ((1, 2, 3), 8, 1, 5, 400),
        ((1, 3, 3), 1, 1, 1, 400),
        ((2, 2, 2), 6, 1, 3, 100),
        ((1, 3, 4), 1, 1, 1, 60),
        ((1, 1, 4), 12, 2, 8, 400),
    ],
)
def test_verdicts_equal_brute_force(shape, pixels, radius, levels, count):
    rng = np.random.default_rng(abs(hash((shape, pixels, radius))) % 2**32)
    seen = set()
    for _ in range(count):
        model = random_model(
            rng, shape, levels=int(rng.integers(1, levels + 1)), hidden=int(rng.integers(1, 4)), pixel_range=(0, pixels)
        )
        image = random_pixels(rng, model, 1)
        label = int(predict(model, image)[0])
        if rng.random() < 0.1:
            label = int(rng.integers(model.classes))
        seen.add(agree(model, LinfRobustness(image[0], label, radius)))
    assert {("robust", "bounds"), ("solver", "falsified")} <= {(b, a) if a == "bounds" else (a, b) for a, b in seen}


@pytest.mark.parametrize("free", [1, 2, 3, 4, 5, 6])
def test_every_level_of_a_pixel_can_be_reached(free):
    """A network that errs at exactly one level of a pixel with ``free`` free levels: no level may be lost."""
    for target in range(free + 1):
        for one in (1, -1):
            hidden = Dense([[one], [one]], [one * target, one * target], [False, True])
            model = IntegerModel(
                Quantizer((1, 1, 1), np.arange(1, free + 1), 0, free),
                (hidden, Dense([[1, 1]], [2], [False])),
                Output([[0], [1]], [1, 0], 1),
            )
            image = np.full((1, 1, 1), 0 if target else free)
            verdict = check(build(model), LinfRobustness(image, 0, free))
            assert verdict.status == "falsified"
            assert verdict.counterexample is not None
            assert verdict.counterexample.image.item() == target


def test_equal_thresholds_make_a_level_unreachable():
    """Thresholds 2, 2: level 1 does not exist, so an error there is no counterexample."""
    hidden = Dense([[1], [1]], [1, 1], [False, True])
    layers = (hidden, Dense([[1, 1]], [2], [False]))
    model = IntegerModel(Quantizer((1, 1, 1), [2, 2], 0, 4), layers, Output([[0], [1]], [1, 0], 1))
    assert check(build(model), LinfRobustness(np.zeros((1, 1, 1), int), 0, 4)).status == "robust"


def test_ties_go_to_the_lowest_class():
    quantizer = Quantizer((1, 1, 2), [1], 0, 1)
    hidden = Dense([[1, 0], [0, 1]], [1, 1], [False, False])
    image = np.array([[[1, 0]]])
    for label, status in ((0, "robust"), (1, "falsified")):
        weights = np.zeros((2, 2), int)
        model = IntegerModel(quantizer, (hidden,), Output(weights, [0, 0]))
        assert check(build(model), LinfRobustness(image, label, 1)).status == status


def test_pooling_over_both_directions():
    conv = Conv(np.ones((2, 1, 1, 1), int), [1, 0], [False, True])
    for conjunctive in product([False, True], repeat=2):
        pool = MaxPool((2, 2), (2, 2), list(conjunctive))
        model = IntegerModel(Quantizer((1, 2, 2), [1], 0, 1), (conv, pool), Output([[1, 0], [0, 1]], [0, 0]))
        for bits in product([0, 1], repeat=4):
            image = np.array(bits).reshape(1, 2, 2)
            for radius in (0, 1):
                agree(model, LinfRobustness(image, int(predict(model, image[None])[0]), radius))


def test_a_counterexample_that_reference_inference_denies_is_an_error_of_ours():
    model = random_model(np.random.default_rng(3))
    image = random_pixels(np.random.default_rng(0), model, 1)[0]
    query = LinfRobustness(image, int(predict(model, image[None])[0]), 1)
    with pytest.raises(UnsoundnessError, match="still classified"):
        replay(build(model), query, image)
    with pytest.raises(UnsoundnessError, match="outside the radius"):
        replay(build(model), query, np.where(image > 5, image - 2, image + 2))


def test_limits_give_unknown_with_their_reason():
    rng = np.random.default_rng(5)
    reasons = set()
    for _ in range(60):
        hard = random_model(rng, (1, 6, 6), levels=4, hidden=4, classes=5, pixel_range=(0, 20))
        image = random_pixels(rng, hard, 1)[0]
        query = LinfRobustness(image, int(predict(hard, image[None])[0]), 12)
        verdict = check(build(hard), query, Limits(seconds=60, conflicts=1))
        reasons.add((verdict.status, verdict.reason))
    assert ("unknown", "conflicts") in reasons
    assert all(reason == "conflicts" for status, reason in reasons if status == "unknown")
