"""What a simulator has to offer: how a hardware folder is built for it, and the command that runs images.

All of them run one test bench, `bench.hpp`, through an adapter of a few lines, so the random stalls, the clock counts
and the files that go in and out are the same. Each module beside this one makes one `BackEnd`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bnnhw.hw_export.emit import HardwareError

BENCH = files("bnnhw.hw_export") / "sim"
"""Where the test bench's sources are."""


@dataclass(frozen=True)
class Design:
    """What is simulated. directory: of the export. sources, memories: names of its SystemVerilog and memory files.
    waves: "vcd" or "fst" where all signals' changes shall be written, else ""."""

    directory: Path
    sources: tuple[str, ...]
    memories: tuple[str, ...]
    waves: str = ""

    @property
    def paths(self) -> list[str]:
        return [str(self.directory / name) for name in self.sources]


@dataclass(frozen=True)
class BackEnd:
    """A simulator.

    waves: the formats that it writes. memories_inside: whether a build holds the memories' contents; otherwise they are
    read when it runs, in the export's folder. build: makes a program for a design in an empty folder; HardwareError
    where a tool is missing or refuses. command: what runs that program and, where it was built for that, writes the
    waves; to be followed by the bench's arguments.
    """

    name: str
    waves: tuple[str, ...]
    memories_inside: bool
    build: Callable[[Design, Path], None]
    command: Callable[[Path, Path | None], list[str]]


def call(command: list[str], where: Path, name: str, environment: dict[str, str] | None = None) -> str:
    """Run a tool in ``where`` and return what it printed; HardwareError with its own words where it fails."""
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HardwareError(f"{name} refused the hardware in {where}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def compiler() -> list[str]:
    """The system's C++ compiler: $CXX or c++; HardwareError where it is missing."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(command[0]) is None:
        raise HardwareError(f"the C++ compiler {command[0]} is missing: install one (Debian: apt install g++)")
    return command


def compile_bench(options: list[str], where: Path) -> None:
    """Compile the bench's sources, which ``options`` name."""
    call([*compiler(), "-std=c++17", f"-I{BENCH}", *options], where, "the C++ compiler")
