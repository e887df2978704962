"""Folded neurons: which slice of which neuron is in which pipeline stage, and what is done to it."""

from __future__ import annotations

import numpy as np

from bnnhw.hw_export.memory import threshold_places
from bnnhw.hw_export.netlist import Memory
from bnnhw.hw_export.parts.part import Numbers, Part, combinations, fields
from bnnhw.hw_export.stage import Stage
from bnnhw.model import Output


def mvtu(part: Part, stage: Stage) -> None:
    """State: the next slice's number, and which of two pipeline stages hold one. A slice's number says which neurons,
    inputs, weights and thresholds it is of, and whether it is a neuron's first, last, or a whole position's last."""
    counting = stage.counting
    assert counting is not None
    last_layer = isinstance(stage.layer, Output)
    slices, taps, groups = stage.slices, stage.taps, stage.groups
    places = 1 if last_layer else threshold_places(stage)
    neuron = slices * taps
    period = neuron * groups * places
    sizes = {"slice": slices, "tap": taps, "group": groups, "weight": neuron * groups}
    sizes |= {} if last_layer else {"limit": places * groups}
    part.starts(["busy1", "busy2", "m_valid"], sizes)

    def counters(place: Numbers) -> dict[str, Numbers]:
        done = place // neuron
        values = {"slice": place % slices, "tap": place // slices % taps, "group": done % groups}
        return values | {"weight": place % (neuron * groups), "limit": done % (places * groups)}

    def marks(place: Numbers) -> dict[str, Numbers]:
        ends = place % neuron == neuron - 1
        complete = ends & (place // neuron % groups == groups - 1)
        values = {"first": place % neuron == 0, "last": ends, "complete": complete}
        return {name: value.astype(np.int64) for name, value in values.items()}

    place, s_valid, m_ready, m_valid, busy1, busy2 = combinations(period, 2, 2, 2, 2, 2)
    one, two = (place - 1) % period, (place - 1 - busy1) % period
    cases = part.cases(len(place))
    for name, count in sizes.items():
        part.counter(cases, name, counters(place)[name], count)
    part.give(cases, s_valid=s_valid, m_ready=m_ready, m_valid=m_valid, busy1=busy1, busy2=busy2)
    for stage_number, slot, busy in ((1, one, busy1), (2, two, busy2)):
        for name, value in marks(slot).items():
            cases.give(part.word(f"{name}{stage_number}"), value, busy == 1)
    go = (m_valid == 0) | (m_ready == 1)
    part.expect(cases, go=go, s_ready=go & (place % slices == slices - 1))
    after = (place + (go & (s_valid == 1))) % period
    for name, count in sizes.items():
        part.counts(cases, name, counters(after)[name], count)
    part.follows(cases, busy1=np.where(go, s_valid, busy1), busy2=np.where(go, busy1, busy2))
    part.follows(cases, m_valid=np.where(go, busy2 & marks(two)["complete"], m_valid))
    for name in ("first", "last", "complete"):
        new, kept = marks(place)[name], marks(one)[name]
        part.follows(cases, np.where(go, s_valid, busy1) == 1, **{f"{name}1": np.where(go, new, kept)})
        kept = marks(two)[name]
        part.follows(cases, np.where(go, busy1, busy2) == 1, **{f"{name}2": np.where(go, marks(one)[name], kept)})
    weights = part.memory("weights")
    part.expect_bits(cases, "weights' address", weights.read_address, counters(place)["weight"])
    limits = None if last_layer else part.memory("limits")
    if limits is not None:
        part.expect_bits(cases, "thresholds' address", limits.read_address, counters(place)["limit"])

    # Data into the pipeline.
    data, taken = part.word("s_data"), stage.simd * stage.width
    for s in range(slices):
        chosen = {} if slices == 1 else {"count_slice.counting.count": s}
        part.moves("inputs", part.after("inputs"), fields(data, s, taken), go=1, **chosen)
    part.moves("inputs", part.after("inputs"), part.word("inputs"), go=0)
    part.moves("planes", part.after("planes"), weights.read_data, go=1)
    part.moves("planes", part.after("planes"), part.word("planes"), go=0)
    for lane in range(stage.pe):
        _lane(part, stage, lane, limits)
    # Each group moves those before it down: after the last one, all are in their places.
    results, before = part.word("results"), part.word("m_data")
    made, joined = part.after("m_data"), before[len(results) :] + results
    part.moves("m_data", made, joined, go=1, busy2=1, last2=1)
    for still in ({"go": 0}, {"go": 1, "busy2": 0}, {"go": 1, "last2": 0}):
        part.moves("m_data", made, before, **still)


def _lane(part: Part, stage: Stage, lane: int, limits: Memory | None) -> None:
    """One neuron's arithmetic."""
    assert stage.counting is not None
    here, simd, width, highest = f"neuron[{lane}]", stage.simd, stage.width, stage.highest
    planes, inputs = part.word("planes"), part.word("inputs")
    for i in range(simd):
        carried, level, weight = combinations(i * highest + 1, highest + 1, [-1, 0, 1])
        cases = part.cases(len(carried))
        if i:
            cases.give(part.word(f"{here}.term[{i - 1}].sum"), carried)
        cases.give(fields(inputs, i, width), level)
        cases.give([planes[lane * simd + i]], weight == 1)
        cases.give([planes[(stage.pe + lane) * simd + i]], weight == -1)
        adds = np.where(weight == 1, level, np.where(weight == -1, highest - level, 0))
        part.expect(cases, **{f"{here}.term[{i}].sum": carried + adds})
    added = f"{here}.added"
    part.moves(added, part.after(added), part.word(f"{here}.term[{simd - 1}].sum"), go=1)
    part.moves(added, part.after(added), part.word(added), go=0)

    most = (1 << stage.counting.width) - 1
    first, count, more = combinations(2, most + 1, simd * highest + 1)
    cases = part.cases(len(first))
    part.give(cases, first2=first)
    cases.give(part.word(f"{here}.count"), count)
    cases.give(part.word(added), more)
    stopped = f"{here}.stopped"
    part.expect(cases, **{stopped: np.minimum(np.where(first == 1, 0, count) + more, most)})
    part.moves(f"{here}.count", part.after(f"{here}.count"), part.word(stopped), go=1, busy2=1)
    part.moves(f"{here}.count", part.after(f"{here}.count"), part.word(f"{here}.count"), go=0)
    part.moves(f"{here}.count", part.after(f"{here}.count"), part.word(f"{here}.count"), busy2=0)

    results = part.word("results")
    if limits is None:
        part.moves("results", fields(results, lane, stage.counting.width), part.word(stopped))
        return
    limit1, limit2 = f"{here}.compare.limit1", f"{here}.compare.limit2"
    entry = fields(limits.read_data, lane, stage.counting.width + 1)
    for name, source in ((limit1, entry), (limit2, part.word(limit1))):
        part.moves(name, part.after(name), source, go=1)
        part.moves(name, part.after(name), part.word(name), go=0)
    # Every threshold that the lane's memory holds, against every count.
    size = stage.counting.width + 1
    held = sorted({word >> (lane * size) & ((1 << size) - 1) for word in limits.contents or ()})
    count, limit = combinations(most + 1, held)
    cases = part.cases(len(count))
    cases.give(part.word(stopped), count)
    cases.give(part.word(limit2), limit)
    part.expect_bits(cases, "results", (results[lane],), (count >= (limit & most)) != (limit > most))
