"""Where a constant memory goes: into lookup tables or into block memory.

In logic, a column of the memory is a function of the address: a lookup table for each 64 words and what chooses among
these, where columns that are constant, alike, opposite or a bit of the address cost nothing. Synthesis is told so
(``constant_memory.v``), and the cost model counts the same. Block memory is asked for as soon as it is the cheaper one;
otherwise synthesis chooses.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and their bits of half a block memory (18 Kbit)."""
HALF = 129.0
"""Lookup tables that half a block memory is worth: Yosys' figure; devices have about 200 for each."""


def block(words: int, bits: int) -> tuple[int, int]:
    """What a memory takes in block memory: halves of one, and lookup tables that join their outputs where it has more
    words than one of them."""
    made = []
    for depth, width in SHAPES:
        banks = ceil(words / depth)
        made.append((max(1, banks * ceil(bits / width)), bits * choices(banks)))
    return min(made, key=lambda one: one[0] * HALF + one[1])


def choices(number: int) -> int:
    """Lookup tables that choose one bit of a number of them: four at a time."""
    return ceil((number - 1) / 3)


def varying(columns: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The columns of [word, bit] that are not constant: what a memory has to hold."""
    return columns[:, (columns != columns[:1]).any(axis=0)]


def tables(columns: npt.NDArray[np.bool_]) -> int:
    """Lookup tables of six inputs that a memory [word, bit] is in logic."""
    words = len(columns)
    columns = np.unique(columns ^ columns[:1], axis=1)
    padded = np.zeros((1 << (words - 1).bit_length(), columns.shape[1]), bool)
    padded[:words] = columns
    if len(padded) < 64:
        padded = np.tile(padded, (64 // len(padded), 1))
    banks = len(padded) // 64
    shaped = padded.reshape(banks, 64, -1).transpose(2, 0, 1)
    functions = (shaped ^ shaped[:, :, :1]).reshape(-1, 64)
    free = np.vstack([np.zeros(64, bool), (np.arange(64) >> np.arange(6)[:, None] & 1).astype(bool)])
    needed = len(np.unique(np.vstack([functions, free]), axis=0)) - len(free)
    chosen = int((shaped != shaped[:, :1]).any(axis=(1, 2)).sum())
    return needed + chosen * choices(banks)


def in_block(columns: npt.NDArray[np.bool_]) -> bool:
    """Whether a memory [word, bit] goes into block memory."""
    words, bits = varying(columns).shape
    if not bits:
        return False
    # Yosys by itself counts a table for each 64 bits.
    return bool(max(words * bits / 64, tables(columns)) > block(words, bits)[0] * HALF)


def style(columns: npt.NDArray[np.bool_]) -> str:
    """The rom_style that the memory is given in Verilog."""
    return "block" if in_block(columns) else "auto"
