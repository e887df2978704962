"""What synthesis makes once: the counters and tables of an unrolled layer that differ, for the cost model.

Neurons with few inputs, or with weights nearly everywhere, have counters of the same bits at every level of their
trees, and tables of the same last bits. A counter's lowest bit is the exclusive or of its inputs, so signs only turn it
around; its other bits are the same only where all signs are. A table is the same, or the opposite, where it is so as a
function of the bits that it depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bnnhw.hw_export import sharing
from bnnhw.hw_export.unrolled import Neuron, looked_up, unfinished

Node = tuple[int, bool]
"""A bit: its number, and whether it is turned around."""


@dataclass(frozen=True)
class Different:
    """How many bits and tables there are. first_lowest, first: the lowest bits of the first level's counters, and their
    other bits. further: those other bits of all the levels after it. looked_up: tables of the last bits."""

    first_lowest: int
    first: int
    further: int
    looked_up: int


class _Numbers:
    """Numbers for bits, by what they are."""

    def __init__(self) -> None:
        self.known: dict[object, int] = {}

    def of(self, what: object) -> int:
        return self.known.setdefault(what, len(self.known))


def different(neurons: Iterable[Neuron], width: int) -> Different:
    """Of the neurons of a layer whose levels have `width` bits."""
    numbers = _Numbers()
    lowest: set[int] = set()
    others: list[dict[tuple[Node, ...], int]] = [{}, {}]
    tables = set()
    for neuron in neurons:
        if neuron.at_least is None:
            continue
        columns = [[(numbers.of((place, bit)), sign < 0) for place, sign in neuron.inputs] for bit in range(width)]
        level = 0
        while unfinished(columns):
            made: list[list[Node]] = [[] for _ in range(len(columns) + 2)]
            for k, column in enumerate(columns):
                rest = column
                for size in sharing.counter_sizes(len(column)):
                    part, rest = tuple(sorted(rest[:size])), rest[size:]
                    xor = numbers.of(frozenset(number for number, _ in part))
                    if level == 0:
                        lowest.add(xor)
                    made[k].append((xor, sum(turned for _, turned in part) % 2 == 1))
                    others[level][part] = 1 + (size > 3)
                    made[k + 1].append((numbers.of((part, 1)), False))
                    if size > 3:
                        made[k + 2].append((numbers.of((part, 2)), False))
                made[k] += rest
            while not made[-1]:
                made.pop()
            columns, level = made, 1
        last = [(node, 1 << k) for k, column in enumerate(columns) for node in column]
        if looked_up(columns):
            tables.add(_function(last, neuron.at_least.threshold))
    return Different(
        len(lowest),
        sum(others[0].values()),
        sum(others[1].values()),
        # A bit as it is takes no table.
        sum(len(read) > 1 for read, _ in tables),
    )


def _function(last: Sequence[tuple[Node, int]], threshold: int) -> tuple[tuple[int, ...], bytes]:
    """Which bits decide whether a weighted sum reaches the threshold, and how; the same for the opposite."""
    ordered = sorted(last)
    values = np.array(list(product((False, True), repeat=len(ordered))))
    total = sum(
        weight * (values[:, place] != turned).astype(np.int64) for place, ((_, turned), weight) in enumerate(ordered)
    )
    reached = (np.asarray(total) >= threshold).reshape((2,) * len(ordered))
    read: list[int] = []
    for (number, _), _ in ordered:
        axis = len(read)
        if np.array_equal(reached.take(0, axis), reached.take(1, axis)):
            reached = np.asarray(reached.take(0, axis))
        else:
            read.append(number)
    return tuple(read), np.logical_xor(reached, reached.ravel()[0]).tobytes()
