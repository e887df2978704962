"""``bnnhw info``: what a model is."""

from __future__ import annotations

from dataclasses import asdict

from bnnhw.cli.console import print_json, results
from bnnhw.cli.options import Json, ModelFile
from bnnhw.model import digest, load, summarize, summary


def info(model: ModelFile, json: Json = False) -> None:
    """Print a model's digest, shapes, weights, sparsity, thresholds and cardinality bounds."""
    loaded = load(model)
    if json:
        print_json({"digest": digest(loaded), "layers": [asdict(row) for row in summarize(loaded)]})
        return
    results.print(f"{model}\nsha256 {digest(loaded)}\n{summary(loaded)}", markup=False, soft_wrap=True)
