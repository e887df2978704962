"""Brute force for verification: every image of a region through reference inference, and verdicts held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel
from bnnhw.model.reference import Trace, trace
from bnnhw.verify import Agree, Avoids, Budget, Keeps, Limits, Network, Plan, Property, Region, Verdict, build, check
from bnnhw.verify.check import ask
from bnnhw.verify.properties import Condition

Images = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """Images int64[M, C, H, W] and what each model makes of them by reference inference; one table serves many
    questions about the same models."""

    images: Images
    networks: tuple[Network, ...]
    traces: tuple[Trace, ...]


def tabulate(models: Sequence[IntegerModel], images: Images) -> Table:
    return Table(images, tuple(build(model) for model in models), tuple(trace(model, images) for model in models))


def box_members(low: Images, high: Images) -> Images:
    """Every integer image from ``low`` to ``high``, [M, C, H, W]."""
    sides = [np.arange(a, b + 1) for a, b in zip(low.ravel(), high.ravel(), strict=True)]
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, *low.shape)


def costs(budget: Budget, image: Images, images: Images) -> npt.NDArray[np.int64]:
    """What going from ``image`` to each of ``images`` costs: int64[M]."""
    distance = np.abs(images - image)
    each = {"l0": distance > 0, "l1": distance, "l2_squared": distance**2}[budget.norm]
    weight = 1 if budget.weight is None else budget.weight
    total: npt.NDArray[np.int64] = (each * weight).reshape(len(images), -1).sum(axis=1)
    return total


def inside(region: Region, images: Images) -> Mask:
    """Which images belong to the region: bool[M]."""
    flat = images.reshape(len(images), -1)
    member: Mask = ((flat >= region.low.ravel()) & (flat <= region.high.ravel())).all(axis=1)
    if region.budget is not None:
        member &= costs(region.budget, region.image, images) <= region.budget.limit
    return member


def violated(condition: Condition, traces: Sequence[Trace]) -> Mask:
    """Which images violate the condition: bool[M]."""
    classes = [one.predictions for one in traces]
    if isinstance(condition, Keeps) and condition.strictly:
        given = traces[0].scores
        others = np.delete(given, condition.label, axis=1)
        return (others >= given[:, condition.label, None]).any(axis=1)
    if isinstance(condition, Keeps):
        return classes[0] != condition.label
    if isinstance(condition, Avoids):
        return classes[0] == condition.target
    if isinstance(condition, Agree):
        return classes[0] != classes[1]
    return np.logical_and.reduce([one == classes[0] for one in classes]) & (classes[0] != condition.label)


def agree_with(table: Table, question: Property, plan: Plan = Plan()) -> Verdict:
    """The verdict, after bounds, status and counterexample have all been compared with the table's images."""
    member = inside(question.region, table.images)
    clean = int(np.nonzero((table.images == question.region.image).all(axis=(1, 2, 3)))[0][0])
    query = ask(table.networks, question)
    excluded = query.bound()
    for kept, undecided in zip(table.traces, query.undecided_bits, strict=True):
        for free, bits in zip(undecided, kept.bits, strict=True):
            changes = (bits[member] != bits[clean]).reshape(int(member.sum()), -1).any(axis=0)
            assert set(np.nonzero(changes)[0]) <= set(free), "a bit that changes is not undecided"
    wrong = violated(question.condition, table.traces) & member
    assert not (excluded and wrong.any()), "bounds exclude a counterexample"
    verdict = check(table.networks, question, Limits(seconds=60), plan=plan)
    assert verdict.status == ("falsified" if wrong.any() else "robust"), (verdict.stage, verdict.status)
    if verdict.counterexample is not None:
        assert (table.images[wrong] == verdict.counterexample.image).all(axis=(1, 2, 3)).any(), "no counterexample"
    return verdict


def agree(models: Sequence[IntegerModel], question: Property, plan: Plan = Plan()) -> Verdict:
    """`agree_with` a table of every image of the question's box."""
    return agree_with(tabulate(models, box_members(question.region.low, question.region.high)), question, plan)
