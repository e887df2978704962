"""Parts that join words in one register: packing side by side, and pooling by OR or AND."""

from __future__ import annotations

import numpy as np

from bnnhw.hw_export.parts.part import Part, combinations
from bnnhw.hw_export.stage import Stage
from bnnhw.model import MaxPool


def register(part: Part, count: int, name: str) -> None:
    """Takes a word whenever its register is free; every `count` of them, one leaves."""
    part.starts(["m_valid"], {name: count})
    place, s_valid, m_ready, m_valid = combinations(count, 2, 2, 2)
    cases = part.cases(len(place))
    part.counter(cases, name, place, count)
    part.give(cases, s_valid=s_valid, m_ready=m_ready, m_valid=m_valid)
    ready = (m_valid == 0) | (m_ready == 1)
    take = ready & (s_valid == 1)
    part.expect(cases, s_ready=ready, take=take)
    part.counts(cases, name, (place + take) % count, count)
    part.follows(cases, m_valid=np.where(ready, take & (place == count - 1), m_valid))


def pack(part: Part, count: int) -> None:
    register(part, count, "joined")
    data = part.word("m_data")
    width = len(data) // count
    part.moves("m_data", part.after("m_data"), data[width:] + part.word("s_data"), take=1)
    part.moves("m_data", part.after("m_data"), data, take=0)


def pool(part: Part, stage: Stage) -> None:
    register(part, stage.taps, "tap")
    assert isinstance(stage.layer, MaxPool)
    tap, take, held, new = combinations(stage.taps, 2, 2, 2)
    for channel, conjunctive in enumerate(stage.layer.conjunctive.tolist()):
        cases = part.cases(len(tap))
        part.counter(cases, "tap", tap, stage.taps)
        part.give(cases, take=take)
        cases.give([part.word("m_data")[channel]], held)
        cases.give([part.word("s_data")[channel]], new)
        joined = held & new if conjunctive else held | new
        wanted = np.where(take == 0, held, np.where(tap == 0, new, joined))
        part.expect_bits(cases, "m_data after the clock", (part.after("m_data")[channel],), wanted)
