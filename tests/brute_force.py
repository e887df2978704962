"""Brute force for verification: every image of a region through reference inference, and verdicts held against it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel
from bnnhw.model.reference import predict, scores, trace
from bnnhw.verify import Agree, Avoids, Keeps, Limits, Plan, Property, Region, Verdict, build, check
from bnnhw.verify.check import ask
from bnnhw.verify.properties import Condition


def members(region: Region) -> npt.NDArray[np.int64]:
    """Every image of the region, [M, C, H, W]."""
    sides = [range(a, b + 1) for a, b in zip(region.low.ravel(), region.high.ravel(), strict=True)]
    images = np.array(list(product(*sides))).reshape(-1, *region.image.shape)
    if region.budget is None:
        return images
    distance = np.abs(images - region.image)
    each = {"l0": distance > 0, "l1": distance, "l2_squared": distance**2}[region.budget.norm]
    weight = 1 if region.budget.weight is None else region.budget.weight
    return images[(each * weight).reshape(len(images), -1).sum(axis=1) <= region.budget.limit]


def violated(
    condition: Condition, models: Sequence[IntegerModel], images: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which images violate the condition, by reference inference: bool[M]."""
    classes = [predict(model, images) for model in models]
    if isinstance(condition, Keeps) and condition.strictly:
        given = scores(models[0], images)
        others = np.delete(given, condition.label, axis=1)
        return (others >= given[:, condition.label, None]).any(axis=1)
    if isinstance(condition, Keeps):
        return classes[0] != condition.label
    if isinstance(condition, Avoids):
        return classes[0] == condition.target
    if isinstance(condition, Agree):
        return classes[0] != classes[1]
    return np.logical_and.reduce([one == classes[0] for one in classes]) & (classes[0] != condition.label)


def agree(models: Sequence[IntegerModel], question: Property, plan: Plan = Plan()) -> Verdict:  # noqa: B008
    """The verdict, after bounds, status and counterexample have all been compared with brute force."""
    everything = members(question.region)
    networks = [build(model) for model in models]
    query = ask(networks, question)
    excluded = query.bound()
    for model, undecided in zip(models, query.undecided_bits, strict=True):
        kept = trace(model, everything)
        clean = trace(model, question.region.image[None])
        for free, bits, at in zip(undecided, kept.bits, clean.bits, strict=True):
            changes = (bits != at).reshape(len(everything), -1).any(axis=0)
            assert set(np.nonzero(changes)[0]) <= set(free)
    wrong = violated(question.condition, models, everything)
    assert not (excluded and wrong.any())
    verdict = check(networks, question, Limits(seconds=60), plan=plan)
    assert verdict.status == ("falsified" if wrong.any() else "robust"), (verdict.stage, question)
    if verdict.counterexample is not None:
        assert (everything[wrong] == verdict.counterexample.image).all(axis=(1, 2, 3)).any()
    return verdict
