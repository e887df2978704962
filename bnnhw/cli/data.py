"""``bnnhw evaluate`` and ``bnnhw predict``: bit-exact inference over a data set."""

from __future__ import annotations

import bnnhw.data
from bnnhw.cli.console import print_json, print_table
from bnnhw.cli.options import Count, DataFolder, DatasetName, First, Json, ModelFile
from bnnhw.inference import compile as compile_model
from bnnhw.model import digest, load
from bnnhw.pipeline import evaluate as reference_scores


def evaluate(model: ModelFile, dataset: DatasetName = "digits", data: DataFolder = None, json: Json = False) -> None:
    """Accuracy on the whole test set, by the compiled kernels and by reference inference; they must agree."""
    loaded = load(model)
    images = bnnhw.data.load(dataset, data)
    scores = compile_model(loaded)(images.test_images)
    reference = reference_scores(loaded, images.test_images)
    mismatches = int((scores != reference).any(axis=1).sum())
    right = int((reference.argmax(axis=1) == images.test_labels).sum())
    result = {
        "digest": digest(loaded),
        "images": len(reference),
        "right": right,
        "accuracy": right / len(reference),
        "kernel_mismatches": mismatches,
    }
    if json:
        print_json(result)
    else:
        print_table(f"{dataset} test set", list(result), [list(result.values())])
    if mismatches:
        raise SystemExit(1)


def predict(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    first: First = 0,
    count: Count = 10,
    json: Json = False,
) -> None:
    """Classes and integer scores of test images."""
    loaded = load(model)
    images = bnnhw.data.load(dataset, data)
    chosen = slice(first, first + count)
    scores = compile_model(loaded)(images.test_images[chosen])
    rows = [
        {"image": first + i, "label": int(label), "class": int(row.argmax()), "scores": row.tolist()}
        for i, (label, row) in enumerate(zip(images.test_labels[chosen], scores, strict=True))
    ]
    if json:
        print_json({"digest": digest(loaded), "predictions": rows})
    else:
        print_table(f"{dataset} test images", ["image", "label", "class", "scores"], [list(r.values()) for r in rows])
