"""How a layer is spread over time.

Folded: PE neurons at once, SIMD inputs a clock (the field's names, from FINN). Unrolled: all neurons and inputs at
once, a result a clock, each neuron with only the inputs it has weights for (`unrolled.py`).

All layers work at the same time on successive images, so the slowest one sets the pace: each layer gets the smallest
style, PE and SIMD that meet the target, by the cost model of `cost.py`. A dense layer may read several positions of its
input as one word (`pack`), because a word is what SIMD divides.

Umuroglu et al., "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", FPGA 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Literal, get_args

import numpy as np

from bnnhw.hw_export import cost
from bnnhw.hw_export.memory import lane_width
from bnnhw.hw_export.stage import Stage, stages
from bnnhw.model import IntegerModel

Style = Literal["auto", "folded", "unrolled"]

WIDEST_INPUT = 512
"""Bits of the input stream's TDATA at most."""
WIDEST_WORD = 8192
"""Bits of one weight memory word at most (two planes of PE x SIMD)."""
LEAST_TABLES_A_WEIGHT = 0.1
"""Lookup tables of an unrolled layer are hardly ever fewer: about 0.95, or half of that where neurons share much."""


@dataclass(frozen=True)
class Plan:
    """How a network is folded. values: pixel values that come in a clock. stages: one for each layer. beats: of an
    image."""

    model: IntegerModel
    values: int
    stages: tuple[Stage, ...]
    beats: int

    @property
    def lookup_tables(self) -> int:
        """How many it takes on Xilinx 7 series, by the cost model."""
        last = self.stages[-1].counting
        assert last is not None
        ends = cost.ends_tables(self.model, self.values, last.width)
        return round(ends + sum(cost.lookup_tables(stage) for stage in self.stages))

    @property
    def block_memories(self) -> float:
        """How many of 36 Kbit it takes, by the cost model."""
        return sum(cost.block_memories(stage) for stage in self.stages)

    @property
    def cycles(self) -> int:
        """Clocks from one image to the next when nothing outside stalls: those of the slowest part."""
        classes = self.stages[-1].made[0]
        return max(self.beats, classes + 1, *(stage.cycles for stage in self.stages))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def foldings(stage: Stage, style: Style) -> Iterator[Stage]:
    """Every pack, PE and SIMD that divide the layer and keep its weight words narrow enough, and all unrolled."""
    positions = stage.source[1] * stage.source[2]
    if stage.can_unroll and style != "folded":
        yield replace(stage, pack=positions if stage.whole else 1, unrolled=True)
        if style == "unrolled":
            return
    for pack in _divisors(positions) if stage.whole else [1]:
        packed = replace(stage, pack=pack)
        for simd in _divisors(packed.channels):
            # A word of which more than one slice remains could be narrower.
            if pack > 1 and simd <= packed.channels // 2 and packed.channels // simd > 1:
                continue
            for pe in _divisors(stage.made[0]):
                if 2 * pe * simd <= WIDEST_WORD or pe * simd == 1:
                    yield replace(packed, pe=pe, simd=simd)


def _least(stage: Stage, style: Style) -> int:
    """The fewest clocks an image of any folding."""
    return stage.cycles if stage.counting is None else min(one.cycles for one in foldings(stage, style))


def _fold(stage: Stage, target: int, style: Style) -> Stage:
    """The smallest folding that meets ``target`` clocks, which one of them has to."""
    if stage.counting is None:
        return stage
    quick = [one for one in foldings(stage, style) if one.cycles <= target]
    # Twice as many lanes are never smaller: most foldings need not be looked at closely.
    fewest = min((one.pe * one.simd for one in quick if not one.unrolled), default=0)
    near = [(cost.lookup_tables(one), one) for one in quick if not one.unrolled and one.pe * one.simd <= 2 * fewest]
    # Nor need a layer be unrolled in thought, which takes minutes for millions of weights, where these alone take more.
    most = min((tables for tables, _ in near), default=inf)
    weights = np.count_nonzero(stage.counting.weights)
    near += [
        (cost.lookup_tables(one), one)
        for one in quick
        if one.unrolled and weights * stage.width * LEAST_TABLES_A_WEIGHT < most
    ]
    return min(near, key=lambda pair: (pair[0], pair[1].channels))[1]


