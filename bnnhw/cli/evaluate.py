"""``bnnhw evaluate``: how accurate is a model, how accurate under attack, and how much of that is proven?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import bnnhw.data
from bnnhw.cli.console import print_json, print_table, progress_bar, say
from bnnhw.cli.options import (
    Conflicts,
    DataFolder,
    DatasetName,
    Epsilons,
    First,
    Json,
    ModelFile,
    Seconds,
    Seed,
    SplitAfter,
    Workers,
)
from bnnhw.model import load
from bnnhw.pipeline.evaluation import Evaluation, Plan, Times, evaluate_model
from bnnhw.verify import Limits
from bnnhw.verify.campaign import SPLIT_AFTER

AllOrCount = Annotated[int | None, typer.Option("--count", min=1, help="How many test images; by default all.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Steps of projected gradient descent.")]
SkipProven = Annotated[
    bool,
    typer.Option(
        "--skip-proven",
        help="Attack no image that is proven robust. The accuracies stay the same, but the attack is no test of the "
        "proofs then.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="checkpoint.pt of the model's finished training: the attack then follows that network's gradients. "
        "Without it the network is rebuilt from the model.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--results", help="Folder of verdicts and attacks, continued if it exists; default: beside the model."
    ),
]


def evaluate(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    eps: Epsilons = None,
    first: First = 0,
    count: AllOrCount = None,
    steps: Steps = 100,
    skip_proven: SkipProven = False,
    checkpoint: Checkpoint = None,
    seed: Seed = None,
    time_limit: Seconds = 120.0,
    conflicts: Conflicts = None,
    workers: Workers = None,
    split_after: SplitAfter = SPLIT_AFTER,
    results: Folder = None,
    json: Json = False,
) -> None:
    """Natural accuracy and, with --eps, accuracy under PGD and verified accuracy, all on the integer model.

    Also sparsity, cardinality bounds and solve times. The attack's images are rounded to pixels and classified by the
    integer model. Exit code 1 when kernels and reference inference disagree, 3 when a query ends unknown, 70 when an
    image is proven robust and broken too. Run it again to continue.
    """
    plan = Plan(
        eps or [],
        results or model.with_suffix(".verify"),
        first,
        count,
        steps,
        seed or 0,
        skip_proven,
        checkpoint,
        Limits(time_limit, conflicts),
        workers,
        split_after,
    )
    found = evaluate_model(load(model), bnnhw.data.load(dataset, data), plan, _watch)
    if json:
        print_json(found.as_json())
    else:
        title = f"{found.dataset}, {found.images} test images, model {found.digest[:16]}"
        columns = [f"eps {row.eps}" for row in found.rows] or ["test set"]
        print_table(title, ["", *columns], _cells(found))
        if found.note:
            say(found.note)
    if found.kernel_mismatches:
        raise typer.Exit(1)
    if any(row.unknown for row in found.rows):
        raise typer.Exit(3)


@contextmanager
def _watch(title: str, images: int) -> Iterator[Callable[[int], None]]:
    with progress_bar(title, images) as bar:

        def tell(done: int) -> None:
            for _ in range(done):
                bar.advance()

        yield tell


def _cells(found: Evaluation) -> list[list[object]]:
    """The table's rows: a figure's name, then one cell for each epsilon."""
    rows = found.rows
    steps = found.attack["steps"] if found.attack else 0

    def share(count: int) -> str:
        return f"{count / found.images:.2%}"

    def same(cell: object) -> list[object]:
        return [cell] * max(1, len(rows))

    cells: list[list[object]] = [["natural accuracy", *same(share(found.natural))]]
    if rows:
        cells += [
            [f"PGD-{steps} accuracy", *(share(row.pgd) for row in rows)],
            ["verified accuracy", *(share(row.verified) for row in rows)],
            ["unknown", *(row.unknown for row in rows)],
            ["proven by bounds alone", *(row.by_bounds for row in rows)],
            ["solving, mean / median / max s", *(_times(row.solve) for row in rows)],
            ["building, mean / median / max s", *(_times(row.build) for row in rows)],
            ["all stages, mean / median / max s", *(_times(row.total) for row in rows)],
        ]
    cells.append(["sparsity", *same(f"{found.sparsity:.1%}")])
    cells += [[f"  {layer.name}", *same(f"{layer.sparsity:.1%}")] for layer in found.layers if layer.weights]
    if found.bounds is not None:
        cells.append(["cardinality bound, mean / max", *same(f"{found.bounds[0]:.2f} / {found.bounds[1]}")])
    cells.append(["kernel mismatches", *same(found.kernel_mismatches)])
    return cells


def _times(spent: Times) -> str:
    return f"{spent.mean:.4g} / {spent.median:.4g} / {spent.largest:.4g}"
