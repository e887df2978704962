"""Sliding windows: rows in a ring, and the words under the kernel, one by one (`window`) or all at once (`patch`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import mul

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.netlist import Cases, Memory, Refuted
from bnnhw.hw_export.parts.part import Numbers, Part, combinations, fields
from bnnhw.hw_export.stage import Stage


class _Ring:
    """Rows in a ring, in the terms of the stream. An image's row y lies in slot (phase + y) modulo ROWS; phase moves on
    by IN_H with each image. kept(r): the oldest row of the image that output row r or a later one needs, IN_H after
    the last."""

    def __init__(self, stage: Stage):
        self.rows = stage.ring_rows
        self.in_h, self.in_w = stage.grid
        self.out_h = 1 if stage.whole else stage.made[1]
        self.kernel, self.stride, self.pad = stage.window[0], stage.stride[0], stage.padding[0]

    def top(self, row: Numbers) -> Numbers:
        return row * self.stride - self.pad

    def kept(self, row: Numbers) -> Numbers:
        return np.where(row >= self.out_h, self.in_h, np.maximum(self.top(row), 0))

    def needed(self, row: Numbers) -> Numbers:
        """Rows, from the kept one on, without which an output row must wait: under its kernel, or let go after it."""
        below = np.minimum(self.top(row) + self.kernel, self.in_h)
        needed: Numbers = np.maximum(below, self.kept(row + 1)) - self.kept(row)
        return needed


def _rows(window: Part, ring: _Ring) -> None:
    """State: (phase, output row, words held). A row is let go when an output row is done, a word is taken while a slot
    is free: no word that is still needed is overwritten."""
    part = window.inside("rows")
    shared = {"ready": "rows_ready"} | {name: name for name in ("row_done", "take", "s_valid", "s_ready")}
    for inner, outer in shared.items():
        if part.word(inner) != window.word(outer):
            raise Refuted(f"{part.prefix}.{inner} is not {window.prefix}.{outer}")
    rows, in_w = ring.rows, ring.in_w
    sizes = {"in_column": in_w, "in_slot": rows, "row": ring.out_h}
    part.starts(["held_count", "oldest_slot"], sizes)
    phase, row, words, s_valid, done = combinations(rows, ring.out_h, rows * in_w + 1, 2, 2)
    ready = words // in_w >= ring.needed(row)
    possible = (done == 0) | ready
    phase, row, words, s_valid, done, ready = (a[possible] for a in (phase, row, words, s_valid, done, ready))
    held, kept = words // in_w, ring.kept(row)
    cases = part.cases(len(phase))
    part.give(cases, s_valid=s_valid, row_done=done, held_count=held, oldest_slot=(phase + kept) % rows)
    part.counter(cases, "in_column", words % in_w, in_w)
    part.counter(cases, "in_slot", (phase + kept + held) % rows, rows)
    part.counter(cases, "row", row, ring.out_h)
    take = (s_valid == 1) & (held < rows)
    part.expect(cases, s_ready=held < rows, take=take, ready=ready)
    if (~ready & (held == rows)).any():
        raise Refuted(f"{part.prefix} can wait for rows that it has no room for")

    released = np.where(done == 1, ring.kept(row + 1) - kept, 0)
    words_after = words + take - released * in_w
    row_after, phase_after = row + done, phase
    image_done = row_after == ring.out_h
    phase_after = np.where(image_done, phase + ring.in_h, phase)
    row_after = np.where(image_done, 0, row_after)
    oldest = phase_after + ring.kept(row_after)
    if (words_after < 0).any() or (words_after > rows * in_w).any():
        raise Refuted(f"{part.prefix} lets go of rows that it does not hold")
    part.follows(cases, held_count=words_after // in_w, oldest_slot=oldest % rows)
    part.counts(cases, "in_column", words_after % in_w, in_w)
    part.counts(cases, "in_slot", (oldest + words_after // in_w) % rows, rows)
    part.counts(cases, "row", row_after, ring.out_h)


def window(part: Part, stage: Stage) -> None:
    """Steps through (column, pass, tap row, tap column) of an output row; each step reads the word under the tap."""
    ring = _Ring(stage)
    _rows(part, ring)
    kernel_h, kernel_w = stage.window
    out_w = 1 if stage.whole else stage.made[2]
    sizes = {"column": out_w, "pass": stage.groups, "tap_row": kernel_h, "tap_column": kernel_w}
    part.starts(["m_valid"], sizes)
    steps = reduce(mul, sizes.values())
    place, rows_ready, m_valid, m_ready = combinations(steps, 2, 2, 2)
    cases = part.cases(len(place))
    _nested(part, cases, place, sizes, part.counter)
    part.give(cases, rows_ready=rows_ready, m_valid=m_valid, m_ready=m_ready)
    free = (m_valid == 0) | (m_ready == 1)
    step = free & (rows_ready == 1)
    part.expect(cases, step=step, row_done=step & (place == steps - 1))
    _nested(part, cases, (place + step) % steps, sizes, part.counts)
    part.follows(cases, m_valid=np.where(free, step, m_valid))

    phase, row, column, tap_row, tap_column = combinations(ring.rows, ring.out_h, out_w, kernel_h, kernel_w)
    cases = part.cases(len(phase))
    cases.give(part.word("rows.oldest_slot"), (phase + ring.kept(row)) % ring.rows)
    part.inside("rows").counter(cases, "row", row, ring.out_h)
    for name, values in (("column", column), ("tap_row", tap_row), ("tap_column", tap_column)):
        part.counter(cases, name, values, sizes[name])
    y = ring.top(row) + tap_row
    x = column * stage.stride[1] - stage.padding[1] + tap_column
    on_image = (y >= 0) & (y < ring.in_h) & (x >= 0) & (x < ring.in_w)
    if (on_image & ((y < ring.kept(row)) | (y >= ring.kept(row) + ring.needed(row)))).any():
        raise Refuted(f"{part.prefix} reads rows that may not be there")
    memory = part.memory("ring")
    if memory.size != ring.rows * ring.in_w:
        raise Refuted(f"{part.prefix} has room for {memory.size} words")
    part.give(cases, step=1)
    if any(stage.padding):
        part.follows(cases, padding=~on_image)
    elif not on_image.all():
        raise Refuted(f"{part.prefix} needs padding that it does not have")
    part.expect_bits(cases, "read address", memory.read_address, (phase + y) % ring.rows * ring.in_w + x, on_image)

    slot, in_column, take = combinations(ring.rows, ring.in_w, 2)
    cases = part.cases(len(slot))
    part.inside("rows").counter(cases, "in_slot", slot, ring.rows)
    part.inside("rows").counter(cases, "in_column", in_column, ring.in_w)
    part.give(cases, take=take)
    part.expect_bits(cases, "write address", memory.write_address, slot * ring.in_w + in_column, take == 1)
    _writes(part, cases, memory, take)
    part.moves("word", part.after("word"), memory.read_data, step=1)
    part.moves("word", part.after("word"), part.word("word"), step=0)
    if not any(stage.padding):
        part.moves("m_data", part.word("m_data"), part.word("word"))
        return
    part.moves("padding", part.after("padding"), part.word("padding"), step=0)
    part.moves("m_data", part.word("m_data"), part.word("word"), padding=0)
    part.moves("m_data", part.word("m_data"), ("0",) * len(part.word("word")), padding=1)


def patch(part: Part, stage: Stage) -> None:
    """Sweeps an output row's kernel over its columns; a column of words is read, then shifted in from the right."""
    ring = _Ring(stage)
    _rows(part, ring)
    kernel_h, kernel_w = stage.window
    stride, rows = stage.stride[1], ring.rows
    swept_count = (stage.made[2] - 1) * stride + kernel_w
    sizes = {"swept": swept_count, "phase": stride}
    part.starts(["m_valid", "read"], sizes)

    def complete(swept: Numbers) -> npt.NDArray[np.bool_]:
        whole: npt.NDArray[np.bool_] = (swept >= kernel_w - 1) & ((swept - kernel_w + 1) % stride == 0)
        return whole

    def phase_of(swept: Numbers) -> Numbers:
        return np.where(swept < kernel_w - 1, 0, (swept - kernel_w + 1) % stride)

    swept, rows_ready, m_valid, m_ready, read, read_complete = combinations(swept_count, 2, 2, 2, 2, 2)
    cases = part.cases(len(swept))
    part.counter(cases, "swept", swept, swept_count)
    part.counter(cases, "phase", phase_of(swept), stride)
    part.give(cases, rows_ready=rows_ready, m_valid=m_valid, m_ready=m_ready, read=read, read_complete=read_complete)
    go = (m_valid == 0) | (m_ready == 1)
    step = go & (rows_ready == 1)
    part.expect(cases, go=go, step=step, row_done=step & (swept == swept_count - 1))
    after = (swept + step) % swept_count
    part.counts(cases, "swept", after, swept_count)
    part.counts(cases, "phase", phase_of(after), stride)
    part.follows(cases, read=np.where(go, step, read), m_valid=np.where(go, read & read_complete, m_valid))
    part.follows(cases, read_complete=np.where(step, complete(swept), read_complete))

    phase, row, swept = combinations(rows, ring.out_h, swept_count)
    x = swept - stage.padding[1]
    on_column = (x >= 0) & (x < ring.in_w)
    cases = part.cases(len(phase))
    cases.give(part.word("rows.oldest_slot"), (phase + ring.kept(row)) % rows)
    part.inside("rows").counter(cases, "row", row, ring.out_h)
    part.counter(cases, "swept", swept, swept_count)
    part.give(cases, step=1)
    for tap in range(kernel_h):
        y = ring.top(row) + tap
        on_image = on_column & (y >= 0) & (y < ring.in_h)
        if (on_image & ((y < ring.kept(row)) | (y >= ring.kept(row) + ring.needed(row)))).any():
            raise Refuted(f"{part.prefix} reads rows that may not be there")
        part.follows(cases, on_image, **{f"tap[{tap}].place": (phase + y) % rows})
        part.follows(cases, **{f"tap[{tap}].padding": ~on_image})
    slot, in_column, take = combinations(rows, ring.in_w, 2)
    writes = part.cases(len(slot))
    part.inside("rows").counter(writes, "in_slot", slot, rows)
    part.inside("rows").counter(writes, "in_column", in_column, ring.in_w)
    part.give(writes, take=take)
    for s in range(rows):
        memory = part.memory(f"row_memory[{s}].memory")
        if memory.size != ring.in_w:
            raise Refuted(f"{part.prefix} has rows of {memory.size} words")
        part.expect_bits(cases, "read address", memory.read_address, x, on_column)
        chosen = (take == 1) & (slot == s)
        part.expect_bits(writes, "write address", memory.write_address, in_column, chosen)
        _writes(part, writes, memory, chosen, **{"rows.count_in_slot.counting.count": s})
        word = f"row_memory[{s}].word"
        part.moves(word, part.after(word), memory.read_data, step=1)
        part.moves(word, part.after(word), part.word(word), step=0)

    data, after_data = part.word("m_data"), part.after("m_data")
    width = len(data) // (kernel_h * kernel_w)
    for tap in range(kernel_h):
        first, last = tap * kernel_w, (tap + 1) * kernel_w - 1
        shifted, source = after_data[first * width : last * width], data[(first + 1) * width : (last + 1) * width]
        part.moves("m_data", shifted, source, go=1, read=1)
        entering = fields(after_data, last, width)
        for s in range(rows):
            chosen = {f"tap[{tap}].place": s, f"tap[{tap}].padding": 0, "go": 1, "read": 1}
            part.moves("m_data", entering, part.word(f"row_memory[{s}].word"), **chosen)
        part.moves("m_data", entering, ("0",) * width, **{f"tap[{tap}].padding": 1, "go": 1, "read": 1})
        for name in ("place", "padding"):
            held = f"tap[{tap}].{name}"
            part.moves(held, part.after(held), part.word(held), step=0)
    part.moves("m_data", after_data, data, go=0)
    part.moves("m_data", after_data, data, read=0)


def _nested(
    part: Part, cases: Cases, place: Numbers, sizes: dict[str, int], say: Callable[[Cases, str, Numbers, int], None]
) -> None:
    """Say what counters in loops hold in the `place`-th step; the last one is the innermost."""
    for name, count in reversed(sizes.items()):
        say(cases, name, place % count, count)
        place = place // count


def _writes(part: Part, cases: Cases, memory: Memory, take: npt.NDArray[np.generic], **chosen: int) -> None:
    """All bits of the word that comes in are written where `take` says so, and no others ever."""
    for enable in memory.write_enable:
        part.expect_bits(cases, "write enable", (enable,), take)
    part.moves("written word", memory.write_data, part.word("s_data"), take=1, **chosen)
