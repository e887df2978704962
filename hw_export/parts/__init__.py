"""What each part of rtl/*.sv has to do, and proofs that the gates of an export do it, with the sizes it has there.

A part that handles a stream is a machine. Its state is written down here in the terms of the stream (the words taken,
the step of a window, what is in flight) and from it the value of every register. Shown for all states and all inputs:
after reset the registers have the first state's values, and if they have a state's values now, they have the next
state's after the clock; handshakes and addresses are those of the state. Whatever either neighbour does, the parts
therefore pass on words in the order given here, and lose none.

What is done to data is shown apart from that: words that are only moved bit by bit, with all else unknown; sums,
comparisons and scores for every value of their operands. A neuron's count is composed of these: each input adds its
part to the sum before it, the sum of a slice is added to the count and stops at the largest value, the last slice's
count is compared.

`claims` lists them. Each, when called, returns how many cases it looked at, or raises `Refuted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from bnnhw.hw_export.folding import Plan
from bnnhw.hw_export.netlist import Bit, Netlist, Refuted
from bnnhw.hw_export.parts.neurons import mvtu
from bnnhw.hw_export.parts.part import Part
from bnnhw.hw_export.parts.quantize import quantize
from bnnhw.hw_export.parts.register import pack, pool
from bnnhw.hw_export.parts.scores import scores
from bnnhw.hw_export.parts.window import patch, window
from bnnhw.hw_export.stage import Stage
from bnnhw.hw_export.top import parts as chain
from bnnhw.model import IntegerModel


@dataclass(frozen=True)
class Claim:
    """part: its name in `bnn_top`. says: what it does. how: exhaustive, or with the solver. show: returns a number of
    cases, or raises `Refuted`."""

    part: str
    says: str
    how: str
    show: Callable[[], int]


def claims(model: IntegerModel, plan: Plan, netlist: Netlist) -> Iterator[Claim]:
    """Everything to be shown of the parts that are the same files for every network."""

    def shown(name: str, says: str, prove: Callable[[Part], None], how: str = "exhaustive") -> Claim:
        def show() -> int:
            part = Part(netlist, name)
            prove(part)
            return part.tally[0]

        return Claim(name, says, how, show)

    streams = "each part's output is the next one's input"
    yield Claim("bnn_top", streams, "exhaustive", lambda: _streams(model, plan, netlist))
    yield shown("quantize", "takes beats in order, counts the thresholds reached", lambda p: quantize(p, model, plan))
    for made in chain(model, plan):
        stage = plan.stages[int(made.name.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        prove, says = _kind(made.module, stage, int(made.parameters.get("PACK", 1)))
        if prove is not None:
            yield shown(made.name, says, prove)
    last = plan.stages[-1].counting
    assert last is not None
    width = last.width
    says = "makes scores, keeps the first largest one's class"
    yield shown("scores", says, lambda p: scores(p, model, width), "exhaustive, solver")


def _kind(module: str, stage: Stage, packed: int) -> tuple[Callable[[Part], None] | None, str]:
    if module == "bnn_pack":
        return lambda p: pack(p, packed), "joins words in order"
    if module == "bnn_window":
        return lambda p: window(p, stage), "gives the words under the kernel in order, keeps rows while needed"
    if module == "bnn_patch":
        return lambda p: patch(p, stage), "gives all words under the kernel, keeps rows while needed"
    if module == "bnn_pool":
        return lambda p: pool(p, stage), "joins the words of a window by OR or AND"
    if module == "bnn_mvtu":
        return lambda p: mvtu(p, stage), "counts each neuron's inputs, stops, compares; in order, none lost"
    return None, ""


def _streams(model: IntegerModel, plan: Plan, netlist: Netlist) -> int:
    """Nets of neighbouring ports are the same nets."""

    def port(part: str, name: str) -> tuple[Bit, ...]:
        if part in netlist.boxes:
            kind, pins = netlist.boxes[part]
            if kind != f"bnn_{part}":
                raise Refuted(f"{part} is a {kind}")
            return pins[name]
        return netlist.word(f"{part}.{name}")

    def same(a: tuple[Bit, ...], b: tuple[Bit, ...], what: str) -> None:
        if a != b:
            raise Refuted(f"{what} are not the same nets")

    names = ["quantize", *(made.name for made in chain(model, plan)), "scores"]
    for name in ("clk", "rst"):
        for part in names:
            same(port(part, name), netlist.word(name), f"{part}'s {name} and {name}")
    for before, after in pairwise(names):
        for name in ("data", "valid", "ready"):
            same(port(before, f"m_{name}"), port(after, f"s_{name}"), f"{before}'s m_{name} and {after}'s s_{name}")
    for outer, inner in (("tdata", "data"), ("tvalid", "valid"), ("tready", "ready"), ("tlast", "last")):
        same(port("quantize", f"s_{inner}"), netlist.word(f"s_axis_{outer}"), f"the input's s_axis_{outer}")
        same(port("scores", f"m_{inner}"), netlist.word(f"m_axis_{outer}"), f"the output's m_axis_{outer}")
    same(port("quantize", "frame_error"), netlist.word("frame_error"), "frame_error")
    return 3 * len(names) + 9
