"""What synthesis for Xilinx 7 series made, as logic: each cell's function, from the makers' documentation.

Flip-flops, words of memories and block memories' output registers are the state. Every net is a literal of a graph over
the state and the inputs (`graph.py`), and so is every state bit's next value. Cells that are not described here are
refused, and so are settings that this hardware never uses (a second clock, a block memory's second register).

AMD, "Vivado Design Suite 7 Series FPGA Libraries Guide" (UG953) and "7 Series FPGAs Memory Resources" (UG473).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnnhw.hw_export.graph import FALSE, Graph
from bnnhw.hw_export.netlist import Bit, Refuted

BUFFERS = ("IBUF", "OBUF", "BUFG")
LUT_INPUTS = {f"LUT{n}": n for n in range(1, 7)}
MULTIPLEXERS = ("MUXF7", "MUXF8")
FLIP_FLOPS = {"FDRE": ("R", 0), "FDSE": ("S", 1)}
"""Kind: its synchronous reset's pin, and what that makes of it."""
LANES = {"RAM32M": 2, "RAM64M": 1}
"""Memories of four lanes A to D with an address each; D's is also where they are written. Bits of a lane's word."""
DUAL_PORT = {"RAM32X1D": 5, "RAM64X1D": 6, "RAM128X1D": 7}
"""Memories of one bit with an address to write and one to read: bits of the address."""
SHIFT_REGISTERS = {"SRL16E": 16, "SRLC32E": 32}
BLOCKS = {"RAMB18E1": 14, "RAMB36E1": 15}
"""Bits of the address of a single data bit."""

Place = tuple[str, int, int]
"""A memory cell's name, and the word and bit in it."""


@dataclass(frozen=True)
class Cell:
    name: str
    kind: str
    parameters: dict[str, str]
    pins: dict[str, tuple[Bit, ...]]

    def bit(self, pin: str) -> Bit:
        return self.pins[pin][0]


