"""Which bit of what synthesis made holds a bit of the RTL's state: found by names, and by what becomes of names.

Synthesis keeps the names of registers, unless they become constants, are merged with equal ones or disappear into shift
registers and memories; such ones are found by what they take. None of this has to be trusted: `refinement.py` shows of
every pair that is found here that it stays one, so a wrong guess costs a proof and never makes one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.hw_export.graph import FALSE, TRUE, Graph
from bnnhw.hw_export.mapped import LANES, Mapped, Place, memory_shape
from bnnhw.hw_export.netlist import Bit, Cases, Memory, Netlist
from bnnhw.hw_export.ternary import UNKNOWN, Original, Pair, certain


@dataclass(frozen=True)
class Counterpart:
    """Where a bit of the RTL's state is: a net that is held, a constant, or a bit of a memory cell; or its opposite."""

    where: Bit | Place
    inverted: int = 0

    @property
    def constant(self) -> int | None:
        return int(self.where) ^ self.inverted if self.where in ("0", "1") else None


Registers = dict[Bit, Counterpart]
Stored = dict[tuple[str, int, int], Counterpart]
"""Counterparts of written memories' bits (memory, word, bit)."""


def correspondence(netlist: Netlist, mapped: Mapped) -> tuple[Registers, Stored]:
    """The counterparts of the RTL's registers and memory bits. Those that have none are left out."""
    matched = _named(netlist, mapped)
    columns_read = constant_columns(netlist, mapped)
    for net in netlist.following:
        if net not in matched and (counterpart := columns_read.get(_before(netlist, net))) is not None:
            matched[net] = counterpart
    stored: Stored = {}
    for name, memory in netlist.memories.items():
        if memory.contents is None:
            stored |= _memory_bits(name, memory, mapped)
    while True:
        held, columns = _constants(netlist, matched, stored)
        matched |= {net: Counterpart(str(value)) for net, value in held.items()}
        if not (more := _implied(netlist, mapped, matched)):
            break
        matched |= more
    for (name, bit), value in columns.items():
        for word in range(netlist.memories[name].size):
            stored.setdefault((name, word, bit), Counterpart(str(value)))
    return matched, stored


def _named(netlist: Netlist, mapped: Mapped) -> Registers:
    """Registers that have kept their names, and those before them that have gone into a shift register."""
    found: Registers = {}
    shifted: list[tuple[Bit, Place]] = []
    for name, bits in netlist.names.items():
        for bit, other in zip(bits, mapped.names.get(name, ()), strict=False):
            if bit not in netlist.following or bit in found:
                continue
            if (counterpart := _counterpart(mapped, other)) is not None:
                found[bit] = counterpart
            elif (place := mapped.shifted(mapped.root(other))) is not None:
                shifted.append((bit, place))
    for last, (cell, word, _) in shifted:
        bit = last
        while word >= 0 and bit in netlist.following and bit not in found:
            found[bit] = Counterpart((cell, word, 0))
            bit, word = _before(netlist, bit), word - 1
    return found


def constant_columns(netlist: Netlist, mapped: Mapped) -> Registers:
    """Where the bits that constant memories read are after a clock, by the names that `constant_memory.v` gives what it
    makes: of the columns that are not constant, a column less its first word, and one flip-flop for columns that are
    alike or opposite."""
    found: Registers = {}
    for name, memory in netlist.memories.items():
        contents = memory.contents or (0,)
        differing = 0
        for word in contents:
            differing |= word ^ contents[0]
        varying = [(place, bit) for place, bit in enumerate(memory.read_data) if differing >> place & 1]
        for column, (place, bit) in enumerate(varying):
            read = mapped.names.get(f"{name}.part_of[{column // 32}].columns_of.column[{column % 32}].read", ())
            whole = mapped.names.get(f"{name}.data", ())[column : column + 1]
            # Of equal nets one name is kept, which may be either's.
            for nets, inverted in ((read, contents[0] >> place & 1), (whole, 0)):
                if bit not in found and nets and (made := _counterpart(mapped, nets[0])) is not None:
                    found[bit] = Counterpart(made.where, made.inverted ^ inverted)
    return found


def _before(netlist: Netlist, bit: Bit) -> Bit:
    """What a register takes when it is enabled."""
    after = netlist.following[bit]  # type: ignore[index]
    kind, inputs = netlist.gates.get(after, ("", ()))  # type: ignore[arg-type]
    return next((one for one in inputs[:2] if one != bit), after) if kind == "$_MUX_" else after


def _counterpart(mapped: Mapped, bit: Bit) -> Counterpart | None:
    """That of a net of the result, if it is a constant, or what a flip-flop or block memory holds or the opposite."""
    inverted, net = 0, mapped.root(bit)
    if net in mapped.drivers and mapped.drivers[net][0].kind == "INV":
        inverted, net = 1, mapped.root(mapped.drivers[net][0].bit("I"))
    return Counterpart(net, inverted) if net in ("0", "1") or net in mapped.held else None


