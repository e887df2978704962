"""Which instructions the kernels use: the best this processor has, unless told otherwise.

Every choice gives the same results, so this is for measuring and for testing all of them on one machine. The choice is
one for the whole process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bnnhw.kernels import _cpu


def available() -> tuple[str, ...]:
    """Instruction sets this processor can run, best first; the last is always ``portable``."""
    return tuple(_cpu.instruction_sets())


def selected() -> str:
    """The one in use."""
    return _cpu.instruction_set()


def multiplies_bytes() -> bool:
    """Whether the one in use multiplies bytes; otherwise it counts bits."""
    return _cpu.multiplies_bytes()


def select(name: str) -> None:
    """Use ``name`` from now on; ValueError if this processor cannot."""
    if not _cpu.select_instruction_set(name):
        raise ValueError(f"this processor cannot run {name!r}: choose one of {', '.join(available())}")


@contextmanager
def using(name: str) -> Iterator[None]:
    """Use ``name`` inside a ``with`` block."""
    before = selected()
    select(name)
    try:
        yield
    finally:
        select(before)
