"""Run the exported hardware in a simulator and compare every score and class with reference inference.

The simulators stand in `sim/`, one module each. What one builds lives in a cache folder beside the export, named by the
hash of what went into it, and is built again only when that changes. Where a score is wrong, or on demand, every
layer's output is compared as well (`taps.py`), so that the first wrong bit has a name.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.emit import HardwareError, stream_values, verify_manifest
from bnnhw.hw_export.folding import Plan, stated
from bnnhw.hw_export.sim import BACK_ENDS, BackEnd, Design
from bnnhw.hw_export.sim.backend import BENCH
from bnnhw.hw_export.taps import WrongValue, first_wrong, streams
from bnnhw.model import reference

IMAGES_A_RUN = 250
SHOWN = 10
"""Mismatching images that a Simulation names."""
PATIENCE = 20
"""A simulation in which nothing moved for so many times an image's clocks in every stage will not end."""


@dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    images: compared, with all their scores and the class. mismatches: images where any of them differs; the first few
    are named in ``wrong``. latency: clocks from an image's first value to its class, mean and largest.
    cycles_per_image: mean clocks between the classes of successive images (a single image's latency).
    backpressure: seed of the random stalls. tapped: values of all layers that were compared, where that was asked for.
    first_wrong: the first of them that is wrong, known as soon as anything is.
    """

    simulator: str
    images: int
    mismatches: int
    wrong: tuple[int, ...]
    latency_mean: float
    latency_max: int
    cycles_per_image: float
    backpressure: int | None
    tapped: int | None
    first_wrong: WrongValue | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _build(back_end: BackEnd, design: Design, manifest: dict[str, Any]) -> Path:
    """The folder with what runs ``design``."""
    key = hashlib.sha256(f"{back_end.name} {design.waves}".encode())
    for source in sorted(one.name for one in BENCH.iterdir() if one.name.endswith((".cpp", ".hpp", ".py"))):
        key.update((BENCH / source).read_bytes())
    for name in (*design.sources, *(design.memories if back_end.memories_inside else ())):
        key.update(manifest["files"][name].encode())
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


@dataclass(frozen=True)
class _Runs:
    """A built simulation and what its runs have in common. command: without the bench's own arguments."""

    command: list[str]
    directory: Path
    plan: Plan
    lane: int
    waves: Path | None

    def run(
        self, pixels: npt.NDArray[np.integer], seed: int, tapped: bool
    ) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[np.uint32]]]:
        """The response int32[N, beats + 2] (the beats of the output stream, latency, clock of the last beat), and
        where ``tapped`` what passed on every stream."""
        model, plan = self.plan.model, self.plan
        values = stream_values(model, pixels)
        beats = model.classes + 1
        patience = PATIENCE * (len(plan.stages) + 2) * (plan.cycles + 100)
        header = np.array([len(values), values.shape[1], beats, plan.values, self.lane, patience], "<u4")
        names = [stream.name for stream in streams(plan)] if tapped else []
        with tempfile.TemporaryDirectory() as scratch:
            stimulus, response = Path(scratch) / "stimulus", Path(scratch) / "response"
            stimulus.write_bytes(header.tobytes() + values.astype("<u4").tobytes())
            command = [*self.command, str(stimulus), str(response), str(seed), str(self.waves or "-"), *names]
            # Memory files are named relative to the hardware's folder.
            done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
            files = [Path(f"{response}.{name}") for name in names]
            recorded = [np.fromfile(file, "<u4") if file.exists() else np.zeros(0, np.uint32) for file in files]
            if done.returncode == 0:
                return np.fromfile(response, "<i4").reshape(len(values), beats + 2), recorded
        if not tapped:
            # Once more, for the message to name what went wrong.
            return self.run(pixels, seed, True)
        _, found = first_wrong(plan, pixels, recorded, ended=False)
        said = (done.stderr or done.stdout).strip()[-2000:]
        where = f"; first wrong value: {found}" if found else "; no layer had given a wrong value before"
        raise HardwareError(f"the simulation of {self.directory} failed: {said}{where}")


