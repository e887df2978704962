"""``bnnhw predict``: bit-exact inference over a data set."""

from __future__ import annotations

import bnnhw.data
from bnnhw.cli.console import print_json, print_table
from bnnhw.cli.options import Count, DataFolder, DatasetName, First, Json, ModelFile
from bnnhw.inference import compile as compile_model
from bnnhw.model import digest, load


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
