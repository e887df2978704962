"""Run the exported hardware in a simulator and compare every score and class with reference inference.

The simulators stand in `sim/`, one module each around one test bench, so all of them give the same scores after the
same clocks. Where a score is wrong, or on demand, every layer's output is compared as well (`taps.py`), so that the
first wrong bit has a name.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.emit import HardwareError, stream_values, verify_manifest
from bnnhw.hw_export.folding import Plan, stated
from bnnhw.hw_export.sim import BACK_ENDS, BackEnd, Design, Program, Stopped, built
from bnnhw.hw_export.taps import WrongValue, first_wrong, streams
from bnnhw.model import reference

SHOWN = 10
"""Mismatching images that a Simulation names."""
PATIENCE = 20
"""The hardware hangs when nothing moves for so many times what an image takes in every stage, one after the other."""


@dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    images: compared, with all their scores and the class. mismatches: images where any of them differs; the first few
    are named in ``wrong``. latency: clocks from an image's first value to its class, mean and largest.
    cycles_per_image: mean clocks between the classes of successive images (a single image's latency).
    backpressure: seed of the random stalls. tapped: values inside that were compared, None where that was not asked
    for. first_wrong: the first wrong value, inside or a score.
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


@dataclass(frozen=True)
class _Compared:
    """What one run gave. wrong: bool[N]. latency, last: int64[N], as in `Response`. tapped, first_wrong: as in
    `Simulation`."""

    wrong: npt.NDArray[np.bool_]
    latency: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    tapped: int
    first_wrong: WrongValue | None


def _compare(program: Program, plan: Plan, pixels: npt.NDArray[np.integer], seed: int, taps: bool) -> _Compared:
    """Run some images; where anything is wrong, once more with taps."""
    model = plan.model
    scores = reference.scores(model, pixels)
    expected = np.concatenate([scores, reference.classify(scores)[:, None]], axis=1)
    names = [stream.name for stream in streams(plan)] if taps else []
    try:
        response = program.run(stream_values(model, pixels), seed, names)
    except Stopped as stopped:
        if not taps:
            return _compare(program, plan, pixels, seed, True)
        _, found = first_wrong(plan, pixels, stopped.recorded, ended=False)
        raise HardwareError(f"{stopped}; first wrong value before: {found}") from None
    different = np.argwhere(response.beats != expected)
    if len(different) and not taps:
        return _compare(program, plan, pixels, seed, True)
    tapped, found = first_wrong(plan, pixels, response.recorded) if taps else (0, None)
    if len(different) and found is None:
        image, beat = (int(i) for i in different[0])
        found = WrongValue("scores", image, beat, 0, 0, int(expected[image, beat]), int(response.beats[image, beat]))
    return _Compared((response.beats != expected).any(axis=1), response.latency, response.last, tapped, found)


def _program(back_end: BackEnd, directory: Path, waves: Path | None) -> tuple[Program, Plan]:
    """The built simulation of an export whose files are those its manifest states, and how that is folded."""
    model, manifest = verify_manifest(directory)
    kind = "" if waves is None else waves.suffix.removeprefix(".")
    if waves is not None and kind not in back_end.waves:
        known = " or ".join(f"*.{one}" for one in back_end.waves)
        raise HardwareError(f"{back_end.name} cannot write {waves}: name a file {known}")
    if waves is not None and not waves.parent.is_dir():
        raise HardwareError(f"{waves} cannot be written: there is no folder {waves.parent}")
    sources, memories = (
        tuple(sorted(name for name in manifest["files"] if name.endswith(end) and "/" not in name))
        for end in (".sv", ".mem")
    )
    folder = built(back_end, Design(directory, sources, memories, kind), manifest["files"])
    plan = stated(model, manifest["values"], manifest["stages"])
    patience = min(PATIENCE * (len(plan.stages) + 2) * (plan.cycles + 100), 2**32 - 1)
    shown = None if waves is None else waves.resolve()
    command = back_end.command(folder, shown)
    return Program(command, directory, model.classes + 1, plan.values, manifest["lane"], patience, shown), plan


def simulate(
    directory: Path,
    pixels: npt.NDArray[np.integer],
    backpressure: int | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    simulator: str = "verilator",
    taps: bool = False,
    waves: Path | None = None,
    images_a_run: int = 250,
) -> Simulation:
    """Run images [N, C, H, W] through the hardware in ``directory`` and compare with reference inference.

    backpressure: seed (from 1) of random stalls on both streams; None keeps both streams ready. workers: simulations at
    the same time, each of some of the images. progress: told how many images were compared, each time some were.
    simulator: verilator, icarus or cxxrtl; all give the same result. taps: whether to compare every layer's output as
    well; where a score is wrong they are in any case. waves: a file *.vcd or *.fst for the changes of all signals; the
    images then run one after the other. images_a_run: how many do at least, while there are as many; it decides where
    the hardware begins anew and so has a part in the clocks.
    Refuses an export whose files are not those its manifest states.
    """
    if simulator not in BACK_ENDS:
        raise HardwareError(f"no simulator {simulator!r}: choose one of {', '.join(BACK_ENDS)}")
    if not len(pixels):
        raise HardwareError("no image to simulate: give at least one")
    if workers < 1 or images_a_run < 1:
        raise ValueError(f"{workers} workers, {images_a_run} images a run: at least 1 of each has to be")
    # Simulations are built and run in folders of their own, so a relative path would lose its meaning.
    program, plan = _program(BACK_ENDS[simulator], Path(directory).resolve(), waves)
    # Several pieces a worker: progress is seen, and all of them end at about the same time.
    number = 1 if waves is not None else max(1, len(pixels) // images_a_run)
    pieces = np.array_split(np.arange(len(pixels)), number)

    def compare(piece: npt.NDArray[np.int64]) -> _Compared:
        # Each run stalls in a way of its own.
        seed = 0 if backpressure is None else backpressure + int(piece[0])
        made = _compare(program, plan, pixels[piece], seed, taps)
        found = made.first_wrong
        return replace(made, first_wrong=found and replace(found, image=found.image + int(piece[0])))

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
    wrong, latency = (np.concatenate([getattr(run, name) for run in found]) for name in ("wrong", "latency"))
    intervals = len(pixels) - len(found)
    clocks = sum(int(run.last[-1] - run.last[0]) for run in found)
    return Simulation(
        simulator=simulator,
        images=len(wrong),
        mismatches=int(wrong.sum()),
        wrong=tuple(int(i) for i in np.flatnonzero(wrong)[:SHOWN]),
        latency_mean=float(latency.mean()),
        latency_max=int(latency.max()),
        cycles_per_image=clocks / intervals if intervals else float(latency[0]),
        backpressure=backpressure,
        tapped=sum(run.tapped for run in found) if taps else None,
        first_wrong=next((run.first_wrong for run in found if run.first_wrong is not None), None),
    )
