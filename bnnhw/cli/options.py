"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[Path, typer.Argument(help="A model file, *.bnn.", show_default=False)]
DatasetName = Annotated[str, typer.Option("--dataset", help="digits, mnist, fashion-mnist or cifar10.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder that holds the data set's files.")]
Arch = Annotated[
    str,
    typer.Option(
        "--arch",
        help="mnist-mlp, conv-small, conv-large, conv-small-pool, conv-large-pool, tfc, sfc, lfc, cnv or vgg-small.",
    ),
]
Epsilons = Annotated[
    list[str] | None,
    typer.Option("--eps", help="L-infinity radius as a fraction of the pixel range, such as 0.1 or 8/255; repeatable."),
]
Seconds = Annotated[float, typer.Option("--time-limit", min=0.0, help="Seconds a query.")]
Results = Annotated[
    Path | None,
    typer.Option("--results", help="JSONL file of verdicts, continued if it exists; default: beside the model."),
]
Conflicts = Annotated[int | None, typer.Option("--conflicts", min=1, help="Solver conflicts a query.")]
CrossCheck = Annotated[
    str | None,
    typer.Option(
        "--cross-check",
        help="Have every verdict confirmed by another solver on an independent formula: cadical or cp-sat (extra "
        "packages: bnnhw\\[crosscheck]), which may take --time-limit again.",
    ),
]
Certify = Annotated[
    Path | None,
    typer.Option(
        "--certify",
        metavar="DIR",
        help="Write a certificate of every verdict into this folder, with the models, for `bnnhw certify check`.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes, or threads; all cores by default.")]
SplitAfter = Annotated[
    float,
    typer.Option(
        "--split-after", min=0.0, help="Share a query that takes more seconds than this among workers that are idle."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for everything this makes; run again to continue there.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Training epochs; the recipe's own by default.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.")]
First = Annotated[int, typer.Option("--first", min=0, help="Number of the first test image.")]
Count = Annotated[int, typer.Option("--count", min=1, help="How many test images.")]
