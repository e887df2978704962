"""The main job, end to end: data -> train -> lower -> kernels -> verify -> export -> simulate, each link checked.

Every stage leaves its result in the output folder and finds it again, so a run that was interrupted continues where it
stopped. A link is a comparison of two routes over the same images: the float network against the integer model, the
integer model's reference against the compiled kernels, the reference against the simulated hardware. The chain is
sound only when every link counts zero mismatches.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import bnnhw.data
import bnnhw.hw_export
import bnnhw.inference
from bnnhw.data import Dataset
from bnnhw.model import IntegerModel, ModelError, digest, load, reference, save
from bnnhw.model.file import write_atomically
from bnnhw.pipeline.decider import Decider
from bnnhw.verify import Limits, Record, pixel_radius, verify_many

if TYPE_CHECKING:
    from bnnhw.train import Recipe

Say = Callable[[str], None]
Watch = Callable[[str, int], AbstractContextManager[Callable[[Record], None] | None]]
BATCH = 500


@dataclass(frozen=True)
class Settings:
    """What to run. eps: decimal or fraction strings of the pixel range, verified each; the largest is trained for.

    verify_images, simulate_images: how many test images, counted from the first. seconds: limit per query.
    """

    dataset: str
    arch: str
    eps: tuple[str, ...]
    out: Path
    data: Path | None = None
    verify_images: int = 200
    simulate_images: int = 200
    seconds: float = 60.0
    workers: int | None = None


@dataclass(frozen=True)
class Link:
    """One agreement check: ``mismatches`` of ``compared`` images differ between the two routes."""

    name: str
    compared: int
    mismatches: int
    note: str = ""


@dataclass(frozen=True)
class Robustness:
    """Verdict counts at one epsilon; seconds are those of the solver stage, over the queries that reached it."""

    eps: str
    radius: int
    images: int
    robust: int
    falsified: int
    misclassified: int
    unknown: int
    by_bounds: int
    solve_mean: float
    solve_max: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """What the chain found; ``as_json`` is what ``summary.json`` holds."""

    settings: Settings
    model: IntegerModel
    accuracy: float
    train_seconds: float
    links: tuple[Link, ...]
    robustness: tuple[Robustness, ...]
    records: dict[str, list[Record]]
    simulation: dict[str, Any]
    resources: list[dict[str, Any]]
    digests: dict[str, str]
    seconds: dict[str, float]

    @property
    def sound(self) -> bool:
        """Every link agreed on every image."""
        return all(link.compared > 0 and link.mismatches == 0 for link in self.links)

    def as_json(self) -> dict[str, Any]:
        return {
            "dataset": self.settings.dataset,
            "arch": self.settings.arch,
            "sound": self.sound,
            "test_accuracy": self.accuracy,
            "train_seconds": self.train_seconds,
            "links": [asdict(link) for link in self.links],
            "robustness": [asdict(row) for row in self.robustness],
            "simulation": self.simulation,
            "resources": self.resources,
            "digests": self.digests,
            "seconds": self.seconds,
            "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        }


def evaluate(model: IntegerModel, images: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Reference scores int64[N, classes], in batches."""
    parts = [reference.scores(model, images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def summarise_records(eps: str, radius: int, records: list[Record], seconds: float) -> Robustness:
    """Counts and solver times of one campaign."""
    stages = [record.data["stage"] for record in records]
    solved = [r.solve_seconds for r, stage in zip(records, stages, strict=True) if stage == "solver"]
    count = [record.status for record in records].count
    return Robustness(
        eps=eps,
        radius=radius,
        images=len(records),
        robust=count("robust"),
        falsified=count("falsified"),
        misclassified=stages.count("clean"),
        unknown=count("unknown"),
        by_bounds=stages.count("bounds"),
        solve_mean=float(np.mean(solved)) if solved else 0.0,
        solve_max=max(solved, default=0.0),
        seconds=seconds,
    )


def _unwatched(_eps: str, _images: int) -> AbstractContextManager[None]:
    return nullcontext()


def _train(settings: Settings, recipe: Recipe, dataset: Dataset, say: Say) -> tuple[IntegerModel, Link, float]:
    """Train (or find the finished training), lower, and compare the float network with the integer model."""
    # Torch takes seconds to import, and only this stage needs it.
    import bnnhw.train

    with Decider(settings.workers) as decider:
        trained = bnnhw.train.train(dataset, recipe, settings.out / "train", decide=decider)
    model = bnnhw.train.lower(trained.network)
    path = settings.out / "model.bnn"
    if not path.exists() or load(path) != model:
        save(model, path)
    say(f"model {digest(model)[:16]} written to {path}")
    agreement = bnnhw.train.agreement(trained.network, model, dataset.test_images)
    link = Link("torch vs integer", agreement.images, agreement.mismatches, agreement.note)
    return model, link, trained.seconds


def run(settings: Settings, recipe: Recipe, say: Say, watch: Watch = _unwatched) -> Result:
    """Run the chain; ``say`` gets a sentence per stage, ``watch(eps, images)`` makes what is told of each verdict."""
    settings.out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(stage: str) -> None:
        seconds[stage] = round(time.perf_counter() - started - sum(seconds.values()), 3)

    dataset = bnnhw.data.load(settings.dataset, settings.data)
    say(f"data: {len(dataset.train_images)} training and {len(dataset.test_images)} test images")
    lap("data")
    model, float_link, train_seconds = _train(settings, recipe, dataset, say)
    lap("train")

    scores = evaluate(model, dataset.test_images)
    predictions = reference.classify(scores)
    accuracy = float((predictions == dataset.test_labels).mean())
    say(f"integer model: {accuracy:.2%} of {len(predictions)} test images right")
    compiled = bnnhw.inference.compile(model)(dataset.test_images)
    kernel_link = Link("integer vs kernel", len(scores), int((compiled != scores).any(axis=1).sum()), "all scores")
    lap("evaluate")

    robustness: list[Robustness] = []
    records: dict[str, list[Record]] = {}
    count = min(settings.verify_images, len(dataset.test_images))
    for eps in settings.eps:
        radius = pixel_radius(eps, model.quantizer)
        begun = time.perf_counter()
        with watch(eps, count) as tell:
            records[eps] = verify_many(
                model,
                dataset.test_images[:count],
                dataset.test_labels[:count],
                radius,
                settings.out / "verify" / "results.jsonl",
                limits=Limits(settings.seconds),
                workers=settings.workers,
                progress=tell,
            )
        robustness.append(summarise_records(eps, radius, records[eps], time.perf_counter() - begun))
        row = robustness[-1]
        say(f"eps {eps}: {row.robust} robust, {row.falsified} falsified, {row.unknown} unknown of {row.images}")
    lap("verify")

    hardware = settings.out / "hardware"
    count = min(settings.simulate_images, len(dataset.test_images))
    bnnhw.hw_export.export(model, hardware, dataset.test_images[: min(count, 16)])
    say(f"hardware written to {hardware}")
    lap("export")
    simulation = bnnhw.hw_export.simulate(hardware, dataset.test_images[:count])
    rtl_link = Link("integer vs RTL", simulation.images, simulation.mismatches, "all scores and the class")
    lap("simulate")

    result = Result(
        settings=settings,
        model=model,
        accuracy=accuracy,
        train_seconds=train_seconds,
        links=(float_link, kernel_link, rtl_link),
        robustness=tuple(robustness),
        records=records,
        simulation=simulation.as_json(),
        resources=[asdict(row) for row in bnnhw.hw_export.resources(model)],
        digests=_digests(settings.out, model),
        seconds=seconds,
    )
    write_atomically(settings.out / "summary.json", json.dumps(result.as_json(), indent=2).encode())
    return result


def _digests(out: Path, model: IntegerModel) -> dict[str, str]:
    """The model's digest as every link states it; ModelError where one speaks of another model."""
    manifest = json.loads((out / "hardware" / "manifest.json").read_text())
    stated = {
        "model": digest(model),
        "model file": digest(load(out / "model.bnn")),
        "hardware manifest": str(manifest["model_digest"]),
    }
    if len(set(stated.values())) != 1:
        raise ModelError(f"the chain's parts speak of different models: {stated}")
    return stated