def simulate(
    directory: Path,
    pixels: npt.NDArray[np.integer],
    backpressure: int | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    simulator: str = "verilator",
    taps: bool = False,
    waves: Path | None = None,
) -> Simulation:
    """Run images [N, C, H, W] through the hardware in ``directory`` and compare with reference inference.

    backpressure: seed (from 1) of random stalls on both streams; None keeps both streams ready. workers: simulations at
    the same time, each of some of the images. progress: told how many images were compared, each time some were.
    simulator: verilator, icarus or cxxrtl; all give the same result. taps: whether to compare every layer's output as
    well; that of the first wrong image's run is in any case. waves: a file *.vcd or *.fst for all signals' changes; the
    images then run one after the other.
    Refuses an export whose files are not those its manifest states.
    """
    if simulator not in BACK_ENDS:
        raise HardwareError(f"no simulator {simulator!r}: choose one of {', '.join(BACK_ENDS)}")
    back_end = BACK_ENDS[simulator]
    kind = "" if waves is None else waves.suffix.removeprefix(".")
    if waves is not None and kind not in back_end.waves:
        known = " or ".join(f"*.{one}" for one in back_end.waves)
        raise HardwareError(f"{simulator} writes no waves to {waves}: name a file {known}")
    # Simulations are built and run in folders of their own, so a relative path would lose its meaning.
    directory = Path(directory).resolve()
    model, manifest = verify_manifest(directory)
    if not len(pixels):
        raise HardwareError("no image to simulate: give at least one")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least 1 has to run")
    sources, memories = (
        tuple(sorted(name for name in manifest["files"] if name.endswith(end) and "/" not in name))
        for end in (".sv", ".mem")
    )
    folder = _build(back_end, Design(directory, sources, memories, kind), manifest)
    shown = None if waves is None else waves.resolve()
    plan = stated(model, manifest["values"], manifest["stages"])
    runs = _Runs(back_end.command(folder, shown), directory, plan, manifest["lane"], shown)
    # Several pieces a worker: progress is seen, and all of them end at about the same time.
    number = 1 if waves is not None else min(len(pixels), max(1, len(pixels) // IMAGES_A_RUN))
    pieces = np.array_split(np.arange(len(pixels)), number)

    def seed(piece: npt.NDArray[np.int64]) -> int:
        """Each run stalls in a way of its own."""
        return 0 if backpressure is None else backpressure + int(piece[0])

    def located(piece: npt.NDArray[np.int64], recorded: list[npt.NDArray[np.uint32]]) -> tuple[int, WrongValue | None]:
        compared, found = first_wrong(plan, pixels[piece], recorded)
        return compared, found and replace(found, image=found.image + int(piece[0]))

    def compare(piece: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int, WrongValue | None]:
        """[images of the piece, 3]: whether it is wrong, its latency, the clock of its last beat; and of the taps how
        many values were compared and the first wrong one."""
        some = pixels[piece]
        scores = reference.scores(model, some)
        expected = np.concatenate([scores, reference.classify(scores)[:, None]], axis=1)
        response, recorded = runs.run(some, seed(piece), taps)
        wrong = (response[:, :-2] != expected).any(axis=1)
        told = np.stack([wrong, response[:, -2], response[:, -1]], axis=1).astype(np.int64)
        return told, *(located(piece, recorded) if taps else (0, None))

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
    answers = [told for told, _, _ in found]
    wrong_value = next((value for _, _, value in found if value is not None), None)
    first = next((piece for piece, told in zip(pieces, answers, strict=True) if told[:, 0].any()), None)
    if first is not None and not taps:
        _, wrong_value = located(first, runs.run(pixels[first], seed(first), True)[1])
    summary = _summary(answers, simulator, backpressure)
    return replace(summary, tapped=sum(n for _, n, _ in found) if taps else None, first_wrong=wrong_value)


def _summary(found: list[npt.NDArray[np.int64]], simulator: str, backpressure: int | None) -> Simulation:
    wrong, latency = (np.concatenate([piece[:, column] for piece in found]) for column in (0, 1))
    clocks = sum(int(piece[-1, 2] - piece[0, 2]) for piece in found)
    intervals = sum(len(piece) - 1 for piece in found)
    return Simulation(
        simulator=simulator,
        images=len(wrong),
        mismatches=int(wrong.sum()),
        wrong=tuple(int(i) for i in np.flatnonzero(wrong)[:SHOWN]),
        latency_mean=float(latency.mean()),
        latency_max=int(latency.max()),
        cycles_per_image=clocks / intervals if intervals else float(latency[0]),
        backpressure=backpressure,
        tapped=None,
        first_wrong=None,
    )
