"""A built simulation and its runs: the bench's files go in and come out here (`bench.hpp` says what they hold).

What a simulator builds lives in a cache folder beside the export, named by the hash of what went into it, and is built
again only when that changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.emit import HardwareError
from bnnhw.hw_export.sim.backend import BENCH, BackEnd, Design

Recording = npt.NDArray[np.uint32]
"""The words that passed on a stream, each in whole 32-bit words, lowest first."""


class Stopped(HardwareError):
    """A simulation that broke off. recorded: what had passed on the streams until then."""

    def __init__(self, message: str, recorded: list[Recording]) -> None:
        super().__init__(message)
        self.recorded = recorded


@dataclass(frozen=True)
class Response:
    """beats: int32[N, beats], what the output stream gave for each image. latency, last: int64[N], clocks from an
    image's first value to its last beat, and the clock of that. recorded: of the streams that were asked for."""

    beats: npt.NDArray[np.int32]
    latency: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    recorded: list[Recording]


@dataclass(frozen=True)
class Program:
    """A built simulation. command: what runs it, without the bench's own arguments. beats: of a result. together, lane:
    values of a beat that goes in and bits for each. patience: clocks without a handshake after which it hangs."""

    command: list[str]
    directory: Path
    beats: int
    together: int
    lane: int
    patience: int
    waves: Path | None

    def run(self, values: npt.NDArray[np.uint32], seed: int, streams: list[str]) -> Response:
        """Send images [N, values] through the hardware. seed: of random stalls, 0 for none. streams: to be recorded.

        Stopped where the hardware hangs or breaks a stream's rule.
        """
        header = np.array([*values.shape, self.beats, self.together, self.lane, self.patience], "<u4")
        with tempfile.TemporaryDirectory() as scratch:
            stimulus, response = Path(scratch) / "stimulus", Path(scratch) / "response"
            stimulus.write_bytes(header.tobytes() + values.astype("<u4").tobytes())
            command = [*self.command, str(stimulus), str(response), str(seed), str(self.waves or "-"), *streams]
            # Memory files are named relative to the hardware's folder.
            done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
            files = [Path(f"{response}.{name}") for name in streams]
            recorded = [np.fromfile(file, "<u4") if file.exists() else np.zeros(0, np.uint32) for file in files]
            if done.returncode != 0:
                said = (done.stderr or done.stdout).strip()[-2000:]
                raise Stopped(f"the simulation of {self.directory} failed: {said}", recorded)
            told = np.fromfile(response, "<i4").reshape(len(values), self.beats + 2)
        return Response(told[:, :-2], told[:, -2].astype(np.int64), told[:, -1].astype(np.int64), recorded)


def built(back_end: BackEnd, design: Design, hashes: dict[str, str]) -> Path:
    """The folder with what ``back_end`` built for ``design``. hashes: of the export's files, by name."""
    key = hashlib.sha256(f"{back_end.name} {design.waves}".encode())
    for source in sorted(one.name for one in BENCH.iterdir() if one.is_file()):
        key.update((BENCH / source).read_bytes())
    for name in (*design.sources, *(design.memories if back_end.memories_inside else ())):
        key.update(hashes[name].encode())
    cache = design.directory.parent / f".{design.directory.name}.simulation"
    folder = cache / key.hexdigest()[:24]
    if folder.exists():
        return folder
    cache.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    try:
        back_end.build(design, fresh)
        fresh.replace(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return folder
