"""The hardware as gates, read back from its own files by Yosys, and claims about them checked for every case.

Yosys elaborates `bnn_top` with the parameters that stand in it, flattens it and maps it to gates, flip-flops and
memory ports; nets keep their names (`layer0.neuron[3].stopped`). A claim gives values to some nets, case by case, and
says what others must then be. Every net that was not given, and that does not follow, is unknown (0, 1 and unknown are
carried through the gates), so a result that is as claimed depends on nothing else. A net in the middle may be given,
too: what holds for all its values holds for those it can take. That is how proofs are cut into small ones.

Unrolled layers are left out (black boxes), since `extraction.py` reads their text, unless all is asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.synthesis import copy_sources, run_yosys

Bit = int | str
Plane = tuple[int, int]
"""Two sets of cases, as the bits of two whole numbers: those where a net is 0 and those where it is 1."""

UNKNOWN: Plane = (0, 0)
GATES = ("$_NOT_", "$_AND_", "$_OR_", "$_XOR_", "$_MUX_")
SCRIPT = """\
read_verilog -sv -defer {sources}
hierarchy -top {top} -check
{boxes}
proc
flatten
check -assert
opt_expr -keepdc
wreduce
memory_collect
opt_clean
techmap
dffunmap
simplemap
opt_expr -keepdc
opt_clean
write_json netlist.json
"""


class Refuted(Exception):
    """A claim that does not hold, or that could not be shown; the message says where."""


@dataclass(frozen=True)
class Memory:
    """A memory and its ports, as nets. contents: its words where the files give them."""

    contents: tuple[int, ...] | None
    size: int
    width: int
    read_address: tuple[Bit, ...]
    read_data: tuple[Bit, ...]
    write_address: tuple[Bit, ...]
    write_data: tuple[Bit, ...]
    write_enable: tuple[Bit, ...]


@dataclass(frozen=True)
class Netlist:
    """Gates (driven net: type and inputs), flip-flops (net: its next value's), memories, modules left out (type
    and pins), and nets by name, bit 0 first."""

    names: dict[str, tuple[Bit, ...]]
    gates: dict[int, tuple[str, tuple[Bit, ...]]]
    following: dict[int, Bit]
    memories: dict[str, Memory]
    boxes: dict[str, tuple[str, dict[str, tuple[Bit, ...]]]]

    def word(self, name: str) -> tuple[Bit, ...]:
        """The nets of a wire or register."""
        if name not in self.names:
            raise Refuted(f"there is no {name}")
        return self.names[name]

    def after(self, name: str) -> tuple[Bit, ...]:
        """The nets that give a register its value at the next clock."""
        return tuple(self._follows(name, bit) for bit in self.word(name))

    def _follows(self, name: str, bit: Bit) -> Bit:
        if isinstance(bit, str) or bit not in self.following:
            raise Refuted(f"{name} is no register")
        return self.following[bit]


def read_netlist(directory: Path, top: str = "bnn_top", whole: bool = False) -> Netlist:
    """Elaborate the export in ``directory``. Its files should have been checked against their manifest.

    top: `bnn_top` without its unrolled layers, or `bnn_accelerator` without `bnn_top`; both of them all if `whole`.
    """
    inside = {"bnn_top"} if top == "bnn_accelerator" else {path.stem for path in directory.glob("bnn_layer*.sv")}
    if whole:
        inside = set()
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        copy_sources(directory, where)
        sources = " ".join(sorted(path.name for path in where.glob("*.sv")))
        boxes = "\n".join(f"blackbox {name}" for name in sorted(inside))
        run_yosys(SCRIPT.format(sources=sources, top=top, boxes=boxes), where)
        module = json.loads((where / "netlist.json").read_text())["modules"][top]
    if any("init" in net["attributes"] for net in module["netnames"].values()):
        raise Refuted(f"{top} has registers with initial values")
    clock = module["netnames"]["clk" if top == "bnn_top" else "aclk"]["bits"]
    gates: dict[int, tuple[str, tuple[Bit, ...]]] = {}
    following: dict[int, Bit] = {}
    memories: dict[str, Memory] = {}
    left_out: dict[str, tuple[str, dict[str, tuple[Bit, ...]]]] = {}
    for name, cell in module["cells"].items():
        kind, pins = cell["type"], cell["connections"]
        if kind in GATES:
            (driven,) = pins["Y"]
            gates[driven] = (kind, tuple(pins[pin][0] for pin in "ABS" if pin in pins))
        elif kind == "$_DFF_P_":
            if pins["C"] != clock:
                raise Refuted(f"{name} has another clock")
            following[pins["Q"][0]] = pins["D"][0]
        elif kind == "$mem_v2":
            memories[name] = _memory(name, cell, clock)
        elif kind in inside:
            left_out[name] = (kind, {pin: tuple(bits) for pin, bits in pins.items()})
        elif kind != "$scopeinfo":
            raise Refuted(f"{name} is a {kind}")
    names = {name: tuple(net["bits"]) for name, net in module["netnames"].items() if not net["hide_name"]}
    return Netlist(names, gates, following, memories, left_out)


def _memory(name: str, cell: dict[str, Any], clock: list[Bit]) -> Memory:
    parameters: dict[str, str] = cell["parameters"]
    pins: dict[str, tuple[Bit, ...]] = {key: tuple(bits) for key, bits in cell["connections"].items()}
    width, ports = int(parameters["WIDTH"], 2), int(parameters["WR_PORTS"], 2)
    if int(parameters["RD_PORTS"], 2) != 1 or ports > 1:
        raise Refuted(f"memory {name} has several ports")
    if "1" in parameters["RD_CLK_ENABLE"] or int(parameters["OFFSET"], 2):
        raise Refuted(f"memory {name} is read with a clock or an offset")
    if ports and (
        parameters["WR_CLK_ENABLE"] != "1" or parameters["WR_CLK_POLARITY"] != "1" or list(pins["WR_CLK"]) != clock
    ):
        raise Refuted(f"memory {name} is written with another clock")
    initial = parameters["INIT"]
    contents, size = None, int(parameters["SIZE"], 2)
    if ports and set(initial) - {"x"}:
        raise Refuted(f"memory {name} is written and has initial words")
    if not ports:
        if set(initial) - {"0", "1"}:
            raise Refuted(f"memory {name} has words without a value")
        contents = tuple(
            int(initial[len(initial) - (i + 1) * width : len(initial) - i * width], 2) for i in range(size)
        )
    return Memory(
        contents, size, width, pins["RD_ADDR"], pins["RD_DATA"], pins["WR_ADDR"], pins["WR_DATA"], pins["WR_EN"]
    )


class Cases:
    """Cases of a claim: values for nets, then what others must be. ``count`` of them, side by side."""

    def __init__(self, netlist: Netlist, count: int):
        self.netlist = netlist
        self.count = count
        self.all = (1 << count) - 1
        self.planes: dict[Bit, Plane] = {}
        self.made: dict[Bit, Plane] = {}

    def give(self, bits: Iterable[Bit], values: npt.ArrayLike, known: npt.ArrayLike | None = None) -> Cases:
        """The word `bits` is values[case] (a number for all alike), in the cases that are `known`, else unknown."""
        numbers = np.broadcast_to(np.asarray(values, np.int64), self.count)
        where = self.all if known is None else _set(np.broadcast_to(np.asarray(known, bool), self.count))
        bits = list(bits)
        if len(bits) < 63 and numbers.size and (int(numbers.min()) < 0 or int(numbers.max()) >> len(bits)):
            raise Refuted(f"a value does not fit {len(bits)} bits")
        for place, bit in enumerate(bits):
            one = _set((numbers >> min(place, 62)) & 1 == 1) & where
            plane = (where & ~one, one)
            if isinstance(bit, str):
                # What is constant must have been given as it is.
                if bit not in ("0", "1") or plane[int(bit)] != where:
                    raise Refuted(f"a bit that was to be free is always {bit}")
            elif bit in self.planes and self.planes[bit] != plane:
                raise Refuted("two bits that were to be free are the same")
            else:
                self.planes[bit] = plane
        return self

    def expect(self, what: str, bits: Iterable[Bit], values: npt.ArrayLike, known: npt.ArrayLike | None = None) -> int:
        """Show that the word `bits` is values[case] in every case (of those `known`); how many cases that were."""
        numbers = np.broadcast_to(np.asarray(values, np.int64), self.count)
        asked = np.broadcast_to(np.asarray(True if known is None else known, bool), self.count)
        where = _set(asked)
        bits = list(bits)
        for place, (zero, one) in enumerate(self.evaluate(bits)):
            wanted = _set((numbers >> min(place, 62)) & 1 == 1)
            if wrong := where & ~((wanted & one) | (~wanted & zero)):
                case = (wrong & -wrong).bit_length() - 1
                found = "0" if zero >> case & 1 else "1" if one >> case & 1 else "not certain"
                raise Refuted(f"{what}: bit {place} is {found} in case {case} of {self.count}")
        return int(asked.sum())

    def evaluate(self, bits: Iterable[Bit]) -> list[Plane]:
        """What follows for the nets ``bits``."""
        if not self.made:
            self.made |= self.planes
            self.made |= {"0": (self.all, 0), "1": (0, self.all), "x": UNKNOWN, "z": UNKNOWN}
        planes, gates = self.made, self.netlist.gates
        bits = list(bits)
        pending = list(bits)
        while pending:
            bit = pending[-1]
            if bit in planes:
                pending.pop()
                continue
            if bit not in gates:
                planes[bit] = UNKNOWN
                pending.pop()
                continue
            kind, inputs = gates[bit]
            if missing := [one for one in inputs if one not in planes]:
                pending += missing
                continue
            planes[bit] = _gate(kind, *(planes[one] for one in inputs))
            pending.pop()
        return [planes[bit] for bit in bits]


def _gate(kind: str, a: Plane, b: Plane = UNKNOWN, s: Plane = UNKNOWN) -> Plane:
    if kind == "$_NOT_":
        return a[1], a[0]
    if kind == "$_AND_":
        return a[0] | b[0], a[1] & b[1]
    if kind == "$_OR_":
        return a[0] & b[0], a[1] | b[1]
    if kind == "$_XOR_":
        return (a[0] & b[0]) | (a[1] & b[1]), (a[0] & b[1]) | (a[1] & b[0])
    # A multiplexer: A where S is 0, B where it is 1; both alike where S is unknown.
    return (s[0] & a[0]) | (s[1] & b[0]) | (a[0] & b[0]), (s[0] & a[1]) | (s[1] & b[1]) | (a[1] & b[1])


def _set(cases: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(cases, bitorder="little").tobytes(), "little")


def show_moves(
    netlist: Netlist,
    what: str,
    target: Iterable[Bit],
    source: Iterable[Bit],
    given: Iterable[tuple[Iterable[Bit], int]],
) -> int:
    """Show that every bit of `target` is that of `source`, for all data, where the words `given` have their values."""
    target, source = list(target), list(source)
    if len(target) != len(source):
        raise Refuted(f"{what}: {len(source)} bits for {len(target)}")
    place = np.arange(2 * len(source)) // 2
    value = np.arange(2 * len(source)) % 2
    cases = Cases(netlist, 2 * len(source))
    for bits, number in given:
        cases.give(bits, number)
    for i, bit in enumerate(source):
        if isinstance(bit, str):
            continue
        cases.give([bit], value, place == i)
    for i, bit in enumerate(target):
        at = source[i]
        wanted = np.full(len(value), int(at)) if isinstance(at, str) else value
        cases.expect(f"{what}, bit {i}", [bit], wanted, place == i)
    return 2 * len(source)
