"""``bnnhw certify check``: do certificates show what they say?"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli.console import print_json, print_table, progress_bar
from bnnhw.cli.options import Json, Workers
from bnnhw.verify.certificate import Certificate, CertificateError, Known, know, read, refusal
from bnnhw.verify.formula import read_bytes

app = typer.Typer(help="Certificates of verdicts, and their check.")
Paths = Annotated[list[Path], typer.Argument(help="Certificates, *.cert, or folders of them.", show_default=False)]
Models = Annotated[
    list[Path] | None,
    typer.Option("--model", help="A model file that certificates are about; by default those beside them. Repeatable."),
]
Formulas = Annotated[
    list[Path] | None,
    typer.Option("--formula", help="A formula *.knf or *.knf.gz that certificates are about; repeatable."),
]


@dataclass(frozen=True)
class Checked:
    """What came of one certificate. refusal: why it does not hold; None if it does."""

    path: str
    verdict: str
    refusal: str | None
    seconds: float


@app.callback()
def _group() -> None:
    """Certificates of verdicts, and their check."""


@app.command()
def check(
    paths: Paths, model: Models = None, formula: Formulas = None, workers: Workers = None, json: Json = False
) -> None:
    """Check every certificate with a program that shares nothing with the solver and what it was told.

    Exit codes: 0 all hold; 1 some does not, and the table says why; 2 a file cannot be used.
    """
    files = certificates(paths)
    known = known_to(files, model, formula)
    begun = time.perf_counter()
    # The checker works outside Python's lock, so threads keep all cores busy.
    with ThreadPoolExecutor(workers or os.cpu_count()) as threads, progress_bar("certificates", len(files)) as bar:
        checked = []
        for one in threads.map(lambda path: check_one(path, known), files):
            checked.append(one)
            bar.advance()
    report(checked, time.perf_counter() - begun, json)
    if any(one.refusal is not None for one in checked):
        raise typer.Exit(1)


def certificates(paths: Sequence[Path]) -> list[Path]:
    """The files meant; CertificateError where there are none."""
    files = []
    for path in paths:
        if not path.exists():
            raise CertificateError(f"there is no certificate or folder {path}")
        inside = sorted(path.glob("*.cert")) if path.is_dir() else [path]
        if not inside:
            raise CertificateError(f"there are no certificates *.cert in {path}")
        files += inside
    return files


def known_to(files: Sequence[Path], models: Sequence[Path] | None, formulas: Sequence[Path] | None) -> Known:
    """What the certificates may be about: the files named, or the models beside the certificates."""
    if models is None:
        models = sorted({model for folder in {file.parent for file in files} for model in folder.glob("*.bnn")})
    return know([one.read_bytes() for one in models], [read_bytes(one) for one in formulas or []])


def check_one(path: Path, known: Known) -> Checked:
    """Read and check one certificate."""
    begun = time.perf_counter()
    certificate: Certificate | None = None
    try:
        certificate = read(path)
        why = refusal(certificate, known)
    except CertificateError as error:
        why = str(error)
    verdict = "?" if certificate is None else certificate.verdict
    return Checked(str(path), verdict, why, time.perf_counter() - begun)


def report(checked: Sequence[Checked], seconds: float, json: bool) -> None:
    """A line for each verdict, and one for each certificate that does not hold."""
    refused = [one for one in checked if one.refusal is not None]
    if json:
        totals = {"certificates": len(checked), "hold": len(checked) - len(refused), "seconds": seconds}
        print_json({**totals, "checked": [asdict(one) for one in checked]})
        return
    verdicts = Counter(one.verdict for one in checked)
    holding = Counter(one.verdict for one in checked if one.refusal is None)
    spent = {verdict: sum(one.seconds for one in checked if one.verdict == verdict) for verdict in verdicts}
    rows: list[list[object]] = [
        [verdict, number, holding[verdict], number - holding[verdict], spent[verdict] / number]
        for verdict, number in verdicts.items()
    ]
    rows.append(["all", len(checked), len(checked) - len(refused), len(refused), sum(spent.values()) / len(checked)])
    print_table(f"certificates, {seconds:.2f} s", ["verdict", "checked", "hold", "refused", "mean s"], rows)
    if refused:
        print_table("refused", ["certificate", "why"], [[Path(one.path).name, one.refusal] for one in refused])
