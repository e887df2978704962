"""Layers with a counter of its own for every neuron: one result a clock, and zero weights vanish.

A neuron's literals, its inputs as they are or inverted, are summed up by a tree of counters that turn six bits of a
weight into three (as many lookup tables of six inputs), registers after every second of them. The last six bits, of
whatever weights, are looked up: one more table says whether they reach the threshold. Where more than six are left, and
no more than two of each weight, they are added as two numbers and compared. To stop counting at the threshold saves
nothing here, unlike in `rtl/bnn_mvtu.sv`.

Six-input counters: Parandeh-Afshar, Brisk and Ienne, "Efficient Synthesis of Compressor Trees on FPGAs", ASP-DAC 2008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from bnnhw.hw_export import sharing
from bnnhw.hw_export.stage import Stage

LOOKED_UP = 6
"""Bits that are left to one lookup table."""
LEVELS_A_CLOCK = 2
"""Counters in a row, or the final sum and comparison, between registers."""


@dataclass(frozen=True, order=True)
class AtLeast:
    """A module that compares a weighted sum of bits with a constant. bits: how many of weight 1, 2, 4, ..."""

    bits: tuple[int, ...]
    threshold: int

    @property
    def name(self) -> str:
        return f"bnn_at_least_{self.threshold}_of_{'_'.join(map(str, self.bits))}"


def _vector(signals: Sequence[str]) -> str:
    """Verilog concatenation, the first signal lowest, in lines of readable length."""
    text = "{" + ", ".join(reversed(signals)) + "}"
    return "\n      ".join(wrap(text, 110, break_long_words=False))


def module(at_least: AtLeast) -> tuple[str, int]:
    """SystemVerilog of the module, and its clocks from input to output."""
    columns = [[f"x[{sum(at_least.bits[:k]) + i}]" for i in range(n)] for k, n in enumerate(at_least.bits)]
    body: list[str] = []
    level = clocks = 0
    while unfinished(columns):
        level += 1
        body.append(f"  // Level {level}: " + ", ".join(f"{len(c)} of weight {1 << k}" for k, c in enumerate(columns)))
        columns = _reduced(columns, level, body)
        if level % LEVELS_A_CLOCK == 0 and unfinished(columns):
            clocks += 1
            columns = _registered(columns, level, body)
    if level > 0:
        clocks += 1
        columns = _registered(columns, level, body)
    body += _looked_up(columns, at_least) if looked_up(columns) else _compared(columns, at_least)
    inputs = sum(at_least.bits)
    shape = ", ".join(f"{n} of weight {1 << k}" for k, n in enumerate(at_least.bits))
    functions = []
    if any("count6" in line for line in body):
        functions += _function("count6", 6, 3)
    if any("count3" in line for line in body):
        functions += _function("count3", 3, 2)
    lines = [
        f"// y: the sum of x ({shape}) is at least {at_least.threshold}, {clocks + 1} clocks later.",
        f"module {at_least.name} (",
        "    input wire clk,",
        "    input wire go,",
        f"    input wire [{inputs - 1}:0] x,",
        "    output reg y",
        ");",
        *functions,
        *body,
        "endmodule",
    ]
    return "\n".join(lines) + "\n", clocks + 1


def looked_up(columns: Sequence[Sequence[object]]) -> bool:
    """Whether one table takes all the bits that are left, by weight."""
    return sum(map(len, columns)) <= LOOKED_UP


def unfinished(columns: Sequence[Sequence[object]]) -> bool:
    """Whether another level of counters is needed."""
    return not looked_up(columns) and any(len(column) > 2 for column in columns)


def _looked_up(columns: list[list[str]], at_least: AtLeast) -> list[str]:
    """One bit for everything that the last bits can be: whether their sum reaches the threshold."""
    bits = [(name, 1 << k) for k, column in enumerate(columns) for name in column]
    reached = 0
    for case in range(1 << len(bits)):
        total = sum(weight for place, (_, weight) in enumerate(bits) if case >> place & 1)
        reached |= (total >= at_least.threshold) << case
    cases = 1 << len(bits)
    return [
        "  // The last bits, of weights " + ", ".join(str(weight) for _, weight in bits) + ".",
        f"  wire [{len(bits) - 1}:0] last = {_vector([name for name, _ in bits])};",
        f"  wire [{cases - 1}:0] reached = {cases}'h{reached:0{max(1, cases // 4)}x};",
        "  always @(posedge clk) if (go) y <= reached[last];",
    ]


def _compared(columns: list[list[str]], at_least: AtLeast) -> list[str]:
    """At most two bits of each weight are left: two numbers."""
    width = (sum(n << k for k, n in enumerate(at_least.bits))).bit_length()
    numbers = [[c[i] if len(c) > i else "1'b0" for c in [*columns, *([[]] * width)][:width]] for i in range(2)]
    return [
        f"  wire [{width - 1}:0] first = {_vector(numbers[0])};",
        f"  wire [{width - 1}:0] second = {_vector(numbers[1])};",
        f"  wire [{width - 1}:0] total = first + second;",
        f"  always @(posedge clk) if (go) y <= (total >= {width}'d{at_least.threshold});",
    ]


def _function(name: str, inputs: int, outputs: int) -> list[str]:
    terms = " + ".join(f"{{{outputs - 1}'d0, bits[{i}]}}" for i in range(inputs))
    return [
        f"  function [{outputs - 1}:0] {name}(input [{inputs - 1}:0] bits);",
        f"    {name} = {terms};",
        "  endfunction",
    ]


def _reduced(columns: list[list[str]], level: int, body: list[str]) -> list[list[str]]:
    """One level of counters: six bits of a weight become one of it and of the next two."""
    made: list[list[str]] = [[] for _ in range(len(columns) + 2)]
    number = 0
    for k, column in enumerate(columns):
        rest = column
        for size in sharing.counter_sizes(len(column)):
            part, rest = rest[:size], rest[size:]
            kind, outputs = ("count3", 2) if size == 3 else ("count6", 3)
            padded = [*part, *["1'b0"] * ((3 if size == 3 else 6) - size)]
            name = f"n{level}_{number}"
            number += 1
            body.append(f"  wire [{outputs - 1}:0] {name} = {kind}({{{', '.join(reversed(padded))}}});")
            for bit in range(outputs):
                made[k + bit].append(f"{name}[{bit}]")
        made[k] += rest
    while not made[-1]:
        made.pop()
    return made


def _registered(columns: list[list[str]], level: int, body: list[str]) -> list[list[str]]:
    signals = [signal for column in columns for signal in column]
    body.append(f"  reg [{len(signals) - 1}:0] r{level};")
    body.append(f"  always @(posedge clk)\n    if (go)\n      r{level} <= {_vector(signals)};")
    names = iter([f"r{level}[{i}]" for i in range(len(signals))])
    return [[next(names) for _ in column] for column in columns]


@dataclass(frozen=True)
class Neuron:
    """One output bit. at_least: its module, None for a bit that never changes. inputs: with their signs, in the order
    in which they are counted. literals: their bits, weight by weight."""

    at_least: AtLeast | None
    inputs: tuple[tuple[int, int], ...]
    literals: tuple[str, ...]
    inverted: bool


def neurons(stage: Stage) -> list[Neuron]:
    """The neurons of an unrolled layer, each with its inputs in the order in which they are counted."""
    counts = stage.counting
    assert counts is not None
    assert stage.can_unroll
    streamed = counts.weights.reshape(stage.made[0], stage.source[0], -1).transpose(0, 2, 1).reshape(stage.made[0], -1)
    # Inverted bits of a level are (2^width - 1) less the level, not `highest` less the level.
    surplus = (1 << stage.width) - 1 - stage.highest
    made = []
    # What is looked up at once, or never changes, has no counters to share.
    small = (counts.threshold[:, 0] == 0) | (np.count_nonzero(streamed, axis=1) * stage.width <= LOOKED_UP)
    places = sharing.orders(np.where(small[:, None], 0, streamed).astype(np.int8))
    for row, order, limit, inverted in zip(
        streamed.tolist(), places, counts.threshold[:, 0], counts.inverted[:, 0], strict=True
    ):
        used = [(i, row[i]) for i in order or [i for i, w in enumerate(row) if w]]
        if limit == 0 or not used:
            made.append(Neuron(None, tuple(used), (), bool(inverted) != (limit == 0)))
            continue
        literals = tuple(
            f"{'~' if w < 0 else ''}s_data[{i * stage.width + bit}]" for bit in range(stage.width) for i, w in used
        )
        threshold = int(limit) + surplus * sum(w < 0 for _, w in used)
        at_least = AtLeast((len(used),) * stage.width, threshold)
        made.append(Neuron(at_least, tuple(used), literals, bool(inverted)))
    return made


def generate(index: int, stage: Stage, about: str) -> tuple[str, set[AtLeast]]:
    """SystemVerilog text of module ``bnn_layer<index>``, and the modules that it needs."""
    cells = neurons(stage)
    needed = {cell.at_least for cell in cells if cell.at_least is not None}
    clocks = {at_least: module(at_least)[1] for at_least in needed}
    latency = max(clocks.values(), default=1)
    in_width = stage.taps * stage.channels * stage.width
    lines = [
        f"// Layer {index}, unrolled: {about}.",
        "// Every neuron counts its inputs, those of weight -1 inverted; a result a clock.",
        f"module bnn_layer{index} (",
        "    input wire clk,",
        "    input wire rst,",
        "    // Inputs that no neuron reads are ignored.",
        "    /* verilator lint_off UNUSEDSIGNAL */",
        f"    input wire [{in_width - 1}:0] s_data,",
        "    /* verilator lint_on UNUSEDSIGNAL */",
        "    input wire s_valid,",
        "    output wire s_ready,",
        f"    output wire [{len(cells) - 1}:0] m_data,",
        "    output wire m_valid,",
        "    input wire m_ready",
        ");",
        "  // Everything stands still while a result waits to leave.",
        f"  reg [{latency}:1] busy;",
        f"  assign m_valid = busy[{latency}];",
        "  wire go = !m_valid || m_ready;",
        "  assign s_ready = go;",
        "  always @(posedge clk)",
        "    if (rst) busy <= 0;",
        f"    else if (go) busy <= {'s_valid' if latency == 1 else f'{{busy[{latency - 1}:1], s_valid}}'};",
        "",
    ]
    for number, cell in enumerate(cells):
        if cell.at_least is None:
            lines += [
                f"  // Neuron {number}: always the same.",
                f"  assign m_data[{number}] = 1'b{int(cell.inverted)};",
            ]
            continue
        sense = "fewer than" if cell.inverted else "at least"
        lines.append(f"  // Neuron {number}: {len(cell.inputs)} weights, {sense} {cell.at_least.threshold}.")
        width = len(cell.literals)
        lines.append(f"  wire [{width - 1}:0] x{number} = {_vector(cell.literals)};")
        lines.append(f"  wire y{number};")
        lines.append(f"  {cell.at_least.name} neuron{number} (.clk(clk), .go(go), .x(x{number}), .y(y{number}));")
        bit = f"y{number}"
        if waits := latency - clocks[cell.at_least]:
            bit = f"late{number}"
            lines.append(f"  wire {bit};")
            lines.append(
                f"  bnn_delay #(.CLOCKS({waits})) delay{number} (.clk(clk), .go(go), .x(y{number}), .y({bit}));"
            )
        lines.append(f"  assign m_data[{number}] = {'~' if cell.inverted else ''}{bit};")
    return "\n".join(lines) + "\nendmodule\n", needed


def library(needed: Iterable[AtLeast]) -> str:
    """SystemVerilog text of all the modules that unrolled layers need."""
    head = "// Comparisons of sums with constants, for unrolled layers.\n/* verilator lint_off DECLFILENAME */\n\n"
    return head + "\n".join(module(at_least)[0] for at_least in sorted(set(needed)))
