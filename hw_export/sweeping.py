"""Which claims about a graph hold for all values of its variables, by SAT sweeping.

Nodes that random values cannot tell apart are likely the same function. From the variables up, each node is compared
with the first one that looks like it: over all values of a few nodes that both depend on, if so many decide it, else by
our own solver. Equal nodes are merged before the next ones are looked at, so two large circuits that compute the same
are taken apart into small steps wherever they have functions in common. A node that turns out to be another function
gives values that tell it apart, and the likes of it.

Kuehlmann, Paruthi, Krohm and Ganai, IEEE TCAD 2002 (see `graph.py`); cuts instead of the solver: Een, "Cut Sweeping",
Cadence 2007.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Literal

import numpy as np

from bnnhw.hw_export.graph import FALSE, Graph
from bnnhw.verify import Solver

PATTERNS = 2048
"""Random values that every node starts with."""
MORE = 256
"""Further ones with each value that tells two nodes apart."""
LEAVES = 12
"""A cut has so many nodes at most, since all their values are looked at."""
WINDOW = 300
"""Nodes that the solver sees first; what lies below them is free."""
CONFLICTS = 500
"""Of the solver, before two nodes are left apart."""
LAST_CONFLICTS = 50_000
"""The same for a claim itself."""

Answer = Literal["equal", "differ", "unknown"]
Verdict = Literal["structure", "sweeping", "refuted", "undecided"]
FOUND: dict[Answer, Verdict] = {"equal": "sweeping", "differ": "refuted", "unknown": "undecided"}


@dataclass
class Statistics:
    """How nodes were found equal, or not."""

    by_cut: int = 0
    by_solver: int = 0
    apart: int = 0
    given_up: int = 0


@dataclass
class Sweeper:
    """Merges equal nodes of ``graph``. literal[node]: what has taken a node's place, in a graph without equal nodes."""

    graph: Graph
    seed: int = 0
    reduced: Graph = field(default_factory=Graph)
    literal: dict[int, int] = field(default_factory=lambda: {0: FALSE})
    statistics: Statistics = field(default_factory=Statistics)
    values: list[int] = field(default_factory=lambda: [0])
    width: int = PATTERNS

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.alike = {0: 0}

    def follow(self, literal: int) -> int:
        """The literal of the reduced graph that equals ``literal``."""
        graph, done = self.graph, self.literal
        pending = [literal >> 1]
        while pending:
            node = pending[-1]
            if node in done:
                pending.pop()
                continue
            fanins = graph.fanins[node]
            if fanins is None:
                done[node] = self._variable()
                continue
            missing = [one >> 1 for one in fanins if one >> 1 not in done]
            if missing:
                pending += missing
                continue
            a, b = (done[one >> 1] ^ (one & 1) for one in fanins)
            done[node] = self._merged(self.reduced.both(a, b))
            pending.pop()
        return done[literal >> 1] ^ (literal & 1)

    def _variable(self) -> int:
        made = self.reduced.variable()
        self.values.append(self.random.getrandbits(self.width))
        self._remember(made >> 1)
        return made

    def _remember(self, node: int) -> None:
        self.alike.setdefault(self._signature(node), node)

    def _signature(self, node: int) -> int:
        value = self.values[node]
        return value ^ ((1 << self.width) - 1) if value & 1 else value

    def _merged(self, literal: int) -> int:
        """The literal itself, or that of an equal node that was there before."""
        node = literal >> 1
        if node < len(self.values):
            return literal
        self.values.append(_conjunction(self.reduced, self.values, node, (1 << self.width) - 1))
        while (other := self.alike.get(self._signature(node))) is not None and other != node:
            opposite = (self.values[node] ^ self.values[other]) & 1
            answer, model = self._same(2 * other ^ opposite, 2 * node)
            if answer == "unknown":
                self.statistics.given_up += 1
                return literal
            if answer == "equal":
                return (2 * other ^ opposite) ^ (literal & 1)
            self.statistics.apart += 1
            self._tell_apart(model)
        self._remember(node)
        return literal

    def _same(self, a: int, b: int) -> tuple[Answer, dict[int, int]]:
        """See `compare`."""
        if _equal_over_a_cut(self.reduced, a, b):
            self.statistics.by_cut += 1
            return "equal", {}
        answer = compare(self.reduced, a, b, CONFLICTS, WINDOW)
        if answer[0] != "equal":
            answer = compare(self.reduced, a, b, CONFLICTS)
        self.statistics.by_solver += answer[0] == "equal"
        return answer

    def _tell_apart(self, model: dict[int, int]) -> None:
        """All nodes' values also for ``model`` and for others near it."""
        more = MORE
        mask = (1 << more) - 1
        values = [0] * len(self.values)
        for node, fanins in enumerate(self.reduced.fanins):
            if node >= len(values):
                break
            if node == 0:
                continue
            if fanins is None:
                # Bit 0 is the model's; in the others one variable in eight has changed.
                value = -model.get(node, self.random.getrandbits(1)) & mask
                flips = self.random.getrandbits(more) & self.random.getrandbits(more) & self.random.getrandbits(more)
                values[node] = value ^ (flips & ~1)
            else:
                values[node] = _conjunction(self.reduced, values, node, mask)
        self.values = [old << more | new for old, new in zip(self.values, values, strict=True)]
        self.width += more
        self.alike = {}
        merged = len(self.values) - 1
        for node in range(merged):
            self._remember(node)


