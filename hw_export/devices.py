"""What well-known devices have: lookup tables and block memories of 36 Kbit, from the makers' product tables.

A plan may take USABLE of the lookup tables: placement and routing fail long before all are used.
"""

from __future__ import annotations

from bnnhw.hw_export.folding import Budget

USABLE = 0.7

DEVICES = {
    "xc7a35t": Budget(20_800, 50),
    "xc7a100t": Budget(63_400, 135),
    "xc7z010": Budget(17_600, 60),
    "xc7z020": Budget(53_200, 140),
    "xc7z045": Budget(218_600, 545),
    "xc7k325t": Budget(203_800, 445),
}
"""Artix-7, Zynq-7000 (the PYNQ-Z1 has a 7z020, the ZC706 a 7z045) and Kintex-7."""


def budget(device: str) -> Budget:
    """What a plan may take of ``device``; ValueError where it is not known."""
    if device not in DEVICES:
        raise ValueError(f"no device {device!r}: choose one of {', '.join(DEVICES)}, or give --max-luts")
    whole = DEVICES[device]
    return Budget(USABLE * whole.lookup_tables, whole.block_memories)
