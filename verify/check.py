"""One question, cheapest stage first. Each stage is exact and hands on a value.

clean prediction -> bounds -> (small budgets: enumeration) -> solver, briefly -> attack -> solver, to the end. The
solver gets the first word before the attack because most questions that bounds leave open take it well under a
millisecond; the attack then looks for what random search finds faster than proof. An answer of falsified is given only
after reference inference, on the counterexample's pixels, has confirmed it; a counterexample that fails this replay is
an error of ours and raised as such, never a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bnnhw.model import Conv, reference
from bnnhw.verify import _engine
from bnnhw.verify.network import Integers, Network
from bnnhw.verify.properties import Avoids, Keeps, NotUnanimouslyWrong, Property, PropertyError

Status = Literal["robust", "falsified", "unknown"]
Stage = Literal["clean", "bounds", "enumeration", "attack", "solver"]


class UnsoundnessError(RuntimeError):
    """Two routes that must agree do not: a defect in bnnhw. Please report it with the model and the image."""


@dataclass(frozen=True)
class Limits:
    """What one query may spend: seconds of wall clock, solver conflicts and bytes of memory; None means no limit."""

    seconds: float | None = 60.0
    conflicts: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Plan:
    """How much each stage may do before the next one takes over; no choice here changes an answer.

    most_subsets: enumerate a budget's images if that means at most so many subsets of changes (about 0.1 microseconds
    each). brief_conflicts: of the solver's first go. attack_evaluations: neighbours that the attack may look at (about
    2 microseconds each on conv-small).
    """

    most_subsets: float = 1e8
    brief_conflicts: int = 1000
    attack_evaluations: int = 3000


@dataclass(frozen=True, eq=False)
class Counterexample:
    """An image of the region that violates the condition. image: int64[C, H, W]; predicted: the first model's class."""

    image: Integers
    predicted: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer to one query.

    status: robust, falsified or unknown; reason says why an unknown is one (time, conflicts, memory, interrupted).
    stage: the stage that decided (or gave up). seconds: per stage. undecided: bits per hidden layer left by the bounds,
    of the first model. statistics: what the stages counted.
    """

    status: Status
    stage: Stage
    reason: str = ""
    counterexample: Counterexample | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    undecided: tuple[int, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict)


def check(
    networks: Network | Sequence[Network],
    question: Property,
    limits: Limits = Limits(),
    seed: int = 0,
    plan: Plan = Plan(),
) -> Verdict:
    """Decide one question exactly. Deterministic by ``seed`` but for the time limit."""
    asked = [networks] if isinstance(networks, Network) else list(networks)
    question.check([network.model for network in asked])
    begun = time.perf_counter()
    lap_begun = begun
    seconds: dict[str, float] = {}
    statistics: dict[str, float] = {}

    def lap(stage: str) -> None:
        nonlocal lap_begun
        now = time.perf_counter()
        seconds[stage] = seconds.get(stage, 0.0) + now - lap_begun
        lap_begun = now

    def remaining() -> float | None:
        return None if limits.seconds is None else max(0.0, limits.seconds - (time.perf_counter() - begun))

    def verdict(status: Status, stage: Stage, image: list[int] | None = None, reason: str = "") -> Verdict:
        undecided = tuple(query.undecided[0]) if stage != "clean" else ()
        found = None if image is None else replay(asked, question, np.array(image, np.int64))
        return Verdict(status, stage, reason, found, seconds, undecided, statistics)

    query = ask(asked, question)
    reaches = query.clean_reaches
    lap("clean")
    if reaches:
        return verdict("falsified", "clean", question.region.image.ravel().tolist())
    excluded = query.bound()
    lap("bounds")
    if excluded:
        return verdict("robust", "bounds")
    statistics["free_inputs"] = query.free_steps
    if question.region.budget is not None:
        listed = query.enumerate(plan.most_subsets, remaining())
        lap("enumeration")
        statistics.update(listed.statistics)
        if listed.status == "found":
            return verdict("falsified", "enumeration", listed.image)
        if listed.status == "complete":
            return verdict("robust", "enumeration")
    bump = 1.3 if all(isinstance(next(iter(n.model.hidden), None), Conv) for n in asked) else 1.0
    try:
        query.encode(seed, True, bump, bump)
    except ValueError as error:
        raise PropertyError(str(error)) from None
    lap("encode")
    brief = plan.brief_conflicts if limits.conflicts is None else min(plan.brief_conflicts, limits.conflicts)
    answer = query.solve(brief, remaining(), limits.memory_bytes)
    lap("solve")
    if answer.reason == "conflicts" and brief != limits.conflicts:
        hit = query.attack(seed, plan.attack_evaluations, remaining())
        lap("attack")
        statistics.update(hit.statistics)
        if hit.status == "found":
            return verdict("falsified", "attack", hit.image)
        left = None if limits.conflicts is None else limits.conflicts - brief
        answer = query.solve(left, remaining(), limits.memory_bytes)
        lap("solve")
    statistics.update(answer.statistics)
    if answer.status == "sat":
        return verdict("falsified", "solver", answer.image)
    return verdict("robust" if answer.status == "unsat" else "unknown", "solver", reason=answer.reason)


def ask(networks: Sequence[Network], question: Property) -> _engine.Query:
    """The question as the engine takes it; its stages may then be called one by one."""
    region, condition, budget = question.region, question.condition, question.region.budget
    goal: Literal["misclassified", "targeted", "unanimous", "differ"] = "differ"
    label = target = 0
    if isinstance(condition, Keeps):
        goal, label = "misclassified", condition.label
    elif isinstance(condition, Avoids):
        goal, target = "targeted", condition.target
    elif isinstance(condition, NotUnanimouslyWrong):
        goal, label = "unanimous", condition.label
    image, low, high = (
        np.ascontiguousarray(side, np.int32).reshape(-1) for side in (region.image, region.low, region.high)
    )
    return _engine.Query(
        [network.native for network in networks],
        image,
        low,
        high,
        goal,
        label,
        target,
        isinstance(condition, Keeps) and condition.strictly,
        None if budget is None else budget.norm,
        0 if budget is None else budget.limit,
        None if budget is None or budget.weight is None else np.ascontiguousarray(budget.weight, np.int64).reshape(-1),
    )


def replay(networks: Sequence[Network], question: Property, pixels: Integers) -> Counterexample:
    """The counterexample that ``pixels`` is, by reference inference; UnsoundnessError where it is none."""
    image = pixels.reshape(question.region.image.shape)
    if not question.region.contains(image):
        raise UnsoundnessError("the counterexample lies outside the region it was found in")
    models = [network.model for network in networks]
    if question.condition.met(models, image):
        raise UnsoundnessError(f"the counterexample still meets {question.condition} by reference inference")
    return Counterexample(image, int(reference.predict(models[0], image[None])[0]))
