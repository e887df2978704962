"""How fast the simulators are, on the same hardware, images and random stalls, after they were found to agree.

    python benchmarks/hw_export/simulators.py MODEL --dataset digits --out DIR

Every simulator first runs --count images with stalls and taps: scores, classes, clocks and all layers have to be
equal. Then it runs images without stalls and taps, and with both, until that took --seconds of processor time. All
times are processor time of the tools' own processes, so a busy machine matters little; one simulation runs at a time.
Prints a table and writes simulators.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

import bnnhw.data
from bnnhw import hw_export
from bnnhw.hw_export.sim import BACK_ENDS
from bnnhw.model import digest, load

SEED = 1


def processor_seconds(act: Callable[[], object]) -> float:
    """What the processes that ``act`` starts take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    act()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


Simulate = Callable[[npt.NDArray[np.integer]], hw_export.Simulation]


def rates(simulate: Simulate, images: npt.NDArray[np.integer], seconds: float) -> tuple[float, float]:
    """Images and clocks a second of processor time; at least ``seconds`` are measured."""
    number, clocks, spent, count = 0, 0.0, 0.0, 1
    while spent < seconds:
        outcomes: list[hw_export.Simulation] = []
        spent += processor_seconds(partial(lambda some, told: told.append(simulate(some)), images[:count], outcomes))
        number += count
        clocks += outcomes[0].latency_mean + (count - 1) * outcomes[0].cycles_per_image
        # As many images as the time that is left allows, so that starting a program hardly counts.
        count = max(1, min(len(images), int((seconds - spent) * number / spent) + 1))
    return number / spent, clocks / spent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--target-cycles", type=int, default=4096)
    parser.add_argument("--style", default="auto")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    model = load(arguments.model)
    images = bnnhw.data.load(arguments.dataset, arguments.data).test_images
    hardware = arguments.out / "hardware"
    made = hw_export.export(model, hardware, target_cycles=arguments.target_cycles, style=arguments.style)
    rows, first = [], None
    for name in BACK_ENDS:

        def simulate(
            some: npt.NDArray[np.integer], seed: int | None = None, taps: bool = False, name: str = name
        ) -> hw_export.Simulation:
            return hw_export.simulate(hardware, some, seed, simulator=name, taps=taps)

        # Built anew: the cache beside the export holds earlier ones.
        building = processor_seconds(lambda: simulate(images[:1]))
        told = replace(simulate(images[: arguments.count], SEED, True), simulator="")
        first = first or told
        assert told == first, f"{name} tells {told}, not {first}"
        assert (told.mismatches, told.first_wrong) == (0, None), told
        plain, clocks = rates(simulate, images, arguments.seconds)
        stalled, _ = rates(partial(simulate, seed=SEED, taps=True), images, arguments.seconds)
        row = {"simulator": name, "build_seconds": building, "images_per_second": plain}
        rows.append(row | {"clocks_per_second": clocks, "with_stalls_and_taps": stalled})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    about = {"digest": digest(model), "cycles": made.plan.cycles, "machine": platform.processor() or platform.machine()}
    (arguments.out / "simulators.json").write_text(json.dumps(about | {"rows": rows}, indent=2) + "\n")
    print("| simulator | build, s | images/s | clocks/s | images/s with stalls and taps |")
    print("|---" * 5 + "|")
    for row in rows:
        numbers = [f"{row[column]:,.3g}" if row[column] < 100 else f"{row[column]:,.0f}" for column in list(row)[1:]]
        print("| " + " | ".join([row["simulator"], *numbers]) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
