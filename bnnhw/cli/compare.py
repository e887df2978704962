"""``bnnhw compare``: do two models give every image near each test image the same class?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli import campaigns
from bnnhw.cli.options import (
    Certify,
    Conflicts,
    Count,
    CrossCheck,
    DataFolder,
    DatasetName,
    Epsilons,
    First,
    Json,
    Results,
    Seconds,
    SplitAfter,
    Workers,
)
from bnnhw.cli.questions import Budgets, Pictures, balls, subjects
from bnnhw.model import load
from bnnhw.verify import Agree, Limits
from bnnhw.verify.campaign import SPLIT_AFTER

One = Annotated[Path, typer.Argument(help="A model file, *.bnn.", show_default=False)]
Other = Annotated[Path, typer.Argument(help="Another, of the same image shape and classes.", show_default=False)]


def compare(
    model_a: One,
    model_b: Other,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    image: Pictures = None,
    eps: Epsilons = None,
    budget: Budgets = None,
    first: First = 0,
    count: Count = 100,
    time_limit: Seconds = 60.0,
    conflicts: Conflicts = None,
    workers: Workers = None,
    split_after: SplitAfter = SPLIT_AFTER,
    cross_check: CrossCheck = None,
    results: Results = None,
    certify: Certify = None,
    json: Json = False,
) -> None:
    """Prove that two models agree on whole regions of images, or find images that tell them apart.

    'robust' means that they agree on every image of the region; an image on which they differ is saved as a
    counterexample (PNG and npz) beside the results. Exit code 3 when a query ends unknown.
    """
    models = [load(model_a), load(model_b)]
    campaign = campaigns.Campaign(
        models,
        subjects(dataset, data, image, first, count, lambda label: Agree()),
        results or model_a.with_suffix(".verify") / "results.jsonl",
        Limits(time_limit, conflicts),
        workers,
        split_after,
        cross_check,
        certify,
    )
    title = "pictures" if image else dataset
    if campaigns.decide(campaign, balls(eps, budget, models[0].quantizer), title, json):
        raise typer.Exit(3)
