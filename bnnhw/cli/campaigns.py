"""Campaigns with their progress and their tables: what `verify` and `compare` do once they know what to ask."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnhw.cli.console import print_json, print_table, progress_bar, say
from bnnhw.cli.questions import Asked
from bnnhw.model import IntegerModel, digest
from bnnhw.pipeline import Robustness, summarise_records
from bnnhw.verify import Limits, Subject, decide_many, minimise_many
from bnnhw.verify.properties import Distance

COLUMNS = ["robust", "falsified", "wrong", "unknown", "bounds", "mean s", "max s"]
"""wrong: the image itself is a counterexample, part of falsified. bounds: decided by those. mean, max: solver's."""


def counts(row: Robustness) -> list[object]:
    """The cells of COLUMNS."""
    decided: list[object] = [row.robust, row.falsified, row.misclassified, row.unknown]
    return [*decided, row.by_bounds, row.solve_mean, row.solve_max]


@dataclass(frozen=True)
class Campaign:
    """What every question of one command has in common."""

    models: list[IntegerModel]
    subjects: list[Subject]
    results: Path
    limits: Limits
    workers: int | None
    split_after: float
    cross_check_by: str | None
    certificates: Path | None = None


def decide(campaign: Campaign, asked: list[Asked], title: str, json: bool) -> int:
    """Decide every ball around every image and print the counts; how many queries, or second opinions, are unknown."""
    rows = []
    unconfirmed = 0
    for one in asked:
        begun = time.perf_counter()
        with progress_bar(str(one), len(campaign.subjects)) as bar:
            records = decide_many(
                campaign.models,
                campaign.subjects,
                one.ball,
                campaign.results,
                limits=campaign.limits,
                workers=campaign.workers,
                progress=bar.advance,
                split_after=campaign.split_after,
                cross_check_by=campaign.cross_check_by,
                certificates=campaign.certificates,
            )
        if campaign.cross_check_by is not None:
            unconfirmed += sum(r.status != "unknown" and campaign.cross_check_by not in r.confirmed_by for r in records)
        rows.append(summarise_records(str(one), one.ball.limit, records, time.perf_counter() - begun))
    if json:
        table = [
            one.as_json() | {key: value for key, value in row.__dict__.items() if key not in ("eps", "radius")}
            for one, row in zip(asked, rows, strict=True)
        ]
        second = (
            {}
            if campaign.cross_check_by is None
            else {"cross_check": campaign.cross_check_by, "unconfirmed": unconfirmed}
        )
        print_json({**_head(campaign), **second, "robustness": table})
    else:
        cells = [[row.eps, row.radius, row.images, *counts(row)] for row in rows]
        print_table(_title(title, campaign), ["region", "limit", "images", *COLUMNS], cells)
        if campaign.cross_check_by is not None:
            decided = sum(row.images - row.unknown for row in rows)
            say(f"{campaign.cross_check_by} confirms {decided - unconfirmed} of {decided} verdicts")
        say(f"verdicts in {campaign.results}")
        _say_certificates(campaign)
    return unconfirmed + sum(row.unknown for row in rows)


def minimise(campaign: Campaign, distance: Distance, title: str, json: bool) -> int:
    """Find every image's smallest distortion and print it; how many searches ended without one."""
    with progress_bar(f"least {distance}", len(campaign.subjects)) as bar:
        records = minimise_many(
            campaign.models,
            campaign.subjects,
            distance,
            campaign.results,
            limits=campaign.limits,
            workers=campaign.workers,
            progress=bar.advance,
            bounds=lambda subject, lower, upper: bar.tell(_interval(subject.name, distance, lower, upper)),
            certificates=campaign.certificates,
        )
    found = [record.data for record in records]
    if json:
        kept = ("index", "label", "status", "reason", "lower", "upper", "predicted", "counterexample", "seconds")
        images = [{key: one[key] for key in kept} for one in found]
        print_json({**_head(campaign), "distance": distance, "minimal": images})
    else:
        rows = [
            [*(_cell(one[key]) for key in ("index", "label", "status", "lower", "upper", "predicted")), _seconds(one)]
            for one in found
        ]
        columns = ["image", "label", "answer", "proven from below", "found", "class", "seconds"]
        print_table(f"smallest {distance} distortion: {_title(title, campaign)}", columns, rows)
        say(f"answers in {campaign.results}")
        _say_certificates(campaign)
    return sum(record.status == "unknown" for record in records)


def _say_certificates(campaign: Campaign) -> None:
    if campaign.certificates is not None:
        say(f"certificates in {campaign.certificates}: bnnhw certify check {campaign.certificates}")


def _interval(name: int | str, distance: Distance, lower: int, upper: int | None) -> str:
    return f"image {name}: {lower} <= {distance}" + ("" if upper is None else f" <= {upper}")


def _cell(value: object) -> object:
    return "-" if value is None else value


def _seconds(found: dict[str, Any]) -> float:
    return float(found["seconds"]["search"])


def _head(campaign: Campaign) -> dict[str, object]:
    digests = [digest(model) for model in campaign.models]
    head: dict[str, object] = {"digest": digests[0], "results": str(campaign.results)}
    return head if len(digests) == 1 else {**head, "digests": digests}


def _title(title: str, campaign: Campaign) -> str:
    names = [digest(model)[:16] for model in campaign.models]
    return f"{title}, {'model' if len(names) == 1 else 'models'} {', '.join(names)}"
