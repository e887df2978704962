"""Icarus Verilog, an interpreter that knows bits without a value: slow, but what is never reset or written shows.

Version 11 is what the RTL is held to. It has no PyPI package: Debian calls it `iverilog`.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from bnnhw.hw_export.emit import HardwareError
from bnnhw.hw_export.sim.backend import BENCH, BackEnd, Design, call, compile_bench

WAVES = """\
`timescale 1ns / 1ns
module waves;
  reg [8*4096-1:0] path;
  initial
    if ($value$plusargs("waves=%s", path)) begin
      $dumpfile(path);
      $dumpvars(0, bnn_top);
    end
endmodule
"""


def _tool(name: str) -> str:
    """One of Icarus' programs; HardwareError where it is not installed."""
    if (found := shutil.which(name)) is None:
        raise HardwareError(f"Icarus ({name}) is missing: install iverilog (Debian: apt install iverilog)")
    return found


def _build(design: Design, folder: Path) -> None:
    tops, sources = ["-s", "bnn_top"], design.paths
    if design.waves:
        (folder / "waves.v").write_text(WAVES)
        tops, sources = [*tops, "-s", "waves"], [*sources, "waves.v"]
    call([_tool("iverilog"), "-g2012", *tops, "-o", "hardware.vvp", *sources], folder, "Icarus")
    flags = shlex.split(call([_tool("iverilog-vpi"), "--cflags"], folder, "Icarus"))
    includes = [flag for flag in flags if flag.startswith("-I")]
    compile_bench(["-O2", "-fPIC", "-shared", *includes, str(BENCH / "icarus.cpp"), "-o", "bench.vpi"], folder)


def _command(folder: Path, waves: Path | None) -> list[str]:
    command = [_tool("vvp"), "-n", "-M", str(folder), "-m", "bench", str(folder / "hardware.vvp")]
    if waves is None:
        return command
    return [*command, f"+waves={waves}", *(["-fst"] if waves.suffix == ".fst" else [])]


ICARUS = BackEnd("icarus", ("vcd", "fst"), False, _build, _command)
