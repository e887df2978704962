"""Which inputs neurons of an unrolled layer count together: a counter that several neurons need is made once.

An unrolled neuron's first counters take its inputs six at a time, in any order. Where two neurons have six inputs of
the same signs in common, both start with these, and synthesis keeps one counter. Greedy, as for common subexpressions
(Hartley, "Subexpression Sharing in Filters Using Canonic Signed Digit Multipliers", IEEE TCAS II, 1996): the two
neurons with most in common, of what they share the six that most other neurons have too, until no two share six.
Where nearly all neurons have nearly all inputs, the order of the inputs is better: the lowest bit of a count does not
depend on signs but for its own, so neurons that have the same six inputs share it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TOGETHER = 6
"""Inputs of a counter."""


Orders = list[list[int]]


def counter_sizes(bits: int) -> list[int]:
    """How many inputs the counters of one level take of ``bits`` bits of the same weight; two at most are left."""
    sizes = []
    while bits > 2:
        sizes.append(3 if bits < 5 else min(TOGETHER, bits))
        bits -= sizes[-1]
    return sizes


Counter = tuple[tuple[int, int], ...]
"""What a first counter takes: inputs and their signs."""


def counters(inputs: Sequence[tuple[int, int]]) -> list[Counter]:
    """The first counters of a neuron with these inputs and signs, in this order."""
    made, begin = [], 0
    for size in counter_sizes(len(inputs)):
        made.append(tuple(inputs[begin : begin + size]))
        begin += size
    return made


def tables(counters: set[Counter]) -> tuple[int, int]:
    """Lookup tables of the counters' (lowest bits, other bits): lowest bits are the same whatever the signs."""
    return len({frozenset(place for place, _ in one) for one in counters}), sum(1 + (len(one) > 3) for one in counters)


def orders(weights: npt.NDArray[np.int8]) -> Orders:
    """For each neuron of int8[neurons, inputs] its inputs with weights, in the order that takes fewer lookup tables."""
    rows = weights.tolist()

    def needed(ordered: Orders) -> int:
        signed = [[(place, row[place]) for place in order] for row, order in zip(rows, ordered, strict=True)]
        return sum(tables({counter for inputs in signed for counter in counters(inputs)}))

    return min([np.flatnonzero(row).tolist() for row in weights], _shared(weights), key=needed)


def _shared(weights: npt.NDArray[np.int8]) -> Orders:
    """Inputs that a neuron counts with others first."""
    inputs = weights.shape[1]
    # Literals: inputs as they are, then inverted.
    left = np.concatenate([weights > 0, weights < 0], axis=1)
    common = left.astype(np.float32) @ left.T.astype(np.float32)
    np.fill_diagonal(common, 0)
    ordered: list[list[int]] = [[] for _ in weights]
    while common.max(initial=0) >= TOGETHER:
        one, other = divmod(int(common.argmax()), len(weights))
        chosen = _most_shared(left, np.flatnonzero(left[one] & left[other]))
        users = np.flatnonzero(left[:, chosen].all(axis=1))
        for user in users.tolist():
            ordered[user] += [literal % inputs for literal in chosen]
        left[np.ix_(users, np.array(chosen))] = False
        common[users] = left[users].astype(np.float32) @ left.T.astype(np.float32)
        common[:, users] = common[users].T
        common[users, users] = 0
    for row, rest in zip(ordered, left, strict=True):
        row += sorted(int(literal) % inputs for literal in np.flatnonzero(rest))
    return ordered


def _most_shared(left: npt.NDArray[np.bool_], candidates: npt.NDArray[np.int64]) -> list[int]:
    """Six of the candidates, each the one that most neurons with those before it have; in ascending order."""
    users, rest, chosen = np.ones(len(left), bool), candidates.tolist(), list[int]()
    while len(chosen) < TOGETHER:
        chosen.append(rest.pop(int(left[users][:, rest].sum(axis=0).argmax())))
        users &= left[:, chosen[-1]]
    return sorted(chosen)
