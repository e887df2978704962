"""Natural, attacked and verified accuracy of an integer model, as EEV's tables state them (Jia and Rinard, 2020).

Three numbers on the same images, which must come in this order: what no image of the ball can break (verified) is at
most what an attack failed to break (PGD), which is at most what is right (natural). The order is checked image by
image: one that is proven robust and broken is a defect, never a rounding. Everything is counted on the integer model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.data import Dataset
from bnnhw.inference import compile as compile_model
from bnnhw.model import IntegerModel, digest, reference, summarize
from bnnhw.model.summary import LayerSummary
from bnnhw.pipeline.chain import evaluate
from bnnhw.verify import Limits, Record, UnsoundnessError, pixel_radius, verify_many
from bnnhw.verify.campaign import SPLIT_AFTER

MEASURED_ON = 200
"""Training images on which the spread of accumulators is measured for the attack's gradients."""

Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None] | None]]
"""Makes, from a title and a number of images, what is told of each image that is done."""

AttackOn = Callable[
    [
        npt.NDArray[np.uint8],
        npt.NDArray[np.int64],
        int,
        Callable[[int], None] | None,
        npt.NDArray[np.bool_] | None,
    ],
    npt.NDArray[np.bool_],
]


@dataclass(frozen=True)
class Times:
    """Seconds a query: mean, median and largest over all images, those that need none of it included."""

    mean: float
    median: float
    largest: float


@dataclass(frozen=True)
class Row:
    """One epsilon. radius: in pixel units. pgd: images right, and right after the attack. verified: proven robust.

    falsified: with a counterexample, misclassified images included. by_bounds: proven by bounds alone. solve: the
    solver's time, build: that of bounds and encoding, total: all of it, over all images as EEV counts them.
    """

    eps: str
    radius: int
    pgd: int
    verified: int
    falsified: int
    unknown: int
    by_bounds: int
    solve: Times
    build: Times
    total: Times


@dataclass(frozen=True)
class Evaluation:
    """images: how many were evaluated, from number ``first`` of the test set. natural: how many of them are right.

    kernel_mismatches: images whose scores by the compiled kernels are not those of reference inference. attack: what
    the PGD did, and with whose gradients. time_limit: seconds a query. layers: the model's.
    """

    digest: str
    dataset: str
    note: str
    first: int
    images: int
    natural: int
    kernel_mismatches: int
    attack: dict[str, Any] | None
    training: dict[str, Any] | None
    time_limit: float | None
    layers: tuple[LayerSummary, ...]
    rows: tuple[Row, ...]

    @property
    def sparsity(self) -> float:
        """The share of all weights that is 0."""
        return 1 - sum(layer.nonzero for layer in self.layers) / sum(layer.weights for layer in self.layers)

    @property
    def bounds(self) -> tuple[float, int] | None:
        """Mean and largest cardinality bound of the hidden neurons that read bits; None where there are none."""
        means = [(one.bound, prod(one.output)) for one in self.layers if one.bound is not None]
        if not means:
            return None
        mean = sum(bound * neurons for bound, neurons in means) / sum(neurons for _, neurons in means)
        return mean, max(one.largest_bound for one in self.layers if one.largest_bound is not None)

    def as_json(self) -> dict[str, Any]:
        layers = [asdict(layer) | {"sparsity": layer.sparsity} for layer in self.layers]
        rows = [
            asdict(row) | {"pgd_accuracy": row.pgd / self.images, "verified_accuracy": row.verified / self.images}
            for row in self.rows
        ]
        mean, largest = self.bounds or (None, None)
        return {
            **{name: getattr(self, name) for name in ("digest", "dataset", "note", "first", "images", "natural")},
            "natural_accuracy": self.natural / self.images,
            "kernel_mismatches": self.kernel_mismatches,
            "sparsity": self.sparsity,
            "bound_mean": mean,
            "bound_largest": largest,
            "layers": layers,
            "attack": self.attack,
            "training": self.training,
            "time_limit": self.time_limit,
            "robustness": rows,
        }


@dataclass(frozen=True)
class Plan:
    """What to evaluate and what it may cost.

    eps: decimal or fraction strings of the pixel range. first, count: which test images; all from the first by default.
    steps, seed: of the attack. skip_proven: attack no image that is proven robust, for it withstands every attack; the
    attack then says nothing about the proofs. checkpoint: a finished training of this model, whose network's gradients
    the attack then follows. results: the folder of verdicts and attacks, which is resumed; its ``results.jsonl`` is
    `bnnhw verify`'s. workers: processes of the verifier and threads of the attack.
    """

    eps: Sequence[str]
    results: Path
    first: int = 0
    count: int | None = None
    steps: int = 100
    seed: int = 0
    skip_proven: bool = False
    checkpoint: Path | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    split_after: float = SPLIT_AFTER


def _unwatched(_title: str, _images: int) -> AbstractContextManager[None]:
    return nullcontext()


