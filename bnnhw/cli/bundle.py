"""``bnnhw bundle make`` and ``check``: everything about a model and its hardware in one archive that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli.console import print_json, print_table, say
from bnnhw.cli.hardware import Hardware
from bnnhw.cli.options import Json
from bnnhw.pipeline import bundle

app = typer.Typer(help="One archive with model, hardware, proofs, reports and verdicts, and its check.")
Out = Annotated[Path, typer.Option("--out", help="The archive to write.")]
Verdicts = Annotated[Path | None, typer.Option("--verdicts", help="Results of `bnnhw verify` for the same model.")]
Family = Annotated[str, typer.Option("--family", help="Device family to count for: xc7, xcup, ice40, ecp5 or none.")]
Archive = Annotated[Path, typer.Argument(help="An archive that `bnnhw bundle make` wrote.", show_default=False)]


@app.command()
def make(
    hardware: Hardware,
    out: Out = Path("runs/bundle.zip"),
    verdicts: Verdicts = None,
    family: Family = "xc7",
    json: Json = False,
) -> None:
    """Prove, simulate and count the hardware, and put it all into one archive."""
    out.parent.mkdir(parents=True, exist_ok=True)
    index = bundle.pack(hardware, out, verdicts, None if family == "none" else family)
    if json:
        print_json({**index, "bundle": str(out)})
    else:
        say(f"{out}: {len(index['files'])} files about the model {index['model_digest'][:16]}")


@app.command()
def check(archive: Archive, json: Json = False) -> None:
    """Find out from the archive alone whether it is what it says: prove, simulate and replay again."""
    found = bundle.check(archive)
    if json:
        print_json([one.__dict__ for one in found])
    else:
        rows: list[list[object]] = [
            [one.what, "stated" if one.holds is None else "holds" if one.holds else "FAILS", one.detail]
            for one in found
        ]
        print_table(str(archive), ["what", "result", "detail"], rows)
    if any(one.holds is False for one in found):
        raise typer.Exit(1)