def plan(model: IntegerModel, target_cycles: int = 4096, style: Style = "auto") -> Plan:
    """A folding of ``model`` that takes at most ``target_cycles`` clocks an image where that is possible.

    style: "folded" or "unrolled" for all layers that can be, or "auto", whichever is smaller for each.
    """
    if style not in get_args(Style):
        raise ValueError(f"style {style!r} must be one of {', '.join(get_args(Style))}")
    if target_cycles < 1:
        raise ValueError(f"target of {target_cycles} cycles an image must be at least 1")
    total = prod(model.quantizer.shape)
    lane = lane_width(model)
    plain = stages(model)
    # The input's word and the slowest layer bound the pace of all: nothing needs to be faster.
    joined = _divisors(total if plain[0].whole else plain[0].source[0])
    widest = max(n for n in joined if n == 1 or n * lane <= WIDEST_INPUT)
    target = max(target_cycles, total // widest, *(_least(stage, style) for stage in plain))
    folded = tuple(_fold(stage, target, style) for stage in plain)
    choices = [n for n in _divisors(folded[0].channels) if n == 1 or n * lane <= WIDEST_INPUT]
    values = next((n for n in choices if total // n <= target), choices[-1])
    return Plan(model, values, folded, total // values)


def stated(model: IntegerModel, values: int, chosen: list[dict[str, object]]) -> Plan:
    """The plan that an export's manifest states: ``chosen`` has pe, simd, pack and unrolled of every stage.

    ValueError where that is no folding of ``model``.
    """
    plain = stages(model)
    total = prod(model.quantizer.shape)
    if len(chosen) != len(plain) or values < 1 or total % values:
        raise ValueError("the folding that is stated is not of this model")
    made = []
    for number, (stage, names) in enumerate(zip(plain, chosen, strict=True)):
        wanted = tuple(names.get(name) for name in ("pe", "simd", "pack", "unrolled"))
        every = iter([stage]) if stage.counting is None else foldings(stage, "auto")
        found = next((one for one in every if (one.pe, one.simd, one.pack, one.unrolled) == wanted), None)
        if found is None:
            raise ValueError(f"stage {number} has no folding of {wanted}")
        made.append(found)
    return Plan(model, values, tuple(made), total // values)


@dataclass(frozen=True)
class Budget:
    """What a plan may take: lookup tables of logic and small memories, and block memories of 36 Kbit."""

    lookup_tables: float
    block_memories: float = inf

    def holds(self, plan: Plan) -> bool:
        return plan.lookup_tables <= self.lookup_tables and plan.block_memories <= self.block_memories


def paces(model: IntegerModel, style: Style = "auto") -> list[int]:
    """All the clocks an image that some layer's folding takes, in ascending order."""
    found = {prod(model.quantizer.shape)}
    for stage in stages(model):
        found |= {one.cycles for one in foldings(stage, style)} if stage.counting is not None else {stage.cycles}
    return sorted(found)


def fastest(model: IntegerModel, budget: Budget, style: Style = "auto") -> int:
    """The fewest clocks an image for which `plan` stays within ``budget``, as the cost model has it.

    ValueError where even the smallest folding does not.
    """
    ordered = paces(model, style)
    smallest = plan(model, ordered[-1], style)
    if not budget.holds(smallest):
        raise ValueError(
            f"even the smallest folding takes about {smallest.lookup_tables} lookup tables and "
            f"{smallest.block_memories:g} block memories: raise the limits or take a smaller network"
        )
    low, high = 0, len(ordered) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if budget.holds(plan(model, ordered[middle], style)) else (middle + 1, high)
    return plan(model, ordered[high], style).cycles
