"""One part of an export's netlist, and the claims that several kinds of parts share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.netlist import Bit, Cases, Memory, Netlist, Refuted, show_moves

Numbers = npt.NDArray[np.int64]
Words = list[tuple[tuple[Bit, ...], int]]


def combinations(*ranges: int | list[int]) -> list[Numbers]:
    """Every combination of the ranges' values, as parallel arrays."""
    axes = [np.arange(r) if isinstance(r, int) else np.asarray(r) for r in ranges]
    return [axis.ravel().astype(np.int64) for axis in np.meshgrid(*axes, indexing="ij")]


class Part:
    """Names of one part's nets, and the claims that several kinds of parts share."""

    def __init__(self, netlist: Netlist, prefix: str, tally: list[int] | None = None):
        self.netlist = netlist
        self.prefix = prefix
        self.tally = [0] if tally is None else tally

    def inside(self, name: str) -> Part:
        """A part of this part; its cases count for the whole."""
        return Part(self.netlist, f"{self.prefix}.{name}", self.tally)

    def word(self, name: str) -> tuple[Bit, ...]:
        return self.netlist.word(f"{self.prefix}.{name}")

    def after(self, name: str) -> tuple[Bit, ...]:
        return self.netlist.after(f"{self.prefix}.{name}")

    def memory(self, name: str) -> Memory:
        full = f"{self.prefix}.{name}"
        if full not in self.netlist.memories:
            raise Refuted(f"there is no memory {full}")
        return self.netlist.memories[full]

    def cases(self, count: int, reset: int = 0) -> Cases:
        return Cases(self.netlist, count).give(self.netlist.word("rst"), reset)

    def plain_cases(self, count: int) -> Cases:
        """Cases in which reset, too, is unknown."""
        return Cases(self.netlist, count)

    def give(self, cases: Cases, **words: npt.ArrayLike) -> None:
        for name, values in words.items():
            cases.give(self.word(name), values)

    def counter(self, cases: Cases, name: str, values: npt.ArrayLike, count: int) -> None:
        """Give a counter's value; one that counts to 1 has no register."""
        if count > 1:
            cases.give(self.word(f"count_{name}.counting.count"), values)

    def expect(self, cases: Cases, known: npt.ArrayLike | None = None, **words: npt.ArrayLike) -> None:
        for name, values in words.items():
            self.tally[0] += cases.expect(f"{self.prefix}.{name}", self.word(name), values, known)

    def expect_bits(
        self, cases: Cases, what: str, bits: tuple[Bit, ...], values: npt.ArrayLike, known: npt.ArrayLike | None = None
    ) -> None:
        self.tally[0] += cases.expect(f"{self.prefix}.{what}", bits, values, known)

    def follows(self, cases: Cases, known: npt.ArrayLike | None = None, **words: npt.ArrayLike) -> None:
        """What registers hold after the clock."""
        for name, values in words.items():
            self.tally[0] += cases.expect(f"{self.prefix}.{name} after the clock", self.after(name), values, known)

    def counts(self, cases: Cases, name: str, values: npt.ArrayLike, count: int) -> None:
        """What a counter holds after the clock."""
        if count > 1:
            self.follows(cases, **{f"count_{name}.counting.count": values})

    def moves(self, what: str, target: tuple[Bit, ...], source: tuple[Bit, ...], **given: int) -> None:
        """Each bit of `target` is that of `source`, without reset, where these words have these values."""
        words: Words = [(self.netlist.word("rst"), 0)]
        self.moves_where(what, target, source, words + [(self.word(name), value) for name, value in given.items()])

    def moves_where(self, what: str, target: tuple[Bit, ...], source: tuple[Bit, ...], words: Words) -> None:
        """The same where any nets have the values that go with them."""
        self.tally[0] += show_moves(self.netlist, f"{self.prefix}.{what}", target, source, words)

    def starts(self, registers: list[str], counters: dict[str, int]) -> None:
        """Reset makes these registers 0, whatever they hold."""
        cases = self.cases(1, reset=1)
        for name in registers:
            self.follows(cases, **{name: 0})
        for name, count in counters.items():
            self.counts(cases, name, 0, count)


def fields(bits: tuple[Bit, ...], place: int, width: int) -> tuple[Bit, ...]:
    return bits[place * width : (place + 1) * width]
