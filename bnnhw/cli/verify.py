"""``bnnhw verify``: does every image near each test image keep its class, and how near is the first that does not?"""

from __future__ import annotations

from collections.abc import Callable
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
    ModelFile,
    Results,
    Seconds,
    SplitAfter,
    Workers,
)
from bnnhw.cli.questions import Budgets, Pictures, balls, distance_of, subjects
from bnnhw.model import load
from bnnhw.verify import Avoids, Keeps, Limits, NotUnanimouslyWrong, PropertyError
from bnnhw.verify.campaign import SPLIT_AFTER
from bnnhw.verify.properties import Condition

Minimal = Annotated[
    str | None,
    typer.Option(
        "--minimal",
        help="Instead of a fixed distance find the smallest at which the class can change: l0, l1, l2 (counted "
        "squared) or linf. --time-limit is then for each image's search.",
    ),
]
Target = Annotated[
    int | None,
    typer.Option("--target", min=0, help="Ask whether this class can be reached; images of it are left out."),
]
Strictly = Annotated[bool, typer.Option("--strictly", help="A tie with another class counts as losing the class.")]
With = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        help="A further model of an ensemble, which errs only where all its models give the same wrong class; "
        "repeatable.",
    ),
]


def verify(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    image: Pictures = None,
    eps: Epsilons = None,
    budget: Budgets = None,
    minimal: Minimal = None,
    target: Target = None,
    strictly: Strictly = False,
    with_: With = None,
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
    """Decide exactly, over integer pixels and on the integer model, whether images near a test image keep its class.

    Without --eps, --budget or --minimal this is --eps 0.1. Falsified images leave their counterexample (PNG and npz)
    in the folder 'counterexamples' beside the results. Exit code 3 when a query ends unknown or unconfirmed, 70
    when two solvers disagree.
    """
    if minimal and (eps or budget):
        raise PropertyError("--minimal finds the distance itself: leave out --eps and --budget")
    if minimal and cross_check:
        raise PropertyError("--cross-check is for verdicts: leave out --minimal, and ask about the distances found")
    models = [load(path) for path in (model, *(with_ or []))]
    condition = _condition(target, strictly, ensemble=bool(with_))
    campaign = campaigns.Campaign(
        models,
        subjects(dataset, data, image, first, count, condition),
        results or model.with_suffix(".verify") / "results.jsonl",
        Limits(time_limit, conflicts),
        workers,
        split_after,
        cross_check,
        certify,
    )
    if not campaign.subjects:
        raise PropertyError(f"every chosen image is of the class {target}: there is none to turn into it")
    title = "pictures" if image else dataset
    if minimal:
        unknown = campaigns.minimise(campaign, distance_of(minimal), title, json)
    else:
        unknown = campaigns.decide(campaign, balls(eps, budget, models[0].quantizer), title, json)
    if unknown:
        raise typer.Exit(3)


def _condition(target: int | None, strictly: bool, ensemble: bool) -> Callable[[int], Condition | None]:
    if target is not None and (strictly or ensemble):
        raise PropertyError("--target asks one question of one model: leave out --strictly and --with")
    if ensemble and strictly:
        raise PropertyError("--strictly has no meaning for an ensemble: leave out --strictly or --with")
    if target is not None:
        return lambda label: None if label == target else Avoids(target)
    if ensemble:
        return NotUnanimouslyWrong
    return lambda label: Keeps(label, strictly)
