"""What each training method is worth: MNIST, conv-small, epsilon 0.3, one small budget, exactly verified accuracy.

    python benchmarks/train/ablation.py --data DIR --images 10000 --epochs 10 --verify 500 --out runs/ablation

Every row is the same recipe but for one method, trained from the same seed on the same images. The integer model's
natural accuracy is of all 10,000 test images; PGD (20 steps on the float network) and exact verdicts are of the first
``--verify`` ones. A finished row is appended to ``ablation.jsonl`` in ``--results`` and not run again with the same
budget; training and verdicts resume where they stopped. ``python benchmarks/train/tables.py`` makes the table in
docs/results.md. Seconds are those of one core, other jobs may have run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

import bnnhw.data
from bnnhw.data import Dataset
from bnnhw.inference import compile as compile_model
from bnnhw.model import IntegerModel, digest, save
from bnnhw.pipeline import Decider
from bnnhw.train import Recipe, agreement, lower, score, train
from bnnhw.train.recipe import Adversary, Bounds, Box, Choice, Gradient, Optimizer, Teacher, Verifier, Weights
from bnnhw.verify import Limits, verify_many

EPSILON = 0.3
RADIUS = 76
AGREEMENT = 1000
"""Test images on which every bit of the float network is compared with the integer model."""
RESULTS = Path(__file__).parent / "results"


def recipes(epochs: int, threads: int) -> dict[str, Recipe]:
    """The rows, by name. Ramps and warm-ups are shares of the run, so a larger budget is the same experiment."""
    base = Recipe(
        quantizer=(128,),
        epochs=epochs,
        threads=threads,
        optimizer=Optimizer(lr=2e-3),
        weights=Weights(density=0.2, decay=3e-5, decay_ramp=epochs / 3),
        adversary=Adversary(epsilon=EPSILON, ramp=epochs / 3, steps=2, steps_ramp=epochs / 3),
        choice=Choice(epochs=max(1, epochs // 5), images=1000),
    )
    bits = Weights(kind="binary", density=0.2)
    bop = Optimizer(lr=2e-3, kind="bop", gamma=1e-3, gamma_end=1e-3)
    second = Optimizer(lr=2e-3, kind="second-order-bop", gamma=1e-2, gamma_end=1e-3, threshold=0.05, threshold_end=0.05)
    boxes = Box(weight=0.7, from_epoch=epochs // 3, free=0.2, free_end=0.4)
    off = replace(boxes, weight=0.0)
    return {
        "baseline": base,
        "EEV's quantizer (step 0.61)": replace(base, quantizer=0.61),
        "threshold from the histogram": replace(base, quantizer="histogram"),
        "ternary weights": replace(base, weights=replace(base.weights, kind="ternary")),
        "dense start": replace(base, weights=replace(base.weights, density=1.0)),
        "cardinality bound decay": replace(base, bounds=Bounds(decay=5e-4)),
        "cardinality bound decay, smaller side": replace(base, bounds=Bounds(decay=5e-4, side="smaller")),
        "hard gradient window": replace(base, gradient=Gradient(shape="hardtanh")),
        "adaptive gradient cancelling": replace(
            base, gradient=Gradient(adaptive=True, adaptive_from=epochs // 5, adaptive_batches=10)
        ),
        "verifier in the loop": replace(
            base, verifier=Verifier(share=0.25, from_epoch=epochs - epochs // 3, conflicts=1000)
        ),
        "Bop": replace(base, weights=bits, optimizer=bop),
        "second-order Bop": replace(base, weights=bits, optimizer=second),
        "distillation with labels": replace(base, teacher=Teacher(kind="labels", epochs=epochs)),
        "guided distribution calibration": replace(base, teacher=Teacher(kind="calibration", epochs=epochs)),
        "slack loss": replace(base, box=replace(off, slack_weight=0.1)),
        "output-margin loss": replace(base, box=replace(off, margin_weight=0.1)),
        "small boxes": replace(base, box=boxes),
        "whole boxes (interval bound propagation)": replace(base, box=replace(boxes, free=1.0, free_end=1.0)),
        "small boxes, slack loss": replace(base, box=replace(boxes, slack_weight=0.1)),
        "small boxes, chosen exactly": replace(base, box=boxes, choice=replace(base.choice, by="exact", images=300)),
    }


def measure(
    model: IntegerModel, data: Dataset, count: int, seconds: float, workers: int, out: Path
) -> dict[str, object]:
    """Natural accuracy on all test images; exact verdicts on the first ``count``."""
    natural = compile_model(model).predict(data.test_images) == data.test_labels
    records = verify_many(
        model,
        data.test_images[:count],
        data.test_labels[:count],
        RADIUS,
        out / "results.jsonl",
        limits=Limits(seconds),
        workers=workers,
    )
    status = [record.status for record in records]
    times = [sum(record.data["seconds"].values()) for record in records]
    bounds = [
        layer.threshold + (layer.weights < 0).reshape(len(layer.weights), -1).sum(axis=1) for layer in model.hidden[1:]
    ]
    return {
        "natural": float(natural.mean()),
        "verified": status.count("robust") / count,
        "unknown": status.count("unknown") / count,
        "by_bounds": sum(record.data["stage"] == "bounds" for record in records) / count,
        "mean_seconds": float(np.mean(times)),
        "median_seconds": median(times),
        "max_seconds": max(times),
        "sparsity": 1 - _present(model) / _weights(model),
        "mean_bound": float(np.concatenate(bounds).mean()),
        "max_bound": int(np.concatenate(bounds).max()),
        "digest": digest(model),
    }


def _layers(model: IntegerModel) -> list[np.ndarray]:
    return [layer.weights for layer in (*model.hidden, model.output)]


def _present(model: IntegerModel) -> int:
    return sum(int(np.count_nonzero(weights)) for weights in _layers(model))


def _weights(model: IntegerModel) -> int:
    return sum(weights.size for weights in _layers(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's files")
    parser.add_argument("--images", type=int, default=10000, help="training images, from the first")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--verify", type=int, default=500, help="test images to verify, from the first")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit a query")
    parser.add_argument("--workers", type=int, default=1, help="processes that verify")
    parser.add_argument("--rows", nargs="*", help="only these rows")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="checkpoints and verdicts")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of ablation.jsonl")
    arguments = parser.parse_args()
    whole = bnnhw.data.load("mnist", arguments.data)
    few = slice(0, arguments.images)
    data = replace(whole, train_images=whole.train_images[few], train_labels=whole.train_labels[few])
    budget = {"images": arguments.images, "epochs": arguments.epochs, "verify": arguments.verify}
    budget["seconds"] = arguments.seconds
    path = arguments.results / "ablation.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    chosen = recipes(arguments.epochs, threads=1)
    unknown = sorted(set(arguments.rows or ()) - set(chosen))
    if unknown:
        parser.error(f"no row {', '.join(unknown)}: rows are {', '.join(chosen)}")
    with Decider(arguments.workers) as decider:
        for name in arguments.rows or chosen:
            asked = {"row": name, "budget": budget, "recipe": chosen[name].to_toml()}
            if any(all(row[key] == value for key, value in asked.items()) for row in done):
                continue
            out = arguments.out / f"{arguments.images}x{arguments.epochs}" / name.replace(" ", "-")
            trained = train(data, chosen[name], out / "train", progress=False, decide=decider)
            model = lower(trained.network)
            save(model, out / "model.bnn")
            first = slice(0, arguments.verify)
            attacked = score(trained.network, data.test_images[first], data.test_labels[first], RADIUS, steps=20)
            row = {
                **asked,
                "train_seconds": round(trained.seconds, 1),
                "mismatches": agreement(trained.network, model, data.test_images[:AGREEMENT]).mismatches,
                "pgd": attacked.attacked / attacked.images,
                **measure(model, data, arguments.verify, arguments.seconds, arguments.workers, out / "verify"),
            }
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(
                f"{name}: natural {row['natural']:.2%}, PGD {row['pgd']:.2%}, verified {row['verified']:.2%}, unknown "
                f"{row['unknown']:.2%}, mean {row['mean_seconds']:.3f} s, training {row['train_seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
