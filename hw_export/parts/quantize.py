"""Pixels to levels: the quantizer takes a beat whenever its register is free, and levels count reached thresholds."""

from __future__ import annotations

import numpy as np

from bnnhw.hw_export.folding import Plan
from bnnhw.hw_export.memory import pixel_width
from bnnhw.hw_export.netlist import Refuted
from bnnhw.hw_export.parts.part import Part, combinations, fields
from bnnhw.model import IntegerModel

ALL_SUBSETS = 12
"""Up to so many comparisons of a pixel, all combinations of their results are looked at."""


def quantize(part: Part, model: IntegerModel, plan: Plan) -> None:
    """Takes a beat whenever its register is free; marks wrong frames; levels count the thresholds that are reached."""
    quantizer, beats = model.quantizer, plan.beats
    memory = part.memory("thresholds")
    assert memory.contents is not None
    places, levels, width = len(memory.contents), quantizer.levels, pixel_width(quantizer)
    if beats % places:
        raise Refuted(f"{places} threshold words for {beats} beats")
    part.starts(["m_valid", "frame_error"], {"beat": beats, "place": places})
    beat, s_valid, s_last, m_ready, m_valid, error = combinations(beats, 2, 2, 2, 2, 2)
    cases = part.cases(len(beat))
    part.counter(cases, "beat", beat, beats)
    part.counter(cases, "place", beat % places, places)
    part.give(cases, s_valid=s_valid, s_last=s_last, m_ready=m_ready, m_valid=m_valid, frame_error=error)
    ready = (m_valid == 0) | (m_ready == 1)
    take = ready & (s_valid == 1)
    part.expect(cases, s_ready=ready)
    part.expect_bits(cases, "thresholds' address", memory.read_address, beat % places)
    after = (beat + take) % beats
    part.counts(cases, "beat", after, beats)
    part.counts(cases, "place", after % places, places)
    part.follows(cases, m_valid=np.where(ready, s_valid, m_valid))
    part.follows(cases, frame_error=error | (take & (s_last != (beat == beats - 1))))

    stored = np.array([[(word >> (i * (width + 1))) & ((2 << width) - 1) for i in range(memory.width // (width + 1))]
                       for word in memory.contents]).reshape(places, -1, levels)  # fmt: skip
    pixels, limits = combinations(1 << width, 2 << width)
    if levels <= ALL_SUBSETS:
        reached = np.stack(combinations(*[2] * levels))
    elif (np.diff(stored, axis=-1) >= 0).all():
        # Thresholds in ascending order are reached from the first one on.
        reached = (np.arange(levels)[:, None] < np.arange(levels + 1)).astype(np.int64)
    else:
        raise Refuted(f"{part.prefix}: thresholds are not in ascending order")
    lane, level_width = len(part.word("s_data")) // plan.values, levels.bit_length()
    for v in range(plan.values):
        own = 0 if stored.shape[1] == 1 else v * levels
        for j in range(levels):
            cases = part.cases(len(pixels))
            cases.give(part.word("s_data")[v * lane : v * lane + width], pixels)
            cases.give(fields(memory.read_data, own + j, width + 1), limits)
            part.expect_bits(cases, "reached", (part.word(f"value[{v}].reached")[j],), pixels >= limits)
        cases = part.cases(reached.shape[1])
        for bit, values in zip(part.word(f"value[{v}].reached"), reached, strict=True):
            cases.give([bit], values)
        part.expect_bits(cases, "level", fields(part.word("levels"), v, level_width), reached.sum(axis=0))
    part.moves("m_data", part.after("m_data"), part.word("levels"), s_valid=1, m_valid=0)
    part.moves("m_data", part.after("m_data"), part.word("levels"), s_valid=1, m_valid=1, m_ready=1)
    part.moves("m_data", part.after("m_data"), part.word("m_data"), m_valid=1, m_ready=0)
