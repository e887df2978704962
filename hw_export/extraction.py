"""Read emitted hardware back: what its memories and unrolled layers compute, from nothing but the files' text.

Only the few forms of statement that `unrolled.py` writes are understood, and each is checked as it is read; any other
statement is refused. That makes reading a counter tree a proof of it:

- a counter of a weight's bits keeps their weighted sum (``count6`` and ``count3`` are evaluated on all their inputs),
- every bit is used exactly once, so the weighted sum of what is left after a level is that of what came in,
- all that meets in a statement is equally many clocks late,
- the last bits are looked up in a table, right in all its cases, or the last two numbers are added in enough bits and
  compared with the threshold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.stage import Stage


class NotUnderstood(ValueError):
    """Text that is not what this hardware is made of; the message quotes it."""


@dataclass(frozen=True)
class Counters:
    """A layer's neurons as counters, read from files; arrays as in `counting.Counting`, without its bias and width.

    surplus: what an input of weight -1 adds beyond (highest level less the level).
    """

    weights: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.int64]
    inverted: npt.NDArray[np.bool_]
    most: int | None
    surplus: int


def words(text: str) -> list[int]:
    """The words of a $readmemh file."""
    return [int(line, 16) for line in text.split()]


def fields(values: list[int], width: int, count: int) -> npt.NDArray[np.int64]:
    """[word, field]: the first ``count`` fields of ``width`` bits of every word, the lowest first."""
    mask = (1 << width) - 1
    return np.array([[(v >> (i * width)) & mask for i in range(count)] for v in values], np.int64).reshape(-1, count)


def folded(stage: Stage, weight_text: str, threshold_text: str | None) -> Counters:
    """The counters of a folded layer, by the layout at the head of rtl/bnn_mvtu.sv."""
    assert stage.counting is not None
    lanes = stage.pe * stage.simd
    planes = fields(words(weight_text), 1, 2 * lanes).reshape(stage.groups, -1, 2, stage.pe, stage.simd)
    if planes.shape[1] != stage.taps * stage.slices:
        raise NotUnderstood(f"{planes.shape[1] * stage.groups} weight words")
    if (planes.sum(2) > 1).any():
        raise NotUnderstood("a weight that is both +1 and -1")
    # [group, step, lane, place] to [neuron, input in the order of the stream], then to channels first.
    signed = (planes[:, :, 0] - planes[:, :, 1]).transpose(0, 2, 1, 3).reshape(stage.made[0], -1, stage.source[0])
    weights = signed.transpose(0, 2, 1).reshape(stage.made[0], -1).astype(np.int8)
    width = stage.counting.width
    if threshold_text is None:
        nothing = np.zeros((len(weights), 0), np.int64)
        return Counters(weights, nothing, nothing.astype(bool), (1 << width) - 1, 0)
    entries = fields(words(threshold_text), width + 1, stage.pe).reshape(-1, stage.made[0]).T
    return Counters(weights, entries & ((1 << width) - 1), (entries >> width).astype(bool), (1 << width) - 1, 0)


def modules(text: str) -> dict[str, str]:
    """The modules of a SystemVerilog file by name, each its header and body without comments and line breaks."""
    plain = " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL).split())
    found = {}
    while plain:
        match = re.match(r"module (\w+) (.*?) ?endmodule ?", plain)
        if match is None:
            raise NotUnderstood(plain[:100])
        if match[1] in found:
            raise NotUnderstood(f"two modules {match[1]}")
        found[match[1]] = match[2]
        plain = plain[match.end() :]
    return found


_AT_LEAST = re.compile(r"bnn_at_least_(\d+)_of_(\d+(?:_\d+)*)")
_FUNCTION = re.compile(r"function \[(\d+):0\] (\w+)\(input \[(\d+):0\] bits\); (\w+) = ([^;]*); endfunction ?")


def at_least(name: str, body: str) -> int:
    """Prove that a module compares the weighted sum that its name states; its clocks. NotUnderstood where not."""
    named = _AT_LEAST.fullmatch(name)
    if named is None:
        raise NotUnderstood(f"module {name}")
    shape = [int(n) for n in named[2].split("_")]
    threshold, inputs = int(named[1]), sum(shape)
    head = f"( input wire clk, input wire go, input wire [{inputs - 1}:0] x, output reg y ); "
    if not body.startswith(head):
        raise NotUnderstood(body[:100])
    body = body[len(head) :]
    counters: dict[str, tuple[int, int]] = {}
    while (function := _FUNCTION.match(body)) is not None:
        counters[function[2]] = _counter(function)
        body = body[function.end() :]
    columns = [k for k, n in enumerate(shape) for _ in range(n)]
    tree = _Tree({f"x[{i}]": (1 << k, 0) for i, k in enumerate(columns)}, threshold)
    for statement in body.rstrip("; ").split("; "):
        tree.read(statement, counters)
    return tree.finish()


def _counter(function: re.Match[str]) -> tuple[int, int]:
    """Inputs and outputs of a function that counts ones: evaluated on everything it can be given."""
    outputs, inputs = int(function[1]) + 1, int(function[3]) + 1
    terms = re.findall(r"\{(\d+)'d0, bits\[(\d+)\]\}", function[5])
    if function[2] != function[4] or " + ".join(f"{{{w}'d0, bits[{i}]}}" for w, i in terms) != function[5]:
        raise NotUnderstood(function[0])
    for bits in product((0, 1), repeat=inputs):
        value = sum(bits[int(i)] for _, i in terms)
        if value % (1 << outputs) != sum(bits) or any(int(w) + 1 != outputs for w, _ in terms):
            raise NotUnderstood(f"{function[2]} does not count ones")
    return inputs, outputs


class _Tree:
    """Bits that are not used yet, by name: the weight of each and how many clocks late it is."""

    def __init__(self, bits: dict[str, tuple[int, int]], threshold: int) -> None:
        self.bits = bits
        self.threshold = threshold
        self.numbers: dict[str, int] = {}
        self.declared: dict[str, int] = {}
        self.late: int | None = None
        self.most = sum(weight for weight, _ in bits.values())
        self.result: tuple[int, int] | None = None
        self.last: list[tuple[int, int]] = []
        self.reached: tuple[int, int] = (0, 0)

    def _use(self, names: list[str]) -> list[tuple[int, int]]:
        """Take bits away; all that is taken in a statement is equally late."""
        taken = []
        for name in names:
            if name == "1'b0":
                continue
            if name not in self.bits:
                raise NotUnderstood(f"{name} is no bit that is left to use")
            taken.append(self.bits.pop(name))
        if len({late for _, late in taken}) > 1:
            raise NotUnderstood(f"bits of different clocks meet in {{{', '.join(names)}}}")
        return taken

    def read(self, statement: str, counters: dict[str, tuple[int, int]]) -> None:
        if self.result is not None:
            raise NotUnderstood(statement)
        if match := re.fullmatch(r"wire \[(\d+):0\] (n\w+) = (\w+)\(\{([^}]*)\}\)", statement):
            inputs, outputs = counters.get(match[3], (0, 0))
            names = match[4].split(", ")
            taken = self._use(names)
            if int(match[1]) + 1 != outputs or len(names) != inputs or len({weight for weight, _ in taken}) != 1:
                raise NotUnderstood(statement)
            weight, late = taken[0]
            for bit in range(outputs):
                # An output that is never one, for lack of inputs, may be left unused.
                if len(taken) >> bit:
                    self._make(f"{match[2]}[{bit}]", weight << bit, late)
        elif match := re.fullmatch(r"reg \[(\d+):0\] (r\w+)", statement):
            self.declared[match[2]] = int(match[1]) + 1
        elif match := re.fullmatch(r"always @\(posedge clk\) if \(go\) (r\w+) <= \{([^}]*)\}", statement):
            names = match[2].split(", ")
            taken = self._use(names)
            if self.declared.pop(match[1], 0) != len(names) or len(taken) != len(names):
                raise NotUnderstood(statement)
            for place, (weight, late) in enumerate(reversed(taken)):
                self._make(f"{match[1]}[{place}]", weight, late + 1)
        elif match := re.fullmatch(r"wire \[(\d+):0\] last = \{([^}]*)\}", statement):
            names = match[2].split(", ")[::-1]
            self.last = self._use(names)
            if self.numbers or not int(match[1]) + 1 == len(names) == len(self.last):
                raise NotUnderstood(statement)
        elif match := re.fullmatch(r"wire \[(\d+):0\] reached = (\d+)'h([0-9a-f]+)", statement):
            self.reached = (int(match[2]), int(match[3], 16))
            if int(match[1]) + 1 != self.reached[0] or self.reached[0] != 1 << len(self.last):
                raise NotUnderstood(statement)
        elif statement == "always @(posedge clk) if (go) y <= reached[last]":
            self._look_up()
            self.result = (self.threshold, self.last[0][1] + 1)
        elif match := re.fullmatch(r"wire \[(\d+):0\] (first|second) = \{([^}]*)\}", statement):
            names = match[3].split(", ")[::-1]
            weights = [self.bits[name][0] if name in self.bits else 1 << place for place, name in enumerate(names)]
            lates = {self.bits[name][1] for name in names if name in self.bits}
            self._use(names)
            if int(match[1]) + 1 != len(names) or weights != [1 << place for place in range(len(names))]:
                raise NotUnderstood(statement)
            if lates and self.late not in (None, *lates):
                raise NotUnderstood(f"bits of different clocks meet: {statement}")
            self.late = next(iter(lates), self.late)
            self.numbers[match[2]] = len(names)
        elif match := re.fullmatch(r"wire \[(\d+):0\] total = first \+ second", statement):
            width = int(match[1]) + 1
            # A sum of all bits fits; so does each of the two numbers.
            if self.numbers != {"first": width, "second": width} or self.most >> width:
                raise NotUnderstood(statement)
            self.numbers["total"] = width
        elif match := re.fullmatch(r"always @\(posedge clk\) if \(go\) y <= \(total >= (\d+)'d(\d+)\)", statement):
            if self.numbers.get("total") != int(match[1]) or int(match[2]) >> int(match[1]):
                raise NotUnderstood(statement)
            self.result = (int(match[2]), (self.late or 0) + 1)
        else:
            raise NotUnderstood(statement)

    def _look_up(self) -> None:
        """The table of the last bits has to be right for every sum they make."""
        cases, table = self.reached
        if not self.last or cases != 1 << len(self.last):
            raise NotUnderstood("a table that is not of the last bits")
        for case in range(cases):
            total = sum(weight for place, (weight, _) in enumerate(self.last) if case >> place & 1)
            if (total >= self.threshold) != bool(table >> case & 1):
                raise NotUnderstood(f"a table that is wrong for a sum of {total}")

    def _make(self, name: str, weight: int, late: int) -> None:
        if name in self.bits:
            raise NotUnderstood(f"{name} is made twice")
        self.bits[name] = (weight, late)

    def finish(self) -> int:
        if self.bits or self.declared:
            raise NotUnderstood(f"{next(iter([*self.bits, *self.declared]))} is never used")
        if self.result is None or self.result[0] != self.threshold:
            raise NotUnderstood(f"no comparison with {self.threshold}")
        return self.result[1]


def unrolled(index: int, stage: Stage, text: str, clocks: dict[str, int]) -> Counters:
    """The counters of an unrolled layer, from its module. clocks: of the comparisons that were proven."""
    body = modules(text).get(f"bnn_layer{index}")
    if body is None:
        raise NotUnderstood(f"no module bnn_layer{index}")
    neurons, inputs = stage.made[0], stage.taps * stage.channels
    head = (
        f"( input wire clk, input wire rst, input wire [{inputs * stage.width - 1}:0] s_data, input wire s_valid, "
        f"output wire s_ready, output wire [{neurons - 1}:0] m_data, output wire m_valid, input wire m_ready ); "
    )
    if not body.startswith(head):
        raise NotUnderstood(body[:200])
    statements = body[len(head) :].rstrip("; ").split("; ")
    latency, statements = _control(statements)
    highest = (1 << stage.width) - 1
    weights = np.zeros((neurons, inputs), np.int8)
    threshold = np.zeros((neurons, 1), np.int64)
    inverted = np.zeros((neurons, 1), bool)
    vectors: dict[str, list[str]] = {}
    bits: dict[str, tuple[int, int]] = {}
    written: set[int] = set()
    for statement in statements:
        if match := re.fullmatch(r"assign m_data\[(\d+)\] = 1'b([01])", statement):
            # Never less than nothing: always, or inverted, never.
            inverted[int(match[1]), 0] = match[2] == "0"
            written.add(int(match[1]))
        elif match := re.fullmatch(r"wire \[(\d+):0\] (x\d+) = \{([^}]*)\}", statement):
            vectors[match[2]] = match[3].split(", ")[::-1]
            if len(vectors[match[2]]) != int(match[1]) + 1:
                raise NotUnderstood(statement)
        elif re.fullmatch(r"wire (y|late)\d+", statement):
            continue
        elif match := re.fullmatch(
            r"(bnn_at_least_\w+) neuron(\d+) \(\.clk\(clk\), \.go\(go\), \.x\(x\2\), \.y\(y\2\)\)", statement
        ):
            neuron = int(match[2])
            if match[1] not in clocks or f"y{neuron}" in bits:
                raise NotUnderstood(statement)
            weights[neuron], threshold[neuron, 0] = _literals(match[1], vectors[f"x{neuron}"], inputs, stage.width)
            bits[f"y{neuron}"] = (neuron, clocks[match[1]])
        elif match := re.fullmatch(
            r"bnn_delay #\(\.CLOCKS\((\d+)\)\) delay(\d+) \(\.clk\(clk\), \.go\(go\), \.x\(y\2\), \.y\(late\2\)\)",
            statement,
        ):
            neuron, late = bits.pop(f"y{match[2]}")
            if int(match[1]) < 1:
                raise NotUnderstood(statement)
            bits[f"late{match[2]}"] = (neuron, late + int(match[1]))
        elif match := re.fullmatch(r"assign m_data\[(\d+)\] = (~?)(\w+)", statement):
            neuron, late = bits.pop(match[3], (-1, 0))
            if neuron != int(match[1]) or late != latency:
                raise NotUnderstood(f"{statement}: another neuron's bit or clock")
            inverted[neuron, 0] = match[2] == "~"
            written.add(neuron)
        else:
            raise NotUnderstood(statement)
    if bits or written != set(range(neurons)):
        raise NotUnderstood(f"layer {index}: not every neuron gives one bit")
    # From the order of the stream, channels fastest, to the model's, channels first.
    ordered = weights.reshape(neurons, -1, stage.source[0]).transpose(0, 2, 1).reshape(neurons, -1)
    return Counters(ordered, threshold, inverted, None, highest - stage.highest)


def _control(statements: list[str]) -> tuple[int, list[str]]:
    """The latency that a layer's valid bits have, and the statements after them."""
    match = re.fullmatch(r"reg \[(\d+):1\] busy", statements[0])
    if match is None:
        raise NotUnderstood(statements[0])
    latency = int(match[1])
    shifted = "s_valid" if latency == 1 else f"{{busy[{latency - 1}:1], s_valid}}"
    expected = [
        f"assign m_valid = busy[{latency}]",
        "wire go = !m_valid || m_ready",
        "assign s_ready = go",
        "always @(posedge clk) if (rst) busy <= 0",
        f"else if (go) busy <= {shifted}",
    ]
    if statements[1:6] != expected:
        raise NotUnderstood("; ".join(statements[1:6]))
    return latency, statements[6:]


def _literals(module: str, names: list[str], inputs: int, width: int) -> tuple[npt.NDArray[np.int8], int]:
    """The weights that a neuron's literals are, and its threshold: every bit of an input once, with its weight."""
    named = _AT_LEAST.fullmatch(module)
    assert named is not None
    shape = [int(n) for n in named[2].split("_")]
    weights = np.zeros(inputs, np.int8)
    used = shape[0]
    if shape != [used] * width or len(names) != used * width:
        raise NotUnderstood(f"{module} of {len(names)} bits")
    for place, name in enumerate(names):
        match = re.fullmatch(r"(~?)s_data\[(\d+)\]", name)
        if match is None or int(match[2]) >= inputs * width:
            raise NotUnderstood(name)
        value, bit = divmod(int(match[2]), width)
        sign = -1 if match[1] else 1
        if bit != place // used or weights[value] != (0 if bit == 0 else sign):
            raise NotUnderstood(f"{name} in place {place} of {module}")
        weights[value] = sign
    return weights, int(named[1])
