"""The verifier as training asks for it: the same answers as asked one by one, whatever the number of workers."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import random_model

from bnnhw.model.reference import predict
from bnnhw.pipeline import Decider
from bnnhw.verify import Keeps, Limits, build, check, linf_ball


@pytest.fixture(scope="module")
def asked():
    rng = np.random.default_rng(2)
    model = random_model(rng, (1, 4, 4))
    quantizer = model.quantizer
    images = rng.integers(0, quantizer.pixel_max + 1, (13, *quantizer.shape)).astype(np.uint8)
    return model, images, predict(model, images)


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_are_those_of_the_verifier_in_order(asked, workers):
    model, images, labels = asked
    with Decider(workers) as decide:
        first = decide(model, images, labels, 2, 10000)
        again = decide(model, images[:2], labels[:2], 0, 10000, 60.0)
    assert [one.robust for one in again] == [True, True]
    network = build(model)
    robust = []
    for image, label, answer in zip(images, labels, first, strict=True):
        region = linf_ball(image, 2, model.quantizer)
        robust.append(check(network, region & Keeps(int(label)), Limits(None, 10000)).status == "robust")
        assert answer.robust == robust[-1]
        if not answer.robust:
            assert region.contains(answer.counterexample)
            assert predict(model, answer.counterexample[None])[0] != label
    assert len(set(robust)) == 2


def test_no_time_means_no_claim(asked):
    model, images, labels = asked
    with Decider(1) as decide:
        answers = decide(model, images, labels, 2, 10000, 0.0)
        assert decide(model, images[:0], labels[:0], 2, 10000) == []
    full = build(model)
    for image, label, answer in zip(images, labels, answers, strict=True):
        if answer.robust or answer.counterexample is not None:
            status = check(full, linf_ball(image, 2, model.quantizer) & Keeps(int(label))).status
            assert (status == "robust") == answer.robust
