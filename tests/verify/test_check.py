"""Verdicts against brute force: every image of the region, by reference inference."""

from itertools import product

import numpy as np
import pytest
from brute_force import agree
from random_models import random_model, random_pixels

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer
from bnnhw.model.reference import predict, trace
from bnnhw.verify import (
    Agree,
    Avoids,
    Budget,
    Keeps,
    Limits,
    NotUnanimouslyWrong,
    Plan,
    PropertyError,
    Region,
    UnsoundnessError,
    budget_ball,
    build,
    check,
    level_ball,
    linf_ball,
)
from bnnhw.verify.check import replay


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
    rng = np.random.default_rng([*shape, pixels, radius])
    seen = set()
    for _ in range(count):
        model = random_model(
            rng, shape, levels=int(rng.integers(1, levels + 1)), hidden=int(rng.integers(1, 4)), pixel_range=(0, pixels)
        )
        image = random_pixels(rng, model, 1)[0]
        label = int(predict(model, image[None])[0])
        if rng.random() < 0.1:
            label = int(rng.integers(model.classes))
        verdict = agree([model], linf_ball(image, radius, model.quantizer) & Keeps(label, bool(rng.random() < 0.3)))
        seen.add((verdict.stage, verdict.status))
    assert {("bounds", "robust"), ("solver", "falsified")} <= seen


PLANS = [Plan(), Plan(most_subsets=0), Plan(most_subsets=0, brief_conflicts=0, attack_evaluations=200)]
"""Enumeration where it may; the solver alone; the attack before the solver."""


@pytest.mark.parametrize("norm", ["l0", "l1", "l2_squared"])
@pytest.mark.parametrize("plan", PLANS, ids=["enumeration", "solver", "attack"])
def test_budgets_equal_brute_force(norm, plan):
    rng = np.random.default_rng(len(norm))
    seen = set()
    for _ in range(120):
        shape = [(1, 2, 2), (1, 1, 5), (1, 3, 2)][int(rng.integers(3))]
        model = random_model(rng, shape, levels=int(rng.integers(1, 5)), hidden=2, pixel_range=(0, 4))
        image = random_pixels(rng, model, 1)[0]
        weight = rng.integers(0, 4, shape) if rng.random() < 0.3 else None
        limit = int(rng.integers(0, 4 if norm == "l0" else 12))
        low, high = np.zeros(shape, int), np.full(shape, 4)
        label = int(predict(model, image[None])[0])
        region = Region(image, low, high, Budget(norm, limit, weight))
        verdict = agree([model], region & Keeps(label, bool(rng.random() < 0.3)), plan)
        seen.add((verdict.stage, verdict.status))
    expected = {"enumeration": "enumeration", "solver": "solver", "attack": "attack"}
    stage = expected["enumeration" if plan.most_subsets else "solver" if plan.brief_conflicts else "attack"]
    assert (stage, "falsified") in seen
    assert ("bounds", "robust") in seen


@pytest.mark.parametrize("plan", PLANS, ids=["default", "solver", "attack"])
def test_other_conditions_equal_brute_force(plan):
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(250):
        shape = (1, 2, 3)
        models = [random_model(rng, shape, levels=2, hidden=int(rng.integers(1, 3)), pixel_range=(0, 2)) for _ in "ab"]
        image = random_pixels(rng, models[0], 1)[0]
        one = int(rng.integers(3))
        region = linf_ball(image, int(rng.integers(1, 3)), models[0].quantizer)
        if rng.random() < 0.3:
            region = Region(image, region.low, region.high, Budget("l0", 2))
        condition, asked = [
            (Avoids(one), models[:1]),
            (NotUnanimouslyWrong(one), models),
            (Agree(), models),
            (NotUnanimouslyWrong(one), [*models, models[0]]),
        ][int(rng.integers(4))]
        verdict = agree(asked, region & condition, plan)
        seen.add((type(condition).__name__, verdict.status))
    assert seen == {(name, s) for name in ("Avoids", "NotUnanimouslyWrong", "Agree") for s in ("robust", "falsified")}


@pytest.mark.parametrize("norm", ["l0", "l1", "l2_squared"])
def test_budgets_over_networks_that_see_different_steps_of_a_pixel(norm):
    rng = np.random.default_rng(7)
    for _ in range(300):
        models = [random_model(rng, (1, 1, 4), levels=6, hidden=1, pixel_range=(0, 7)) for _ in range(2)]
        image = random_pixels(rng, models[0], 1)[0]
        low, high = np.minimum(image, 2), np.minimum(image + 3, 7)
        agree(models, Region(image, low, high, Budget(norm, 2)) & Agree())


def test_level_balls_hold_exactly_the_images_within_so_many_levels():
    rng = np.random.default_rng(11)
    for _ in range(60):
        model = random_model(rng, (1, 1, 2), levels=int(rng.integers(1, 5)), hidden=1, pixel_range=(0, 7))
        image = random_pixels(rng, model, 1)[0]
        radius = int(rng.integers(0, 3))
        region = level_ball(image, radius, model.quantizer)
        every = np.array(list(product(range(8), repeat=2))).reshape(-1, 1, 1, 2)
        level = trace(model, every).levels
        near = (np.abs(level - trace(model, image[None]).levels) <= radius).all(axis=(1, 2, 3))
        assert [region.contains(one) for one in every] == near.tolist()


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
            verdict = check(build(model), linf_ball(image, free, model.quantizer) & Keeps(0))
            assert verdict.status == "falsified"
            assert verdict.counterexample is not None
            assert verdict.counterexample.image.item() == target


