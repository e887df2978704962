"""The smallest change that violates a condition, both sides proven: no image closer does, and here is one that does.

Attacks at falling costs come first, for a counterexample to show early. Then proofs from below, because a proof for one
budget covers every smaller one and costs grow steeply: each affordable cost is attacked, then decided exactly, until a
counterexample of that cost turns up. Stopped early, what stands is an interval: proven robust below ``lower``, a
counterexample at ``upper``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from bnnhw.model import Quantizer
from bnnhw.verify.check import Counterexample, Limits, Plan, UnsoundnessError, ask, check, replay
from bnnhw.verify.network import Integers, Network
from bnnhw.verify.properties import Ball, Budget, Condition, Distance, Norm, Pixels

LARGEST_LISTED = 1 << 20
"""Costs are looked at up to here; a search that ends there has proven a lower bound, not exhausted the images."""


@dataclass(frozen=True, eq=False)
class Distortion:
    """lower: every image that costs less meets the condition. upper: what ``counterexample`` costs, None if none found.

    The two are equal where the answer is final; upper None and ``exhausted`` means that no image at all violates it.
    reason says why an answer that is not final is none. seconds: wall clock, in total and per decided cost.
    """

    lower: int
    upper: int | None
    counterexample: Counterexample | None
    exhausted: bool = False
    reason: str = ""
    seconds: float = 0.0
    steps: dict[int, float] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        return self.exhausted or self.lower == self.upper


def minimal_distortion(
    networks: Network | Sequence[Network],
    image: Pixels,
    condition: Condition,
    distance: Distance,
    limits: Limits = Limits(),
    seed: int = 0,
    plan: Plan = Plan(),
    weight: Integers | None = None,
    progress: Callable[[Distortion], None] | None = None,
    lower: int = 0,
) -> Distortion:
    """The least cost at which some image violates ``condition``; limits are for the whole search.

    distance: of pixels changed (l0), of absolute (l1) or squared (l2_squared) changes summed, or the largest (linf).
    weight: multiplies a pixel's cost (not linf). progress is called whenever a bound moves. lower: what an earlier
    search has proven already; it is not asked again.
    """
    asked = [networks] if isinstance(networks, Network) else list(networks)
    quantizer = asked[0].quantizer
    begun = time.perf_counter()
    best = Distortion(lower, None, None)

    def update(**changes: Any) -> None:
        nonlocal best
        best = replace(best, seconds=time.perf_counter() - begun, **changes)
        if progress:
            progress(best)

    def remaining() -> float | None:
        return None if limits.seconds is None else max(0.0, limits.seconds - (time.perf_counter() - begun))

    def found(counterexample: Counterexample) -> None:
        cost = _cost(image, counterexample.image, distance, weight)
        if cost < best.lower:
            raise UnsoundnessError(f"an image at {distance} {cost} violates the condition, proven below {best.lower}")
        update(upper=cost, counterexample=counterexample)

    def attack(cost: int) -> bool:
        """Search at random among the images of that cost; a hit becomes the upper bound."""
        question = Ball(distance, cost).around(image, quantizer, weight) & condition
        query = ask(asked, question)
        if query.bound():
            return False
        hit = query.attack(seed, 10 * plan.attack_evaluations, remaining())
        if hit.image is None:
            return False
        found(replay(asked, question, np.array(hit.image, np.int64)))
        return True

    def attack_from_above() -> None:
        cost, most = max(1, best.lower), _most(image.size, quantizer, distance)
        while best.upper is None and cost <= most and remaining() != 0 and not attack(cost):
            cost *= 2
        while best.upper is not None and best.upper * 3 // 4 >= max(1, best.lower) and attack(best.upper * 3 // 4):
            pass

    attacked = False
    costs, complete = _costs(asked, image, distance, weight)
    for cost in costs:
        if cost < lower:
            continue
        if cost > 0 and not attacked and not best.final:
            attacked = True
            attack_from_above()
        if best.final:
            return best
        if best.upper is not None and cost >= best.upper:
            update(lower=best.upper)
            return best
        if cost > best.lower:
            update(lower=cost)
        if remaining() == 0:
            update(reason="time")
            return best
        started = time.perf_counter()
        if cost == 0 or not attack(cost):
            question = Ball(distance, cost).around(image, quantizer, weight) & condition
            verdict = check(asked, question, replace(limits, seconds=remaining()), seed, plan)
            if verdict.status == "unknown":
                update(reason=verdict.reason)
                return best
            if verdict.counterexample is None:
                update(lower=cost + 1)
            else:
                found(verdict.counterexample)
        update(steps={**best.steps, cost: time.perf_counter() - started})
    if best.upper is not None:
        update(lower=best.upper)
    elif complete:
        update(exhausted=True)
    else:
        update(reason="no cost above is looked at")
    return best


def _most(pixels: int, quantizer: Quantizer, distance: Distance) -> int:
    """Where to stop looking for a first counterexample: the largest cost of an image, unless weights multiply it."""
    span = quantizer.pixel_max - quantizer.pixel_min
    each = {"linf": span, "l0": pixels, "l1": pixels * span, "l2_squared": pixels * span**2}[distance]
    return min(each, LARGEST_LISTED)


def _cost(image: Pixels, changed: Integers, distance: Distance, weight: Integers | None) -> int:
    if distance == "linf":
        return int(np.abs(changed - image.astype(np.int64)).max())
    return Budget(distance, 0, weight).cost(image, changed)


def _costs(
    networks: Sequence[Network], image: Pixels, distance: Distance, weight: Integers | None
) -> tuple[Iterator[int], bool]:
    """The costs that some cheapest image with its levels has, ascending; no other cost can be the answer.

    False where there may be more beyond LARGEST_LISTED.
    """
    flat = image.reshape(-1).astype(np.int64)
    per_pixel: list[set[int]] = [set() for _ in flat]
    factor = np.ones(len(flat), np.int64) if weight is None else weight.reshape(-1)
    norm: Norm = "l1" if distance == "linf" else distance
    for network in networks:
        quantizer = network.quantizer
        shape = (quantizer.levels, *quantizer.shape)
        for thresholds in np.broadcast_to(quantizer.thresholds, shape).reshape(quantizer.levels, -1).astype(np.int64):
            inside = (thresholds > quantizer.pixel_min) & (thresholds <= quantizer.pixel_max)
            apart = np.where(thresholds > flat, thresholds - flat, flat - thresholds + 1)
            each = factor * {"l0": np.ones_like(apart), "l1": apart, "l2_squared": apart**2}[norm]
            for pixel in np.nonzero(inside)[0].tolist():
                per_pixel[pixel].add(int(each[pixel]))
    if distance == "linf":
        return iter(sorted({0}.union(*per_pixel))), True
    most = sum(max(costs, default=0) for costs in per_pixel)
    return _sums([sorted(costs) for costs in per_pixel], min(most, LARGEST_LISTED)), most <= LARGEST_LISTED


def _sums(choices: list[list[int]], end: int) -> Iterator[int]:
    """Sums of at most one cost per pixel, ascending, up to ``end``; listed in windows that double."""
    given, window = -1, 64
    while given < end:
        window = min(2 * window, end)
        every = (1 << (window + 1)) - 1
        # Bit c is set if some choice adds up to c.
        reachable = 1
        for costs in choices:
            reachable = reduce(or_, (reachable << cost for cost in costs if cost <= window), reachable) & every
        yield from (cost for cost in range(given + 1, window + 1) if reachable >> cost & 1)
        given = window