class Mapped:
    """The module of Yosys' JSON ``module``, over ``inputs`` (net: literal of ``graph``), with the clock net ``clock``.

    held: the literal of each flip-flop's and block memory's output net. stored: that of each bit of a written memory.
    """

    def __init__(self, module: dict[str, Any], graph: Graph, inputs: dict[Bit, int], clock: Bit):
        self.graph = graph
        self.names = {name: tuple(net["bits"]) for name, net in module["netnames"].items() if not net["hide_name"]}
        self.cells = {}
        self.drivers: dict[Bit, tuple[Cell, str, int]] = {}
        for name, described in module["cells"].items():
            if described["type"] == "$scopeinfo":
                continue
            pins = {pin: tuple(bits) for pin, bits in described["connections"].items()}
            cell = self.cells[name] = Cell(name, described["type"], described["parameters"], pins)
            for pin, way in described["port_directions"].items():
                if way == "output":
                    for index, bit in enumerate(pins.get(pin, ())):
                        self.drivers[bit] = (cell, pin, index)
        self.literals: dict[Bit, int] = {"0": FALSE, "1": FALSE ^ 1, **inputs}
        self.clock = clock
        self.held: dict[Bit, int] = {}
        self.stored: dict[Place, int] = {}
        for cell in self.cells.values():
            self._state(cell)

    def _state(self, cell: Cell) -> None:
        """Make variables of what a cell holds, and see that it is clocked and set up as it is understood here."""
        if any(name.startswith("IS_") and "1" in value for name, value in cell.parameters.items()):
            raise Refuted(f"{cell.name} has inverted pins")
        clock = next((pin for pin in ("C", "CLK", "WCLK", "CLKARDCLK") if pin in cell.pins), None)
        if clock is not None and self.root(cell.bit(clock)) != self.clock:
            raise Refuted(f"{cell.name} has another clock")
        if cell.kind in FLIP_FLOPS:
            self.held[cell.bit("Q")] = self.literals[cell.bit("Q")] = self.graph.variable()
        elif cell.kind in BLOCKS:
            _check_block(cell)
            for bit in _block_word(cell):
                if isinstance(bit, int):
                    self.held[bit] = self.literals[bit] = self.graph.variable()
        elif cell.kind in LANES or cell.kind in DUAL_PORT or cell.kind in SHIFT_REGISTERS:
            words, width = memory_shape(cell)
            for word in range(words):
                for bit_index in range(width):
                    self.stored[cell.name, word, bit_index] = self.graph.variable()
        elif cell.kind not in LUT_INPUTS and cell.kind not in (*BUFFERS, *MULTIPLEXERS, "INV", "CARRY4"):
            raise Refuted(f"{cell.name} is a {cell.kind}, whose function is not described")

    def root(self, bit: Bit) -> Bit:
        """The net before buffers."""
        while bit in self.drivers and self.drivers[bit][0].kind in BUFFERS:
            bit = self.drivers[bit][0].bit("I")
        return bit

    def shifted(self, bit: Bit) -> Place | None:
        """The bit of a shift register that a net is, if it is one's output and the address is constant."""
        if bit not in self.drivers or self.drivers[bit][0].kind not in SHIFT_REGISTERS:
            return None
        cell, pin, _ = self.drivers[bit]
        words, _ = memory_shape(cell)
        address = _address(cell, "A")
        if pin == "Q31" or not set(address) <= {"0", "1"}:
            return (cell.name, words - 1, 0) if pin == "Q31" else None
        return cell.name, sum(int(one) << place for place, one in enumerate(address)), 0

    def literal(self, bit: Bit) -> int:
        """What a net is. A pin that is left open may be anything, each time."""
        if bit == "x":
            return self.graph.variable()
        pending = [bit]
        while pending:
            top = pending[-1]
            if top in self.literals:
                pending.pop()
                continue
            if top not in self.drivers:
                # Nothing drives it: anything.
                self.literals[top] = self.graph.variable()
                continue
            cell, pin, index = self.drivers[top]
            missing = [one for one in _read(cell, pin, index) if one not in self.literals and one != "x"]
            if missing:
                pending += missing
                continue
            self.literals[top] = self._output(cell, pin, index)
        return self.literals[bit]

    def _word(self, bits: tuple[Bit, ...]) -> list[int]:
        return [self.literal(bit) for bit in bits]

    def _output(self, cell: Cell, pin: str, index: int) -> int:
        graph = self.graph
        if cell.kind in BUFFERS:
            return self.literal(cell.bit("I"))
        if cell.kind == "INV":
            return self.literal(cell.bit("I")) ^ 1
        if cell.kind in LUT_INPUTS:
            address = self._word(tuple(cell.bit(f"I{i}") for i in range(LUT_INPUTS[cell.kind])))
            return graph.entry([int(one) for one in reversed(cell.parameters["INIT"])], address)
        if cell.kind in MULTIPLEXERS:
            return graph.choose(*self._word((cell.bit("S"), cell.bit("I1"), cell.bit("I0"))))
        if cell.kind == "CARRY4":
            carry = graph.either(self.literal(cell.bit("CI")), self.literal(cell.bit("CYINIT")))
            chosen, data = self._word(cell.pins["S"][: index + 1]), self._word(cell.pins["DI"][: index + 1])
            for propagate, generate in zip(chosen[:index], data[:index], strict=True):
                carry = graph.choose(propagate, carry, generate)
            if pin == "O":
                return graph.differ(chosen[index], carry)
            return graph.choose(chosen[index], carry, data[index])
        if cell.kind in SHIFT_REGISTERS:
            words, _ = memory_shape(cell)
            address = [] if pin == "Q31" else self._word(_address(cell, "A"))
            entries = [self.stored[cell.name, word, 0] for word in range(words)]
            return entries[-1] if pin == "Q31" else graph.entry(entries, address)
        lane, address_bits = _reads(cell, pin)
        entries = [self.stored[cell.name, word, lane + index] for word in range(memory_shape(cell)[0])]
        return graph.entry(entries, self._word(address_bits))

    def name(self, net: Bit) -> str:
        """A name that a net has."""
        return next((name for name, bits in self.names.items() if net in bits), f"net {net}")

    def now(self, where: Bit | Place) -> int:
        """What a constant, a net that is held or a bit of a memory cell is."""
        return self.stored[where] if isinstance(where, tuple) else self.literals[where]

    def hold(self, net: Bit, literal: int) -> None:
        """Let what a net holds be a literal, instead of a variable. Nothing that it drives may have been asked for."""
        self.held[net] = self.literals[net] = literal

    def after(self, where: Bit | Place) -> int:
        """What it is after the clock."""
        if isinstance(where, tuple):
            return self._stored_after(where)
        return self.literals[where] if where in ("0", "1") else self._following(where)

    def _following(self, bit: Bit) -> int:
        cell, _, _ = self.drivers[bit]
        if cell.kind in FLIP_FLOPS:
            reset, value = FLIP_FLOPS[cell.kind]
            enable, data, clear = self._word((cell.bit("CE"), cell.bit("D"), cell.bit(reset)))
            kept = self.graph.choose(enable, data, self.held[bit])
            return self.graph.choose(clear, FALSE ^ value, kept)
        place = _block_word(cell).index(bit)
        address = self._word(cell.pins["ADDRARDADDR"])
        return self.graph.choose(
            self.literal(cell.bit("ENARDEN")), self._block_entry(cell, address, place), self.held[bit]
        )

    def _block_entry(self, cell: Cell, address: list[int], place: int) -> int:
        """Bit `place` of the word that a block memory of constants has at `address`."""
        width = int(cell.parameters["READ_WIDTH_A"], 2)
        data = width // 9 * 8 or width
        used = address[data.bit_length() - 1 : BLOCKS[cell.kind]]
        first, step, initial = (place // 9 * 8 + place % 9, data, "INIT_")
        if width >= 9 and place % 9 == 8:
            first, step, initial = place // 9, data // 8, "INITP_"
        rows = "".join(cell.parameters[name][::-1] for name in sorted(_rows(cell, initial)))
        entries = [rows[word * step + first] for word in range(1 << len(used))]
        return self.graph.entry([self.graph.variable() if one == "x" else int(one) for one in entries], used)

    def _stored_after(self, place: Place) -> int:
        name, word, index = place
        cell, graph = self.cells[name], self.graph
        if cell.kind in SHIFT_REGISTERS:
            data = self.stored[name, word - 1, 0] if word else self._word((cell.bit("D"),))[0]
            return graph.choose(self.literal(cell.bit("CE")), data, self.stored[place])
        written, address = _writes(cell, index)
        here = graph.both(self.literal(cell.bit("WE")), chosen(graph, self._word(address), word))
        return graph.choose(here, self._word((written,))[0], self.stored[place])


def chosen(graph: Graph, address: list[int], word: int) -> int:
    """Whether `address` is `word`."""
    literal = FALSE ^ 1
    for place, bit in enumerate(address):
        literal = graph.both(literal, bit if word >> place & 1 else bit ^ 1)
    return literal


def memory_shape(cell: Cell) -> tuple[int, int]:
    """Words and their bits. Lanes are side by side, D lowest: C's, B's and A's make up the word that is read."""
    if cell.kind in LANES:
        return 64 // LANES[cell.kind], 4 * LANES[cell.kind]
    return (1 << DUAL_PORT[cell.kind], 1) if cell.kind in DUAL_PORT else (SHIFT_REGISTERS[cell.kind], 1)


def _address(cell: Cell, pin: str) -> tuple[Bit, ...]:
    """An address in one pin of several bits, or in pins of one."""
    if pin in cell.pins:
        return cell.pins[pin]
    return tuple(cell.bit(f"{pin}{i}") for i in range(9) if f"{pin}{i}" in cell.pins)


def _reads(cell: Cell, pin: str) -> tuple[int, tuple[Bit, ...]]:
    """The first bit that an output of a written memory shows, and the address it is read at."""
    if cell.kind in LANES:
        return "DCBA".index(pin[2]) * LANES[cell.kind], cell.pins[f"ADDR{pin[2]}"]
    return 0, _address(cell, "DPRA" if pin == "DPO" else "A")


def _writes(cell: Cell, index: int) -> tuple[Bit, tuple[Bit, ...]]:
    """The net that bit `index` of a memory's words is written from, and the address."""
    if cell.kind in LANES:
        lane, bit = divmod(index, LANES[cell.kind])
        return cell.pins.get(f"DI{'DCBA'[lane]}", ("x", "x"))[bit], cell.pins["ADDRD"]
    return cell.bit("D"), _address(cell, "A")


def _read(cell: Cell, pin: str, index: int) -> tuple[Bit, ...]:
    """The nets that an output depends on within the clock."""
    if cell.kind == "CARRY4":
        return (*cell.pins["CI"], *cell.pins["CYINIT"], *cell.pins["S"][: index + 1], *cell.pins["DI"][: index + 1])
    if cell.kind in SHIFT_REGISTERS:
        return _address(cell, "A")
    if cell.kind in LANES or cell.kind in DUAL_PORT:
        return _reads(cell, pin)[1]
    return tuple(bits[0] for name, bits in cell.pins.items() if name[0] in "IS")


def _block_word(cell: Cell) -> list[Bit]:
    """The word that a block memory's first port reads: after each eight bits their parity bit, where words have any."""
    width = int(cell.parameters["READ_WIDTH_A"], 2)
    data, parity = (
        cell.pins.get(a, ()) + cell.pins.get(b, ()) for a, b in (("DOADO", "DOBDO"), ("DOPADOP", "DOPBDOP"))
    )
    return [parity[i // 9] if width >= 9 and i % 9 == 8 else data[i // 9 * 8 + i % 9] for i in range(width)]


def _rows(cell: Cell, initial: str) -> list[str]:
    return [
        name for name in cell.parameters if name.startswith(initial) and name[len(initial) :] not in ("A", "B", "FILE")
    ]


def _check_block(cell: Cell) -> None:
    parameters, pins = cell.parameters, cell.pins
    quiet = all(set(pins.get(pin, "0")) <= {"0", "x"} for pin in ("WEA", "WEBWE", "RSTRAMARSTRAM"))
    if not quiet or int(parameters["DOA_REG"], 2) or any(int(parameters[f"WRITE_WIDTH_{port}"], 2) for port in "AB"):
        raise Refuted(f"{cell.name} is a block memory that is written or reset, whose function is not described")
    if int(parameters["READ_WIDTH_B"], 2) or any(pin.startswith("CASCADE") for pin in pins):
        raise Refuted(f"{cell.name} is read by two ports or joined with another")
