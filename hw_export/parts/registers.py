"""The register map of `bnn_accelerator`, and how it holds `bnn_top`."""

from __future__ import annotations

import numpy as np

from bnnhw.hw_export.accelerator import LITE, REGISTERS
from bnnhw.hw_export.netlist import Bit, Refuted
from bnnhw.hw_export.parts.part import Part, combinations

COUNTERS = {"TAKEN": ("taken", "image_taken"), "GIVEN": ("given", "image_given")}
COUNTERS |= {"CLOCKS": ("clocks", ""), "STALLED": ("stalled", "answer_waits")}
ZEROS: tuple[Bit, ...] = ("0",) * 31


def registers(part: Part, model_digest: str) -> None:
    """Each word reads as its register or its part of the digest, in one access at a time; counters count, and only when
    they should; `bnn_top` is reset with the rest or while CONTROL says so."""
    netlist = part.netlist
    _wiring(part)
    words: dict[int, tuple[Bit, ...]] = {REGISTERS["ID"] // 4: _constant(0x424E4E48), 1: _constant(1)}
    words |= {2: (*part.word("held"), *ZEROS), 3: (*part.word("frame_error"), *ZEROS)}
    words |= {REGISTERS[name] // 4: part.word(register) for name, (register, _) in COUNTERS.items()}
    words |= {8 + i: _constant(int(model_digest[8 * i : 8 * i + 8], 16)) for i in range(8)}
    address = part.word("s_axi_araddr")
    for number, source in words.items():
        chosen = [(address[2:], number), (part.word("read"), 1)]
        part.moves_where("s_axi_rdata", part.after("s_axi_rdata"), source, chosen)
    part.moves_where("s_axi_rdata", part.after("s_axi_rdata"), part.word("s_axi_rdata"), [(part.word("read"), 0)])

    aw, w, b, b_ready, ar, r, r_ready, reset = combinations(2, 2, 2, 2, 2, 2, 2, 2)
    cases = part.plain_cases(len(aw))
    cases.give(netlist.word("aresetn"), 1 - reset)
    part.give(cases, s_axi_awvalid=aw, s_axi_wvalid=w, s_axi_bvalid=b, s_axi_bready=b_ready)
    part.give(cases, s_axi_arvalid=ar, s_axi_rvalid=r, s_axi_rready=r_ready)
    write, read, run = (aw & w & (1 - b)), ar & (1 - r), 1 - reset
    part.expect(cases, s_axi_awready=write, s_axi_wready=write, s_axi_arready=1 - r, write=write, read=read)
    part.expect(cases, s_axi_bresp=0, s_axi_rresp=0)
    part.follows(cases, s_axi_bvalid=run & (write | (b & (1 - b_ready))))
    part.follows(cases, s_axi_rvalid=run & (read | (r & (1 - r_ready))))

    reset, write, word, strobe, new, held = combinations(2, 2, 16, 2, 2, 2)
    cases = part.plain_cases(len(reset))
    cases.give(netlist.word("aresetn"), 1 - reset)
    part.give(cases, write=write, held=held)
    cases.give(part.word("s_axi_awaddr")[2:], word)
    cases.give(part.word("s_axi_wstrb")[:1], strobe)
    cases.give(part.word("s_axi_wdata")[:1], new)
    takes = (write == 1) & (word == 2) & (strobe == 1)
    part.follows(cases, held=np.where(reset == 1, 0, np.where(takes, new, held)))
    for register, event in COUNTERS.values():
        _counts(part, register, event)


def _constant(value: int) -> tuple[Bit, ...]:
    return tuple(str(value >> i & 1) for i in range(32))


def _wiring(part: Part) -> None:
    netlist = part.netlist
    kind, pins = netlist.boxes.get("core", ("", {}))
    if kind != "bnn_top":
        raise Refuted("bnn_accelerator holds no bnn_top")
    for pin, nets in pins.items():
        outer = {"clk": "aclk"}.get(pin, pin)
        if pin != "rst" and nets != netlist.word(outer):
            raise Refuted(f"bnn_top's {pin} is not {outer}")
    for name in ("frame_error", *(f"s_axi_{name}" for name in LITE)):
        if part.word(name) != netlist.word(name):
            raise Refuted(f"{part.prefix}.{name} is not {name}")
    held, resetn = combinations(2, 2)
    cases = part.plain_cases(len(held))
    part.give(cases, held=held)
    cases.give(netlist.word("aresetn"), resetn)
    part.expect_bits(cases, "core's reset", pins["rst"], (held == 1) | (resetn == 0))
    part.expect(cases, rst=resetn == 0)
    for event, (valid, ready, last) in {
        "image_taken": ("s_axis_tvalid", "s_axis_tready", "s_axis_tlast"),
        "image_given": ("m_axis_tvalid", "m_axis_tready", "m_axis_tlast"),
        "answer_waits": ("m_axis_tvalid", "m_axis_tready", ""),
    }.items():
        v, r, end = combinations(2, 2, 2)
        cases = part.plain_cases(len(v))
        cases.give(netlist.word(valid), v).give(netlist.word(ready), r)
        if last:
            cases.give(netlist.word(last), end)
        part.expect(cases, **{event: v & r & end if last else v & (1 - r)})


def _counts(part: Part, register: str, event: str) -> None:
    """One more with each event, for all values: a bit changes if all below it are 1, and stays if any of them is 0."""
    bits, after = part.word(register), part.after(register)
    counting: list[tuple[tuple[Bit, ...], int]] = [(part.netlist.word("aresetn"), 1), (part.word("held"), 0)]
    happens = [*counting, *([(part.word(event), 1)] if event else [])]
    for i, bit in enumerate(bits):
        for zero in [None, *range(i)]:
            cases = part.plain_cases(2)
            for nets, value in happens:
                cases.give(nets, value)
            cases.give([bit], [0, 1])
            if zero is None:
                cases.give(bits[:i], (1 << i) - 1)
            else:
                cases.give([bits[zero]], 0)
            part.expect_bits(cases, register, (after[i],), [1, 0] if zero is None else [0, 1])
    if event:
        part.moves_where(register, after, bits, [*counting, (part.word(event), 0)])
    resetn, held = (np.array(values) for values in ((0, 0, 1), (0, 1, 1)))
    cases = part.plain_cases(3).give(part.netlist.word("aresetn"), resetn)
    part.give(cases, held=held)
    part.follows(cases, **{register: 0})