def evaluate_model(model: IntegerModel, dataset: Dataset, plan: Plan, watch: Watch = _unwatched) -> Evaluation:
    """Evaluate ``model`` on the test images of ``dataset``.

    Raises ValueError for images that do not exist or a checkpoint of another model, UnsoundnessError where the order of
    the three accuracies is broken on any image.
    """
    end = len(dataset.test_labels) if plan.count is None else min(plan.first + plan.count, len(dataset.test_labels))
    if plan.first >= len(dataset.test_labels):
        raise ValueError(f"--first {plan.first} is past the last of {len(dataset.test_labels)} test images")
    images, labels = dataset.test_images[plan.first : end], dataset.test_labels[plan.first : end]
    scores = evaluate(model, images)
    mismatches = int((compile_model(model)(images) != scores).any(axis=1).sum())
    right: npt.NDArray[np.bool_] = reference.classify(scores) == labels
    rows = []
    training = None
    if plan.eps:
        attack, training = _attack(model, dataset, plan)
    for eps in dict.fromkeys(plan.eps):
        radius = pixel_radius(eps, model.quantizer)
        with watch(f"verify, eps {eps}", len(labels)) as tell:
            records = _verify(model, images, labels, radius, plan, tell)
        proven = np.array([record.status == "robust" for record in records])
        with watch(f"PGD-{plan.steps}, eps {eps}", len(labels)) as tell:
            survives = attack(images, labels, radius, tell, right & ~proven if plan.skip_proven else None)
        check_order(right, survives, records)
        rows.append(_row(eps, radius, survives, records))
    return Evaluation(
        digest=digest(model),
        dataset=dataset.name,
        note=dataset.note,
        first=plan.first,
        images=len(labels),
        natural=int(right.sum()),
        kernel_mismatches=mismatches,
        attack=_described(plan) if rows else None,
        training=training,
        time_limit=plan.limits.seconds,
        layers=summarize(model),
        rows=tuple(rows),
    )


def _described(plan: Plan) -> dict[str, Any]:
    said = {"steps": plan.steps, "gradients": _gradients(plan), "seed": plan.seed}
    return said | ({"skips": "images proven robust"} if plan.skip_proven else {})


def _gradients(plan: Plan) -> str:
    return "the trained network's" if plan.checkpoint else "the integer model's, rebuilt with tanh"


def _attack(model: IntegerModel, dataset: Dataset, plan: Plan) -> tuple[AttackOn, dict[str, Any] | None]:
    """The attack on images, labels, radius and progress; and what the checkpoint, if there is one, says of training."""
    # Torch takes seconds to import, and only this needs it.
    import torch

    from bnnhw.nn import Network
    from bnnhw.nn.rebuilt import rebuild
    from bnnhw.pipeline.replayed_attack import Attack, survivors
    from bnnhw.train import lower
    from bnnhw.train.trainer import finished

    if plan.workers is not None:
        torch.set_num_threads(plan.workers)
    network: Network
    training = None
    if plan.checkpoint is None:
        network = rebuild(model, dataset.train_images[:MEASURED_ON])
    else:
        trained = finished(dataset, plan.checkpoint)
        network = trained.network
        if lower(network) != model:
            raise ValueError(f"{plan.checkpoint} is the training of another model: leave out --checkpoint")
        kept = {"seconds": trained.seconds, "chosen_epoch": trained.chosen_epoch}
        training = {"recipe": asdict(trained.recipe), **kept}

    def run(
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        radius: int,
        tell: Callable[[int], None] | None,
        only: npt.NDArray[np.bool_] | None,
    ) -> npt.NDArray[np.bool_]:
        asked, path = Attack(plan.steps, _gradients(plan), plan.seed), plan.results / "attacks.jsonl"
        return survivors(network, model, images, labels, radius, asked, path, plan.first, tell, only)

    return run, training


def _verify(
    model: IntegerModel,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    radius: int,
    plan: Plan,
    tell: Callable[[int], None] | None,
) -> list[Record]:
    return verify_many(
        model,
        images,
        labels,
        radius,
        plan.results / "results.jsonl",
        limits=plan.limits,
        workers=plan.workers,
        progress=None if tell is None else lambda _: tell(1),
        first=plan.first,
        split_after=plan.split_after,
    )


def check_order(right: npt.NDArray[np.bool_], survives: npt.NDArray[np.bool_], records: Sequence[Record]) -> None:
    """UnsoundnessError, naming the image, unless verified implies unbroken and unbroken implies right, image by image.

    right, survives: bool[N]. records: the verdicts about the same N images.
    """
    for is_right, unbroken, record in zip(right.tolist(), survives.tolist(), records, strict=True):
        where = f"image {record.data['index']}"
        if unbroken and not is_right:
            raise UnsoundnessError(f"{where} is misclassified and counts as unbroken by the attack")
        if record.status == "robust" and not is_right:
            raise UnsoundnessError(f"{where} is misclassified and proven robust")
        if record.status == "robust" and not unbroken:
            raise UnsoundnessError(f"{where} is proven robust, but the attack changes its class within the same ball")
        if (record.data["stage"] == "clean") == is_right:
            raise UnsoundnessError(f"the verifier and reference inference disagree about {where} itself")


def _row(eps: str, radius: int, survives: npt.NDArray[np.bool_], records: Sequence[Record]) -> Row:
    spent = [record.data["seconds"] for record in records]
    status = [record.status for record in records]

    def times(stages: tuple[str, ...] | None) -> Times:
        each = [sum(value for stage, value in one.items() if stages is None or stage in stages) for one in spent]
        return Times(float(np.mean(each)), float(np.median(each)), max(each))

    return Row(
        eps=eps,
        radius=radius,
        pgd=int(survives.sum()),
        verified=status.count("robust"),
        falsified=status.count("falsified"),
        unknown=status.count("unknown"),
        by_bounds=sum(record.data["stage"] == "bounds" for record in records),
        solve=times(("solve",)),
        build=times(("bounds", "encode")),
        total=times(None),
    )