def _memory_bits(name: str, memory: Memory, mapped: Mapped) -> Stored:
    """A written memory's bits, by the names that Yosys gives cells (memory, row, column) and flip-flops."""
    found: Stored = {}
    for word in range(memory.size):
        for bit, other in enumerate(mapped.names.get(f"{name}[{word}]", ())):
            if (counterpart := _counterpart(mapped, other)) is not None:
                found[name, word, bit] = counterpart
    for cell in mapped.cells.values():
        if cell.kind not in LANES or not cell.name.startswith(f"{name}."):
            continue
        row, _, column = cell.name[len(name) + 1 :].partition(".")
        if not (row.isdecimal() and column.isdecimal()):
            continue
        words, width = memory_shape(cell)
        # Lane D is the one that is written only.
        lane = LANES[cell.kind]
        for word in range(words):
            for bit in range(width - lane):
                at = int(row) * words + word, int(column) * (width - lane) + bit
                if at[0] < memory.size and at[1] < memory.width:
                    found[name, *at] = Counterpart((cell.name, word, lane + bit))
    return found


def _constants(
    netlist: Netlist, matched: Registers, in_cells: Stored
) -> tuple[dict[Bit, int], dict[tuple[str, int], int]]:
    """Registers besides those ``matched`` that keep a value once they have it, whatever else happens, and bits (memory,
    bit) of which every word does, besides those ``in_cells``."""
    known = {net: found.constant for net, found in matched.items() if found.constant is not None}
    for memory in netlist.memories.values():
        for column, bit in enumerate(memory.read_data):
            values = {word >> column & 1 for word in memory.contents or ()}
            if len(values) == 1:
                known[bit] = values.pop()
    written = {
        (name, column): (bit, memory.read_data[column])
        for name, memory in netlist.memories.items()
        for column, bit in enumerate(memory.write_data)
        if (name, 0, column) not in in_cells
    }
    free = [net for net in netlist.following if net not in matched]
    held: dict[Bit, int] = {}
    stored: dict[tuple[str, int], int] = {}
    while True:
        # Two cases a register, in which it alone is known: 0, then 1. One more in which memories are written.
        cases, place = Cases(netlist, 2 * len(free) + 1), np.arange(2 * len(free) + 1)
        for net, value in known.items():
            cases.give([net], value)
        for number, net in enumerate(free):
            cases.give([net], place % 2, place // 2 == number)
        for memory in netlist.memories.values():
            for enable in {bit for bit in memory.write_enable if isinstance(bit, int)}:
                cases.give([enable], 1, place == 2 * len(free))
        before = len(known)
        for number, net in enumerate(free):
            ((zero, one),) = cases.evaluate([netlist.following[net]])
            if zero >> 2 * number & 1 or one >> 2 * number + 1 & 1:
                held[net] = known[net] = 0 if zero >> 2 * number & 1 else 1
        for at, (bit, read) in written.items():
            ((zero, one),) = cases.evaluate([bit])
            if at not in stored and (zero | one) >> 2 * len(free) & 1:
                stored[at] = known[read] = one >> 2 * len(free) & 1
        if len(known) == before:
            return held, stored
        free = [net for net in free if net not in known]


def _implied(netlist: Netlist, mapped: Mapped, matched: Registers) -> Registers:
    """Registers besides those ``matched`` that go by another name, or take a constant or what another takes."""
    graph = Graph()
    constants = {net: found.constant for net, found in matched.items() if found.constant is not None}
    held = {net: constants[net] if net in constants else graph.variable() for net in netlist.following}
    of = {literal: net for net, literal in held.items() if net not in constants}
    stored = {
        (name, word, bit): certain(graph.variable())
        for name, memory in netlist.memories.items()
        for word in range(memory.size if memory.contents is None else 0)
        for bit in range(memory.width)
    }
    original = Original(netlist, graph, {net: certain(literal) for net, literal in held.items()}, stored)
    found: Registers = {}
    for name, bits in netlist.names.items():
        for bit, other in zip(bits, mapped.names.get(name, ()), strict=False):
            if bit in netlist.following or (counterpart := _counterpart(mapped, other)) is None:
                continue
            # Once constants are known, a net may be a register, which has lost its own name.
            zero, one = original.pair(bit)
            register = of.get(one & ~1)
            if register is not None and register not in matched and zero == one ^ 1:
                found[register] = Counterpart(counterpart.where, counterpart.inverted ^ one & 1)

    same: dict[int, int] = {}

    def taken(net: Bit) -> tuple[Pair, ...]:
        """What a register takes and when: the same for registers that synthesis merges."""
        after = netlist.following[net]  # type: ignore[index]
        kind, inputs = netlist.gates.get(after, ("", (after,)))  # type: ignore[arg-type]
        ways = (
            [UNKNOWN if one == net else original.pair(one) for one in inputs]
            if kind == "$_MUX_"
            else [original.pair(after)]
        )
        return tuple((same.get(zero, zero), same.get(one, one)) for zero, one in ways)

    for net in netlist.following:
        if (
            net not in matched
            and len(values := set(taken(net)[:2]) - {UNKNOWN}) == 1
            and (one := values.pop()[1]) in (FALSE, TRUE)
        ):
            found[net] = Counterpart(str(one))
    while True:
        first = {taken(net): net for net in reversed(netlist.following) if net in matched or net in found}
        new = {
            net: first[key] for net in netlist.following if net not in matched | found and (key := taken(net)) in first
        }
        if not new:
            return found
        for net, other in new.items():
            found[net] = (matched | found)[other]
            same |= {held[net]: held[other], held[net] ^ 1: held[other] ^ 1}
