"""Logic depth: how many lookup tables lie in a row between registers, on the longest path of synthesized cells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

WRITTEN = {"WE", "WCLK", "CLK", "CE", "D", "DI", "DIA", "DIB", "DIC", "DID", "ADDRD", "WAD", "WRE", "WCK"}
"""Pins of lookup tables used as memory that do not lead to an output within the clock."""


def longest_path(
    module: dict[str, Any], tables: Collection[str], memories: Collection[str], ends: tuple[str, ...]
) -> int:
    """Cells of the kinds ``tables`` and ``memories`` in a row. All else (carries, multiplexers between tables, buffers)
    is passed through and not counted. ValueError where cells lead to themselves without a register.

    module: of Yosys' JSON. ends: what the names of kinds begin with that paths end at.
    """
    drivers: dict[int, dict[str, Any]] = {}
    for cell in module["cells"].values():
        if not cell["type"].startswith((*ends, "$")):
            for pin, way in cell["port_directions"].items():
                if way == "output":
                    drivers |= {bit: cell for bit in cell["connections"].get(pin, ()) if isinstance(bit, int)}
    lengths: dict[int, int] = {}
    for net in drivers:
        pending = [net]
        while pending:
            cell = drivers[pending[-1]]
            kind = cell["type"]
            before = {
                bit
                for pin, way in cell["port_directions"].items()
                if way == "input" and not (kind in memories and pin in WRITTEN)
                for bit in cell["connections"].get(pin, ())
                if bit in drivers
            }
            if missing := [bit for bit in before if bit not in lengths]:
                pending += missing
                if len(pending) > len(drivers):
                    raise ValueError("cells that lead to themselves without a register")
                continue
            counts = kind in tables or kind in memories
            lengths[pending.pop()] = counts + max((lengths[bit] for bit in before), default=0)
    return max(lengths.values(), default=0)
