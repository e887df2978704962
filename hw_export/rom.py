"""Where a constant memory goes: into lookup tables or into block memory.

In logic, a column of the memory is a function of the address: a lookup table for 64 words, where columns that are
constant, alike or opposite cost nothing. Weights are sparse and have more words than that, and Yosys' optimization of
logic then takes twice as many tables and more (counted: 8.4 a column of 216 words, a tenth of them 1, where 4 would
do). So block memory is asked for as soon as it is the cheaper one by this count; otherwise synthesis chooses.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and their bits of half a block memory (18 Kbit)."""
HALF = 129.0
"""Lookup tables that half a block memory is worth: Yosys' figure; devices have about 200 for each."""
MANY = 2.2
"""Lookup tables of a function where there are more than 64 words, for each 64."""


def halves(words: int, bits: int) -> int:
    """Block memory halves that a memory takes."""
    return max(1, min(ceil(words / depth) * ceil(bits / width) for depth, width in SHAPES))


def varying(columns: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The columns of [word, bit] that are not constant: what a memory has to hold."""
    return columns[:, (columns != columns[:1]).any(axis=0)]


def functions(columns: npt.NDArray[np.bool_]) -> int:
    """A memory [word, bit] as six-input functions of the address that are not constant, alike or opposite."""
    words = len(columns)
    columns = np.unique(columns ^ columns[:1], axis=1)
    padded = np.zeros((ceil(words / 64) * 64, columns.shape[1]), bool)
    padded[:words] = columns
    chunks = padded.reshape(ceil(words / 64), 64, columns.shape[1]).transpose(2, 0, 1)
    changing = (chunks != chunks[:, :, :1]).any(axis=2)
    return len(np.unique((chunks ^ chunks[:, :, :1])[changing], axis=0))


def in_block(columns: npt.NDArray[np.bool_]) -> bool:
    """Whether a memory [word, bit] goes into block memory."""
    words, bits = varying(columns).shape
    if not bits:
        return False
    block = halves(words, bits) * HALF
    # Yosys by itself counts a table for each 64 bits.
    return words * bits / 64 > block or functions(columns) * (MANY if words > 64 else 1.0) > block


def style(columns: npt.NDArray[np.bool_]) -> str:
    """The rom_style that the memory is given in Verilog."""
    return "block" if in_block(columns) else "auto"