def _conjunction(graph: Graph, values: Sequence[int], node: int, mask: int) -> int:
    fanins = graph.fanins[node]
    assert fanins is not None
    a, b = fanins
    return (values[a >> 1] ^ (-(a & 1) & mask)) & (values[b >> 1] ^ (-(b & 1) & mask))


def _equal_over_a_cut(graph: Graph, a: int, b: int) -> bool:
    """Whether the literals are equal for all values of a few nodes that they are made of; False if that is not seen."""
    inside: list[int] = []
    leaves = {a >> 1, b >> 1}
    heap = [-node for node in leaves]
    heapify(heap)
    best: tuple[list[int], list[int]] | None = None
    while heap and len(leaves) <= 2 * LEAVES:
        node = -heappop(heap)
        fanins = graph.fanins[node]
        if fanins is None:
            continue
        inside.append(node)
        leaves.discard(node)
        for one in fanins:
            if one >> 1 and one >> 1 not in leaves:
                leaves.add(one >> 1)
                heappush(heap, -(one >> 1))
        if len(leaves) <= LEAVES:
            best = list(inside), list(leaves)
    if best is None:
        return False
    nodes, cut = best
    cases = 1 << len(cut)
    mask = (1 << cases) - 1
    values = {0: 0}
    for place, node in enumerate(cut):
        period = 1 << place
        values[node] = mask // ((1 << 2 * period) - 1) * (((1 << period) - 1) << period)
    for node in reversed(nodes):
        x, y = graph.fanins[node] or (0, 0)
        values[node] = (values[x >> 1] ^ (-(x & 1) & mask)) & (values[y >> 1] ^ (-(y & 1) & mask))
    return values[a >> 1] ^ (-(a & 1) & mask) == values[b >> 1] ^ (-(b & 1) & mask)


def compare(graph: Graph, a: int, b: int, conflicts: int, window: int | None = None) -> tuple[Answer, dict[int, int]]:
    """Whether two literals are equal for all values of the variables; if not, with values for which they are not.

    conflicts: after which the solver gives up. window: as many nodes are looked at, from the top, and what is below
    them is free, so that only "equal" is certain.
    """
    inside: list[int] = []
    seen = {a >> 1, b >> 1}
    heap = [-node for node in seen]
    heapify(heap)
    while heap and (window is None or len(inside) < window):
        node = -heappop(heap)
        inside.append(node)
        for one in graph.fanins[node] or ():
            if one >> 1 not in seen:
                seen.add(one >> 1)
                heappush(heap, -(one >> 1))
    number = {node: place + 1 for place, node in enumerate(sorted(seen - {0}))}
    number[0] = len(number) + 1

    def name(literal: int) -> int:
        return -number[literal >> 1] if literal & 1 else number[literal >> 1]

    clauses = [-number[0], 0]
    for node in inside:
        if (fanins := graph.fanins[node]) is not None:
            y, p, q = number[node], name(fanins[0]), name(fanins[1])
            clauses += [-y, p, 0, -y, q, 0, y, -p, -q, 0]
    clauses += [name(a), name(b), 0, -name(a), -name(b), 0]
    solver = Solver()
    solver.new_variables(len(number))
    solver.add_clauses(np.array(clauses, np.int32))
    result = solver.solve(conflict_limit=conflicts)
    if result.status != "sat":
        return ("equal" if result.status == "unsat" else "unknown"), {}
    variables = [node for node in seen if node and graph.fanins[node] is None]
    model = solver.model()
    return "differ", {node: int(model[number[node]]) for node in variables}


def decide(sweeper: Sweeper, claim: int) -> Verdict:
    """Whether a literal of the sweeper's graph is always 0, and how that was found."""
    if claim == FALSE:
        return "structure"
    literal = sweeper.follow(claim)
    if literal == FALSE:
        return "sweeping"
    return FOUND[compare(sweeper.reduced, literal, FALSE, LAST_CONFLICTS)[0]]