def test_equal_thresholds_make_a_level_unreachable():
    """Thresholds 2, 2: level 1 does not exist, so an error there is no counterexample."""
    hidden = Dense([[1], [1]], [1, 1], [False, True])
    layers = (hidden, Dense([[1, 1]], [2], [False]))
    model = IntegerModel(Quantizer((1, 1, 1), [2, 2], 0, 4), layers, Output([[0], [1]], [1, 0], 1))
    question = linf_ball(np.zeros((1, 1, 1), int), 4, model.quantizer) & Keeps(0)
    assert check(build(model), question).status == "robust"


def test_ties_go_to_the_lowest_class():
    quantizer = Quantizer((1, 1, 2), [1], 0, 1)
    hidden = Dense([[1, 0], [0, 1]], [1, 1], [False, False])
    region = linf_ball(np.array([[[1, 0]]]), 1, quantizer)
    model = IntegerModel(quantizer, (hidden,), Output(np.zeros((2, 2), int), [0, 0]))
    assert check(build(model), region & Keeps(0)).status == "robust"
    assert check(build(model), region & Keeps(1)).status == "falsified"
    assert check(build(model), region & Keeps(0, strictly=True)).status == "falsified"


def test_pooling_over_both_directions():
    conv = Conv(np.ones((2, 1, 1, 1), int), [1, 0], [False, True])
    for conjunctive in product([False, True], repeat=2):
        pool = MaxPool((2, 2), (2, 2), list(conjunctive))
        model = IntegerModel(Quantizer((1, 2, 2), [1], 0, 1), (conv, pool), Output([[1, 0], [0, 1]], [0, 0]))
        for bits in product([0, 1], repeat=4):
            image = np.array(bits).reshape(1, 2, 2)
            for radius in (0, 1):
                label = int(predict(model, image[None])[0])
                agree([model], linf_ball(image, radius, model.quantizer) & Keeps(label))


def test_a_counterexample_that_reference_inference_denies_is_an_error_of_ours():
    model = random_model(np.random.default_rng(3))
    image = random_pixels(np.random.default_rng(0), model, 1)[0]
    question = linf_ball(image, 1, model.quantizer) & Keeps(int(predict(model, image[None])[0]))
    with pytest.raises(UnsoundnessError, match="still meets"):
        replay([build(model)], question, image)
    with pytest.raises(UnsoundnessError, match="outside the region"):
        replay([build(model)], question, np.where(image > 5, image - 2, image + 2))


@pytest.mark.parametrize("threshold", [-(2**31), -(2**31) + 1, 2**31 - 1])
@pytest.mark.parametrize("less_equal", [False, True])
def test_thresholds_at_the_ends_of_their_integers(threshold, less_equal):
    quantizer = Quantizer((1, 1, 1), np.array([1]), 0, 1)
    hidden = Dense(np.array([[1], [1]]), np.array([threshold, 1]), np.array([less_equal, False]))
    statuses = {
        agree(
            [IntegerModel(quantizer, (hidden,), Output(np.array(weights), np.array(bias)))],
            linf_ball(np.zeros((1, 1, 1), int), 1, quantizer) & Keeps(0),
        ).status
        for weights, bias in product(([[0, 0], [-1, 1]], [[0, 0], [1, 1]]), ([0, 0], [0, -1]))
    }
    assert "falsified" in statuses


def test_a_budget_beyond_what_the_solver_adds_up_is_refused():
    rng = np.random.default_rng(0)
    shape = (1, 28, 28)
    weights = rng.choice([-1, 1], (20, 784))
    hidden = Dense(weights, rng.integers(-5, 5, 20), np.zeros(20, bool))
    model = IntegerModel(
        Quantizer(shape, np.array([128])), (hidden,), Output(rng.choice([-1, 1], (3, 20)), np.zeros(3, int))
    )
    image = rng.integers(0, 256, shape)
    region = budget_ball(image, "l2_squared", 2**26, model.quantizer, rng.integers(900, 1000, shape))
    with pytest.raises(PropertyError, match="more than 2\\^28 together"):
        check(build(model), region & Keeps(int(predict(model, image[None])[0])))


def test_limits_give_unknown_with_their_reason():
    rng = np.random.default_rng(5)
    reasons = set()
    for _ in range(60):
        hard = random_model(rng, (1, 6, 6), levels=4, hidden=4, classes=5, pixel_range=(0, 20))
        image = random_pixels(rng, hard, 1)[0]
        question = linf_ball(image, 12, hard.quantizer) & Keeps(int(predict(hard, image[None])[0]))
        verdict = check(build(hard), question, Limits(seconds=60, conflicts=1))
        reasons.add((verdict.status, verdict.reason))
    assert ("unknown", "conflicts") in reasons
    assert all(reason == "conflicts" for status, reason in reasons if status == "unknown")
