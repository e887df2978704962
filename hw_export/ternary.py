"""The RTL's gates and memories over a graph, in three values: where a net is certainly 0, and where certainly 1.

The same meaning as `netlist.Cases`, for all values at once. What is unknown comes from words that a memory does not
have, from x in the RTL's text and from registers that are given as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnnhw.hw_export.graph import FALSE, TRUE, Graph
from bnnhw.hw_export.netlist import Bit, Netlist

Pair = tuple[int, int]
"""Literals: certainly 0, certainly 1. Opposites, unless the net can be unknown."""

UNKNOWN: Pair = (FALSE, FALSE)


def certain(literal: int) -> Pair:
    """The net that is this literal."""
    return literal ^ 1, literal


class Original:
    """The RTL's nets, given what its registers and memories hold. Nets that nothing drives are free."""

    def __init__(
        self, netlist: Netlist, graph: Graph, held: Mapping[Bit, Pair], stored: Mapping[tuple[str, int, int], Pair]
    ):
        """held: of registers and inputs. stored: of written memories' bits (memory, word, bit)."""
        self.netlist, self.graph, self.stored = netlist, graph, stored
        self.pairs: dict[Bit, Pair] = {"0": (TRUE, FALSE), "1": (FALSE, TRUE), "x": UNKNOWN, "z": UNKNOWN}
        self.pairs |= held
        self.read: dict[Bit, tuple[str, int]] = {}
        for name, memory in netlist.memories.items():
            for place, bit in enumerate(memory.read_data):
                self.read[bit] = (name, place)

    def pair(self, bit: Bit) -> Pair:
        pairs, gates = self.pairs, self.netlist.gates
        pending = [bit]
        while pending:
            top = pending[-1]
            if top in pairs:
                pending.pop()
                continue
            if top in gates:
                kind, inputs = gates[top]
            elif top in self.read:
                kind, inputs = "memory", self.netlist.memories[self.read[top][0]].read_address
            else:
                pairs[top] = certain(self.graph.variable())
                continue
            if missing := [one for one in inputs if one not in pairs]:
                pending += missing
                continue
            given = [pairs[one] for one in inputs]
            pairs[top] = self._entry(*self.read[top], given) if kind == "memory" else _gate(self.graph, kind, *given)
        return pairs[bit]

    def _entry(self, name: str, place: int, address: list[Pair]) -> Pair:
        """A bit of a memory's word; unknown where there is none."""
        memory = self.netlist.memories[name]
        if memory.contents is not None:
            entries = [certain(word >> place & 1) for word in memory.contents]
        else:
            entries = [self.stored[name, word, place] for word in range(memory.size)]
        for select in address:
            entries += [UNKNOWN] * (len(entries) % 2)
            entries = [_choose(self.graph, entries[i], entries[i + 1], select) for i in range(0, len(entries), 2)]
        return entries[0]

    def written(self, name: str, word: int, place: int) -> Pair:
        """What a memory's bit is after the clock."""
        memory, graph = self.netlist.memories[name], self.graph
        here = certain(TRUE)
        for position, bit in enumerate(memory.write_address):
            zero, one = self.pair(bit)
            here = _both(graph, here, (zero, one) if word >> position & 1 else (one, zero))
        here = _both(graph, here, self.pair(memory.write_enable[place]))
        return _choose(graph, self.stored[name, word, place], self.pair(memory.write_data[place]), here)


def _both(graph: Graph, a: Pair, b: Pair) -> Pair:
    return graph.either(a[0], b[0]), graph.both(a[1], b[1])


def _choose(graph: Graph, a: Pair, b: Pair, s: Pair) -> Pair:
    """A where S is 0, B where it is 1; both alike where S is unknown."""
    if a == b:
        return a
    if all(zero == one ^ 1 for zero, one in (a, b, s)):
        one = graph.choose(s[1], b[1], a[1])
        return one ^ 1, one
    zero, one = (
        graph.either(graph.either(graph.both(s[0], x), graph.both(s[1], y)), graph.both(x, y))
        for x, y in zip(a, b, strict=True)
    )
    return zero, one


def _gate(graph: Graph, kind: str, a: Pair, b: Pair = UNKNOWN, s: Pair = UNKNOWN) -> Pair:
    """A gate in three values, as `netlist.py` has it."""
    if kind == "$_NOT_":
        return a[1], a[0]
    if kind == "$_AND_":
        return _both(graph, a, b)
    if kind == "$_OR_":
        one, zero = _both(graph, (a[1], a[0]), (b[1], b[0]))
        return zero, one
    if kind == "$_XOR_":
        return _choose(graph, b, (b[1], b[0]), a)
    return _choose(graph, a, b, s)
