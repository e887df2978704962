"""Counts to scores, and the class: the largest score, the lowest index on a tie."""

from __future__ import annotations

import numpy as np

from bnnhw.hw_export.netlist import Bit, Refuted
from bnnhw.hw_export.parts.comparison import greater
from bnnhw.hw_export.parts.part import Part, combinations, fields
from bnnhw.model import IntegerModel


def scores(part: Part, model: IntegerModel, width: int) -> None:
    """Keeps a position's counts; beat c is score c, the beat after the last is the class that was best so far."""
    classes, shift = model.classes, model.output.shift
    bias = part.memory("bias")
    if bias.contents is None or len(bias.contents) != classes:
        raise Refuted(f"{part.prefix} has not a bias for each class")
    part.starts(["m_valid"], {"beat": classes + 1})
    beat, m_valid, m_ready, s_valid = combinations(classes + 1, 2, 2, 2)
    possible = (m_valid == 1) | (beat == 0)
    beat, m_valid, m_ready, s_valid = (a[possible] for a in (beat, m_valid, m_ready, s_valid))
    cases = part.cases(len(beat))
    part.counter(cases, "beat", beat, classes + 1)
    part.give(cases, m_valid=m_valid, m_ready=m_ready, s_valid=s_valid)
    ready = (m_valid == 0) | ((beat == classes) & (m_ready == 1))
    sent = (m_valid == 1) & (m_ready == 1)
    part.expect(cases, s_ready=ready, sent=sent, m_last=beat == classes)
    part.counts(cases, "beat", (beat + sent) % (classes + 1), classes + 1)
    part.follows(cases, m_valid=np.where(ready, s_valid, m_valid))
    part.expect_bits(cases, "bias' address", bias.read_address, beat, beat < classes)

    part.moves("counts", part.after("counts"), part.word("s_data"), s_ready=1)
    part.moves("counts", part.after("counts"), part.word("counts"), s_ready=0)
    counts, register = part.word("counts"), "count_beat.counting.count"
    high: tuple[Bit, ...] = ("0",) * (32 - width)
    for c in range(classes):
        part.moves("count", part.word("count"), fields(counts, c, width) + high, **{register: c})
    label, count = combinations(classes, 1 << width)
    stored = np.asarray(bias.contents, np.int64)[label]
    cases = part.cases(len(label))
    cases.give(part.word("count")[:width], count)
    cases.give(bias.read_data, stored)
    part.expect(cases, score=((count << shift) + stored) % (1 << 32))
    greater(part)

    beat, sent, better = combinations(classes + 1, 2, 2)
    wins = (sent == 1) & (beat < classes) & ((beat == 0) | (better == 1))
    best, score, label_bits = part.word("best_score"), part.word("score"), part.word("best_class")
    for b, s, g, w in zip(beat.tolist(), sent.tolist(), better.tolist(), wins.tolist(), strict=True):
        state = {register: b, "sent": s, "better": g}
        part.moves("best_score", part.after("best_score"), score if w else best, **state)
        number = tuple(str(b >> i & 1) for i in range(len(label_bits)))
        part.moves("best_class", part.after("best_class"), number if w else label_bits, **state)
    for b in range(classes):
        part.moves("m_data", part.word("m_data"), score, **{register: b})
    zeros: tuple[Bit, ...] = ("0",) * (32 - len(label_bits))
    part.moves("m_data", part.word("m_data"), label_bits + zeros, **{register: classes})
