"""Combinational logic as an and-inverter graph: conjunctions of two literals, each made once.

A literal is twice a node's number, plus 1 where it is inverted; node 0 is false. Equal conjunctions are the same node
(structural hashing), so logic that two netlists build alike is shared from the start. `sweeping.py` finds the rest.

Kuehlmann, Paruthi, Krohm and Ganai, "Robust Boolean Reasoning for Equivalence Checking and Functional Property
Verification", IEEE TCAD, 2002.
"""

from __future__ import annotations

from collections.abc import Sequence

FALSE, TRUE = 0, 1


class Graph:
    """fanins[node]: the two literals whose conjunction it is, or None for node 0 and variables."""

    def __init__(self) -> None:
        self.fanins: list[tuple[int, int] | None] = [None]
        self._made: dict[tuple[int, int], int] = {}

    def variable(self) -> int:
        """A literal that is free."""
        self.fanins.append(None)
        return 2 * len(self.fanins) - 2

    def both(self, a: int, b: int) -> int:
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a in (TRUE, b):
            return b
        if (made := self._made.get((a, b))) is None:
            self.fanins.append((a, b))
            made = self._made[a, b] = 2 * len(self.fanins) - 2
        return made

    def either(self, a: int, b: int) -> int:
        return self.both(a ^ 1, b ^ 1) ^ 1

    def choose(self, select: int, one: int, zero: int) -> int:
        """`one` where `select` is 1, else `zero`."""
        if one == zero:
            return one
        return self.both(self.both(select, one) ^ 1, self.both(select ^ 1, zero) ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        return self.choose(a, b ^ 1, b)

    def entry(self, table: Sequence[int], address: Sequence[int]) -> int:
        """The literal of ``table`` (2^n of them) that the n literals of ``address``, bit 0 first, say."""
        entries = list(table)
        for bit in address:
            entries = [self.choose(bit, entries[i + 1], entries[i]) for i in range(0, len(entries), 2)]
        return entries[0]
