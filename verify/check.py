"""One query, cheapest stage first: clean prediction, exact bounds, solver. Each stage is exact and hands on a value.

A verdict of falsified is given only after reference inference, on the counterexample's pixels, has left the label; a
counterexample that fails this replay is an error of ours and raised as such, never a verdict.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bnnhw.model import reference
from bnnhw.verify._solver import Solver
from bnnhw.verify.bounds import propagate
from bnnhw.verify.encode import decode, encode
from bnnhw.verify.network import Integers, Network
from bnnhw.verify.properties import LinfRobustness

Status = Literal["robust", "falsified", "unknown"]
Stage = Literal["clean", "bounds", "solver"]


class UnsoundnessError(RuntimeError):
    """Two routes that must agree do not: a defect in bnnhw. Please report it with the model and the image."""


@dataclass(frozen=True)
class Limits:
    """What one query may spend: seconds of wall clock, solver conflicts and bytes of memory; None means no limit."""

    seconds: float | None = 60.0
    conflicts: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Counterexample:
    """An image of the ball that the model does not give the label. image: int64[C, H, W]; predicted: its class."""

    image: Integers
    predicted: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer to one query.

    status: robust, falsified or unknown; reason says why an unknown is one (time, conflicts, memory, interrupted).
    stage: the stage that decided (or gave up). seconds: per stage. undecided: bits per hidden layer left by the bounds.
    """

    status: Status
    stage: Stage
    reason: str = ""
    counterexample: Counterexample | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    undecided: tuple[int, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict)


def check(network: Network, query: LinfRobustness, limits: Limits = Limits(), seed: int = 0) -> Verdict:
    """Decide one query exactly. Deterministic by ``seed`` but for the time limit."""
    query.check(network.model)
    started = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(stage: str) -> None:
        seconds[stage] = time.perf_counter() - started - sum(seconds.values())

    predicted = int(reference.predict(network.model, query.image[None])[0])
    lap("clean")
    if predicted != query.label:
        found = Counterexample(query.image.astype(np.int64), predicted)
        return Verdict("falsified", "clean", counterexample=found, seconds=seconds)
    bounds = propagate(network, query)
    lap("bounds")
    if not bounds.rivals:
        return Verdict("robust", "bounds", seconds=seconds, undecided=bounds.undecided)
    solver = Solver(seed)
    inputs = encode(network, query, bounds, solver)
    lap("encode")
    remaining = None if limits.seconds is None else max(0.0, limits.seconds - sum(seconds.values()))
    result = solver.solve(conflict_limit=limits.conflicts, time_limit=remaining, memory_limit=limits.memory_bytes)
    lap("solve")
    statistics = dict(solver.statistics()) | {"free_inputs": len(inputs.pixel)}
    if result.status == "sat":
        image = decode(network, query, inputs, solver.model())
        found = replay(network, query, image)
        return Verdict("falsified", "solver", "", found, seconds, bounds.undecided, statistics)
    status: Status = "robust" if result.status == "unsat" else "unknown"
    return Verdict(status, "solver", result.reason, None, seconds, bounds.undecided, statistics)


def replay(network: Network, query: LinfRobustness, image: Integers) -> Counterexample:
    """The counterexample that ``image`` is, by reference inference; UnsoundnessError where it is none."""
    distance = int(np.abs(image - query.image.astype(np.int64)).max())
    if distance > query.radius:
        raise UnsoundnessError(f"the solver's image is {distance} pixel units away, outside the radius {query.radius}")
    predicted = int(reference.predict(network.model, image[None])[0])
    if predicted == query.label:
        raise UnsoundnessError(f"the solver's image is still classified {query.label} by reference inference")
    return Counterexample(image, predicted)
