"""``bnnhw verify``: is each test image's label safe inside its L-infinity ball?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

import bnnhw.data
from bnnhw.cli.console import print_json, print_table, progress_bar, say
from bnnhw.cli.options import Count, DataFolder, DatasetName, Epsilons, First, Json, ModelFile, Seconds, Workers
from bnnhw.model import digest, load
from bnnhw.pipeline import Robustness, summarise_records
from bnnhw.verify import Limits, pixel_radius, verify_many

Results = Annotated[
    Path | None,
    typer.Option("--results", help="JSONL file of verdicts, continued if it exists; default: beside the model."),
]
Conflicts = Annotated[int | None, typer.Option("--conflicts", min=1, help="Solver conflicts a query.")]

COLUMNS = ["eps", "radius", "images", "robust", "falsified", "wrong", "unknown", "bounds", "mean s", "max s"]
"""wrong: misclassified to begin with, part of falsified. bounds: decided without the solver. mean, max: its seconds."""


def robustness_row(row: Robustness) -> list[object]:
    """One line of the table of verdicts."""
    counts: list[object] = [row.eps, row.radius, row.images, row.robust, row.falsified, row.misclassified]
    return [*counts, row.unknown, row.by_bounds, row.solve_mean, row.solve_max]


def verify(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    eps: Epsilons = None,
    first: First = 0,
    count: Count = 100,
    time_limit: Seconds = 60.0,
    conflicts: Conflicts = None,
    workers: Workers = None,
    results: Results = None,
    json: Json = False,
) -> None:
    """Decide the robustness of test images exactly, over integer pixels, on the integer model.

    Falsified images leave their counterexample (PNG and npz) in the folder 'counterexamples' beside the results.
    Exit code 3 when a query ends unknown.
    """
    loaded = load(model)
    images = bnnhw.data.load(dataset, data)
    chosen = slice(first, first + count)
    if not len(images.test_images[chosen]):
        raise ValueError(f"--first {first} is past the last of {len(images.test_images)} test images")
    path = results or model.with_suffix(".verify") / "results.jsonl"
    rows = []
    unknown = 0
    for one in eps or ["0.1"]:
        radius = pixel_radius(one, loaded.quantizer)
        begun = time.perf_counter()
        with progress_bar(f"eps {one}", len(images.test_images[chosen])) as bar:
            records = verify_many(
                loaded,
                images.test_images[chosen],
                images.test_labels[chosen],
                radius,
                path,
                limits=Limits(time_limit, conflicts),
                workers=workers,
                progress=bar,
                first=first,
            )
        rows.append(summarise_records(one, radius, records, time.perf_counter() - begun))
        unknown += rows[-1].unknown
    if json:
        print_json({"digest": digest(loaded), "results": str(path), "robustness": [row.__dict__ for row in rows]})
    else:
        print_table(f"{dataset}, model {digest(loaded)[:16]}", COLUMNS, [robustness_row(row) for row in rows])
        say(f"verdicts in {path}")
    if unknown:
        raise typer.Exit(3)
