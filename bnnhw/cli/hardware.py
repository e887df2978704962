"""``bnnhw export`` and ``bnnhw simulate``: the model as SystemVerilog, and that hardware run on images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import bnnhw.data
import bnnhw.hw_export
from bnnhw.cli.console import print_json, print_table, say
from bnnhw.cli.options import Count, DataFolder, DatasetName, First, Json, ModelFile
from bnnhw.model import digest, load

Folder = Annotated[Path, typer.Option("--out", help="Folder for the hardware; replaced if it is an earlier export.")]
Vectors = Annotated[int, typer.Option("--vectors", min=0, help="Test images stored with the hardware.")]
Hardware = Annotated[Path, typer.Argument(help="A folder that `bnnhw export` made.", show_default=False)]
Backpressure = Annotated[
    int | None, typer.Option("--backpressure", min=0, help="Seed of random stalls on both streams; none by default.")
]


def export(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    out: Folder = Path("runs/hardware"),
    vectors: Vectors = 16,
    json: Json = False,
) -> None:
    """Write SystemVerilog, memory files, test vectors and a manifest that binds them to the model's digest."""
    loaded = load(model)
    images = bnnhw.data.load(dataset, data)
    bnnhw.hw_export.export(loaded, out, images.test_images[:vectors])
    rows = [row.__dict__ for row in bnnhw.hw_export.resources(loaded)]
    if json:
        print_json({"digest": digest(loaded), "hardware": str(out), "resources": rows})
        return
    print_table(f"hardware of {digest(loaded)[:16]}", list(rows[0]), [list(row.values()) for row in rows])
    say(f"hardware in {out}")


def simulate(
    hardware: Hardware,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    first: First = 0,
    count: Count = 200,
    backpressure: Backpressure = None,
    json: Json = False,
) -> None:
    """Run test images through the simulated hardware and compare every score with reference inference."""
    images = bnnhw.data.load(dataset, data)
    outcome = bnnhw.hw_export.simulate(hardware, images.test_images[first : first + count], backpressure=backpressure)
    if json:
        print_json(outcome.as_json())
    else:
        print_table(str(hardware), ["figure", "value"], [list(item) for item in outcome.as_json().items()])
    if outcome.mismatches:
        raise typer.Exit(1)
