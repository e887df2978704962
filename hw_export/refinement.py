"""Show that what synthesis made of an export does what the export says, for all states and all inputs.

Both are read as logic: the RTL as the gates and memories that it elaborates to (`netlist.py`), synthesis' result as its
cells (`mapped.py`). Every register of the RTL is given what its name means in the result: a flip-flop's output, a
constant, or an output register of a block memory; a memory's bits likewise. So each state of the result stands for a
state of the RTL. Shown is that from any state, for any input,

- outputs are those of the RTL in the state that this one stands for, and
- what the result holds after the clock stands for what the RTL holds then.

The RTL is evaluated in three values, as `prove_equivalence` does; where it leaves a bit unknown the result may have
any. So whatever is proven of the RTL's gates holds for the result. It begins with the first clock in reset: of the RTL
all is unknown then (its registers have no initial values, that is checked), the result is in any state, and afterwards
stands for what is known of the RTL. A register without a counterpart may hold anything: nothing that is shown depends
on it.

States are all but two kinds, of which it is shown that they are never reached: those in which a counter is beyond its
last value, where words are read that a memory does not have, and those in which a word that synthesis reads from a
memory of constants one clock early, at the address's next value, is not the one at the address.

The claims are decided by `sweeping.py`. Correspondence of registers and induction over one step: van Eijk, "Sequential
Equivalence Checking Based on Structural Similarities", IEEE TCAD 2000.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw.hw_export.correspondence import Counterpart, constant_columns, correspondence
from bnnhw.hw_export.graph import FALSE, TRUE, Graph
from bnnhw.hw_export.mapped import Mapped, Place
from bnnhw.hw_export.netlist import Bit, Cases, Netlist, Refuted
from bnnhw.hw_export.sweeping import Sweeper, decide
from bnnhw.hw_export.synthesis import copy_sources, count_cells
from bnnhw.hw_export.ternary import UNKNOWN, Original, Pair, certain

COUNT = ".counting.count"


@dataclass(frozen=True)
class Point:
    """A bit that has to be the same in both. part: of the RTL. claims: literals that are always 0 if it is."""

    part: str
    name: str
    claims: tuple[int, ...]


def ranges(netlist: Netlist) -> dict[str, int]:
    """Registers that count from 0 (`bnn_counter.sv`), and how many values they take."""
    found = {}
    for name, bits in netlist.names.items():
        if name.endswith(COUNT) and set(bits) <= set(netlist.following):
            part = name.removesuffix(COUNT)
            cases = Cases(netlist, 1 << len(bits)).give(bits, np.arange(1 << len(bits)))
            cases.give(netlist.word(f"{part}.rst"), 0).give(netlist.word(f"{part}.step"), 1)
            turns = cases.all
            for zero, _ in cases.evaluate(netlist.after(name)):
                turns &= zero
            if turns:
                found[name] = (turns & -turns).bit_length()
    return found


class Refinement:
    """The claims that ``module`` (from Yosys' JSON) does what the RTL ``netlist`` (all of it) says, part by part.

    lost: the RTL's registers and memory bits that have no counterpart. Raises Refuted for cells that are not known.
    """

    def __init__(self, netlist: Netlist, module: dict[str, Any]):
        self.netlist, self.module, self.graph = netlist, module, Graph()
        self.parts: dict[str, list[Point]] = {}
        self.of = {bit: f"{name}[{i}]" for name, bits in reversed(netlist.names.items()) for i, bit in enumerate(bits)}
        free, own = self._inputs({})
        mapped = Mapped(module, self.graph, free, self._clock())
        self.registers, self.stored = correspondence(netlist, mapped)
        self.lost = [self.of[net] for net in netlist.following if net not in self.registers]
        self.lost += [
            f"{name}[{word}][{bit}]" for name, word, bit in self._places() if (name, word, bit) not in self.stored
        ]
        self.counters = self._ranges(mapped)
        self.ahead = self._looked_ahead(mapped)
        self._restrict(mapped, own)
        original = self._original(mapped.now, own)
        for name, port in module["ports"].items():
            if port["direction"] == "output":
                for i, (bit, other) in enumerate(zip(netlist.word(name), port["bits"], strict=True)):
                    self._same(f"{name}[{i}]", original.pair(bit), mapped.literal(other))
        self._follow(original, mapped, "")

        # The first clock in reset: nothing is known of the RTL, and the result is in any state.
        free, own = self._inputs({"rst": TRUE})
        mapped = Mapped(module, self.graph, free, self._clock())
        unknown: dict[Bit, Pair] = dict.fromkeys(netlist.following, UNKNOWN)
        self._follow(
            Original(netlist, self.graph, unknown | own, dict.fromkeys(self._places(), UNKNOWN)), mapped, " after reset"
        )
        self.sweeper = Sweeper(self.graph)

    def _places(self) -> Iterator[tuple[str, int, int]]:
        """The bits of written memories: memory, word, bit."""
        for name, memory in self.netlist.memories.items():
            if memory.contents is None:
                yield from product([name], range(memory.size), range(memory.width))

    def _original(self, moment: Callable[[Bit | Place], int], inputs: dict[Bit, Pair]) -> Original:
        """The RTL in the state that the result's stands for at a ``moment``; what has no counterpart is free."""

        def pair(counterpart: Counterpart | None) -> Pair:
            if counterpart is None:
                return certain(self.graph.variable())
            return certain(moment(counterpart.where) ^ counterpart.inverted)

        held: dict[Bit, Pair] = {net: pair(self.registers.get(net)) for net in self.netlist.following}
        return Original(
            self.netlist, self.graph, held | inputs, {at: pair(self.stored.get(at)) for at in self._places()}
        )

    def _inputs(self, given: dict[str, int]) -> tuple[dict[Bit, int], dict[Bit, Pair]]:
        """Variables of the result's inputs, and the RTL's nets that are the same; ``given``: literals by name."""
        free: dict[Bit, int] = {}
        own: dict[Bit, Pair] = {}
        for name, port in self.module["ports"].items():
            if port["direction"] == "input":
                for bit, other in zip(self.netlist.word(name), port["bits"], strict=True):
                    free[other] = given[name] if name in given else self.graph.variable()
                    own[bit] = certain(free[other])
        return free, own

    def _clock(self) -> Bit:
        bit: Bit = self.module["ports"]["clk"]["bits"][0]
        return bit

    def _ranges(self, mapped: Mapped) -> dict[tuple[Bit, ...], int]:
        """Where counters are held, bit 0 first, and how many values they take."""
        found: dict[tuple[Bit, ...], int] = {}
        seen: set[Bit] = set()
        for name, count in ranges(self.netlist).items():
            bits = self.netlist.word(name)
            held = [one.where for bit in bits if (one := self.registers.get(bit)) is not None and not one.inverted]
            nets = tuple(net for net in held if not isinstance(net, tuple) and net in mapped.held)
            if count < 1 << len(bits) == 1 << len(nets) and not seen & set(nets):
                found[nets] = count
                seen |= set(nets)
        return found

    def _looked_ahead(self, mapped: Mapped) -> dict[Bit, tuple[Bit, int]]:
        """Flip-flops that hold what the RTL reads from a memory in the same clock, and the RTL's nets, and whether they
        are the opposite: Yosys reads one clock earlier, at the address's next value."""
        known = {counterpart.where for counterpart in self.registers.values()}
        found: dict[Bit, tuple[Bit, int]] = {}
        for name, bits in self.netlist.names.items():
            for bit, other in zip(bits, mapped.names.get(name, ()), strict=False):
                net = mapped.root(other)
                if net in mapped.held and net not in known and bit not in self.netlist.following:
                    found.setdefault(net, (bit, 0))
        for bit, one in constant_columns(self.netlist, mapped).items():
            if not isinstance(one.where, tuple) and one.where in mapped.held and one.where not in known:
                found.setdefault(one.where, (bit, one.inverted))
        return found

    def _restrict(self, mapped: Mapped, own: dict[Bit, Pair]) -> None:
        """Leave out states in which counters are beyond their last value (they become 0), or flip-flops that look ahead
        hold anything else. `_follow` claims that these are not reached."""
        for nets, count in self.counters.items():
            values = [mapped.now(net) for net in nets]
            inside = below(self.graph, values, count)
            for net, value in zip(nets, values, strict=True):
                mapped.hold(net, self.graph.both(value, inside))
        original = self._original(mapped.now, own)
        for net, (bit, inverted) in self.ahead.items():
            mapped.hold(net, original.pair(bit)[1] ^ inverted)

    def _follow(self, original: Original, mapped: Mapped, when: str) -> None:
        """Claim that after the clock the result stands for the RTL's next state, and is in none that was left out."""
        for net, counterpart in self.registers.items():
            after = self.netlist.following[net]  # type: ignore[index]
            self._same(
                self.of[net] + when, original.pair(after), mapped.after(counterpart.where) ^ counterpart.inverted
            )
        for (name, word, bit), counterpart in self.stored.items():
            written = original.written(name, word, bit)
            self._same(f"{name}[{word}][{bit}]{when}", written, mapped.after(counterpart.where) ^ counterpart.inverted)
        for nets, count in self.counters.items():
            inside = below(self.graph, [mapped.after(net) for net in nets], count)
            self._same(f"{mapped.name(nets[0])} counts to {count}{when}", certain(inside), TRUE)
        if self.ahead:
            _, inputs = self._inputs({})
            following = self._original(mapped.after, inputs)
            for other, (read, inverted) in self.ahead.items():
                ahead = certain(following.pair(read)[1] ^ inverted)
                self._same(f"{self.of[read]} ahead{when}", ahead, mapped.after(other))

    def _same(self, name: str, pair: Pair, literal: int) -> None:
        """Claim that a bit of the result is the RTL's where that is certain."""
        zero, one = pair
        claims = (self.graph.both(zero, literal), self.graph.both(one, literal ^ 1))
        if zero == one ^ 1:
            claims = (self.graph.differ(one, literal),)  # type: ignore[assignment]
        if pair != UNKNOWN:
            self._claim(name, claims)

    def _claim(self, name: str, claims: tuple[int, ...]) -> None:
        part = name.split(".")[0] if "." in name else "bnn_top"
        self.parts.setdefault(part, []).append(Point(part, name, claims))

    def show(self, part: str) -> str:
        """Show that a part's registers, memories and outputs are the same in both; how many. Raises Refuted if not."""
        found = [(point.name, [decide(self.sweeper, claim) for claim in point.claims]) for point in self.parts[part]]
        for verdict, says in (("refuted", "can differ"), ("undecided", "could not be decided")):
            if wrong := [name for name, verdicts in found if verdict in verdicts]:
                without = f"; {len(self.lost)} bits such as {self.lost[0]} have no counterpart" if self.lost else ""
                raise Refuted(f"{len(wrong)} of {len(found)} bits {says}, such as {wrong[0]}{without}")
        return f"{len(found)} bits"


def below(graph: Graph, value: list[int], count: int) -> int:
    """Whether a number, bit 0 first, is less than ``count``."""
    less = FALSE
    for place, bit in enumerate(value):
        less = graph.either(bit ^ 1, less) if count >> place & 1 else graph.both(bit ^ 1, less)
    return less


def mapped_module(directory: Path) -> dict[str, Any]:
    """The cells that `bnnhw synth` counts of the export in ``directory``, for Xilinx 7 series, as Yosys' JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        copy_sources(directory, where)
        count_cells(where, "bnn_top", "xc7")
        module: dict[str, Any] = json.loads((where / "mapped.json").read_text())["modules"]["bnn_top"]
    return module
