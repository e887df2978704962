"""``bnnhw run``: the main job, from images to simulated hardware, with a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli.campaigns import COLUMNS, counts
from bnnhw.cli.console import print_json, print_table, progress_bar, say
from bnnhw.cli.options import Arch, DataFolder, DatasetName, Epochs, Epsilons, Json, Seconds, Seed, Workers
from bnnhw.cli.train import choose_recipe
from bnnhw.pipeline import Settings, write_report
from bnnhw.pipeline import run as run_chain

Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for everything this makes; default runs/DATASET-ARCH-eEPS.")
]
VerifyImages = Annotated[int, typer.Option("--verify-images", min=1, help="Test images to verify, from the first.")]
SimulateImages = Annotated[int, typer.Option("--simulate-images", min=1, help="Test images to simulate.")]


def run(
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    arch: Arch = "conv-small",
    eps: Epsilons = None,
    epochs: Epochs = None,
    seed: Seed = None,
    verify_images: VerifyImages = 200,
    simulate_images: SimulateImages = 200,
    time_limit: Seconds = 60.0,
    workers: Workers = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train, lower, verify, export and simulate, checking every link; writes report.html and summary.json.

    Exit code 1 when any link disagrees, 3 when some query ends unknown. Run the same command again to continue an
    interrupted run.
    """
    wanted = tuple(dict.fromkeys(eps or ["0.1"]))
    largest = max(wanted, key=Fraction)
    folder = out or Path("runs") / f"{dataset}-{arch}-e{largest.replace('/', '_')}"
    settings = Settings(dataset, arch, wanted, folder, data, verify_images, simulate_images, time_limit, workers)
    recipe = choose_recipe(dataset, arch, largest, epochs, seed)
    result = run_chain(settings, recipe, say, _watch)
    report = write_report(result)
    if json:
        print_json(result.as_json())
    else:
        print_table(
            "links", ["comparison", "images", "mismatches"], [[x.name, x.compared, x.mismatches] for x in result.links]
        )
        rows = [[row.eps, row.radius, row.images, *counts(row)] for row in result.robustness]
        print_table("robustness", ["eps", "radius", "images", *COLUMNS], rows)
        print_table(
            "chain",
            ["figure", "value"],
            [
                ["test accuracy", f"{result.accuracy:.2%}"],
                ["training seconds", round(result.train_seconds, 1)],
                ["simulated images", result.simulation["images"]],
                ["latency, cycles (mean)", result.simulation["latency_mean"]],
                ["cycles per image", result.simulation["cycles_per_image"]],
                ["model digest", result.digests["model"]],
                ["report", str(report)],
            ],
        )
    if not result.sound:
        raise typer.Exit(1)
    if any(row.unknown for row in result.robustness):
        raise typer.Exit(3)


@contextmanager
def _watch(eps: str, images: int) -> Iterator[Callable[[object], None]]:
    with progress_bar(f"verify eps {eps}", images) as bar:
        yield bar.advance
