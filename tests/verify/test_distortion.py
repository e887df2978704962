"""The smallest violating change against brute force over every image."""

from itertools import product

import numpy as np
import pytest
from random_models import random_classifier, random_model, random_pixels

from bnnhw.model import Dense, IntegerModel, Output, Quantizer
from bnnhw.model.reference import predict
from bnnhw.verify import Budget, Keeps, Limits, Plan, UnsoundnessError, build, minimal_distortion


@pytest.mark.parametrize("distance", ["l0", "l1", "l2_squared", "linf"])
@pytest.mark.parametrize("most_subsets", [1e8, 0.0], ids=["enumeration", "solver"])
def test_equals_brute_force(distance, most_subsets):
    rng = np.random.default_rng(len(distance))
    every = np.array(list(product(range(5), repeat=4))).reshape(-1, 1, 2, 2)
    outcomes = set()
    for i in range(60):
        levels = int(rng.integers(1, 4))
        if i % 5 == 0:
            model = random_model(rng, (1, 2, 2), levels, hidden=2, pixel_range=(0, 4))
        else:
            model = random_classifier(rng, every, 2, levels)
        image = random_pixels(rng, model, 1)[0]
        weight = rng.integers(0, 3, (1, 2, 2)) if distance != "linf" and rng.random() < 0.3 else None
        label = int(predict(model, image[None])[0])
        wrong = every[predict(model, every) != label]
        if distance == "linf":
            costs = [int(np.abs(one - image).max()) for one in wrong]
        else:
            costs = [Budget(distance, 0, weight).cost(image, one) for one in wrong]
        seen = []
        found = minimal_distortion(
            build(model), image, Keeps(label), distance, plan=Plan(most_subsets), weight=weight, progress=seen.append
        )
        assert found.final
        outcomes.add(bool(costs))
        if not costs:
            assert found.exhausted
            assert found.counterexample is None
            continue
        assert found.lower == found.upper == min(costs)
        assert found.counterexample is not None
        assert predict(model, found.counterexample.image[None])[0] == found.counterexample.predicted != label
        assert all(one.lower <= min(costs) and (one.upper is None or one.upper >= min(costs)) for one in seen)
    assert outcomes == {True, False}


def test_a_misclassified_image_is_at_distance_zero():
    rng = np.random.default_rng(2)
    model = random_model(rng, (1, 3, 3), hidden=2)
    image = random_pixels(rng, model, 1)[0]
    label = (int(predict(model, image[None])[0]) + 1) % model.classes
    found = minimal_distortion(build(model), image, Keeps(label), "l1")
    assert (found.lower, found.upper, found.final) == (0, 0, True)


def test_without_time_the_interval_is_open():
    rng = np.random.default_rng(2)
    model = random_model(rng, (1, 3, 3), hidden=2)
    image = random_pixels(rng, model, 1)[0]
    label = int(predict(model, image[None])[0])
    found = minimal_distortion(build(model), image, Keeps(label), "l1", Limits(seconds=0))
    assert not found.final
    assert (found.lower, found.upper) == (0, None)


def reachable():
    """Networks with images that some change of at least two pixel units misclassifies: (network, image, condition)."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        model = random_model(rng, (1, 3, 3), hidden=2)
        image = random_pixels(rng, model, 1)[0]
        keeps = Keeps(int(predict(model, image[None])[0]))
        least = minimal_distortion(build(model), image, keeps, "l1")
        if least.upper is not None and least.upper > 1:
            yield build(model), image, keeps, least.upper


def test_attacks_show_counterexamples_before_anything_is_proven():
    early = []
    for network, image, keeps, _ in reachable():
        seen = []
        minimal_distortion(network, image, keeps, "l1", progress=seen.append)
        early.append(next(one.lower for one in seen if one.upper is not None) <= 1)
    assert sum(early) > len(early) / 2


def test_a_counterexample_below_what_was_proven_is_an_error_of_ours():
    caught = 0
    for network, image, keeps, least in reachable():
        try:
            minimal_distortion(network, image, keeps, "l1", lower=least + 1)
        except UnsoundnessError:
            caught += 1
    assert caught


@pytest.mark.parametrize(("threshold", "exhausted"), [(1 << 21, False), (1 << 20, True)])
def test_only_costs_that_were_all_looked_at_say_that_no_image_violates(threshold, exhausted):
    # The first class always wins; the one change of a level costs as much as the threshold is away.
    model = IntegerModel(
        Quantizer((1, 1, 1), np.array([threshold]).reshape(1, 1, 1, 1), 0, 1 << 22),
        (Dense(np.ones((1, 1), np.int8), np.array([1], np.int32), np.zeros(1, bool)),),
        Output(np.zeros((2, 1), np.int8), np.array([1, 0], np.int32), 0),
    )
    found = minimal_distortion(build(model), np.zeros((1, 1, 1), int), Keeps(0), "l1")
    assert found.exhausted == found.final == exhausted
    assert found.upper is None
    assert found.lower >= 1
