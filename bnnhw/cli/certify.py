"""``bnnhw certify``: do certificates show what they say, with how little, and to whom?"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from bnnhw.cli.console import print_json, print_table, progress_bar
from bnnhw.cli.options import Json, Workers
from bnnhw.model.file import write_atomically
from bnnhw.verify import veripb, xlrup
from bnnhw.verify.certificate import Certificate, CertificateError, Known, know, read, refusal
from bnnhw.verify.formula import read_bytes
from bnnhw.verify.trimming import trimmed

app = typer.Typer(help="Certificates of verdicts: their check, their trimming, and other checkers' formats.")
Paths = Annotated[list[Path], typer.Argument(help="Certificates, *.cert, or folders of them.", show_default=False)]
Models = Annotated[
    list[Path] | None,
    typer.Option("--model", help="A model file that certificates are about; by default those beside them. Repeatable."),
]
Elsewhere = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for the trimmed certificates; by default they are replaced."),
]
Formulas = Annotated[
    list[Path] | None,
    typer.Option("--formula", help="A formula *.knf or *.knf.gz that certificates are about; repeatable."),
]


OneCertificate = Annotated[Path, typer.Argument(help="A certificate, *.cert.", show_default=False)]
Format = Annotated[str, typer.Option("--format", help="veripb: .opb and .pbp (2.0). xlrup: .xnf and .xlrup.")]
Stem = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", help="The files' name without its ending; by default the certificate's."),
]
FORMATS: dict[str, Callable[[Certificate, Known], dict[str, Iterator[str]]]] = {
    "veripb": veripb.files,
    "xlrup": xlrup.files,
}


@dataclass(frozen=True)
class Checked:
    """What came of one certificate. refusal: why it does not hold; None if it does."""

    path: str
    verdict: str
    refusal: str | None
    seconds: float


@dataclass(frozen=True)
class Trimmed:
    """What came of trimming one certificate: bytes of the file before and after, the same where it does not help."""

    path: str
    verdict: str
    refusal: str | None
    before: int
    after: int


@app.callback()
def _group() -> None:
    """Certificates of verdicts: their check, their trimming, and other checkers' formats."""


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


@app.command()
def trim(
    paths: Paths,
    model: Models = None,
    formula: Formulas = None,
    out: Elsewhere = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Drop from every proof the steps that its contradiction does not rest on.

    The result is an ordinary certificate, checked before it is written. One without a proof, or that trimming makes no
    smaller, stays as it is, and so does one that does not hold.

    Exit codes: 0 done; 1 some does not hold, and the table says why; 2 a file cannot be used.
    """
    files = certificates(paths)
    if out is not None:
        require_one_name_each(files)
        out.mkdir(parents=True, exist_ok=True)
    known = known_to(files, model, formula)
    with ThreadPoolExecutor(workers or os.cpu_count()) as threads, progress_bar("certificates", len(files)) as bar:
        made = []
        for one in threads.map(lambda path: trim_one(path, known, path if out is None else out / path.name), files):
            made.append(one)
            bar.advance()
    report_trimmed(made, json)
    if any(one.refusal is not None for one in made):
        raise typer.Exit(1)


@app.command()
def export(
    certificate: OneCertificate,
    format: Format,
    out: Stem = None,
    model: Models = None,
    formula: Formulas = None,
    json: Json = False,
) -> None:
    """Translate a proof into a format that other people's checkers read, with the formula that they check it on.

    The formula is the one that `bnnhw certify check` works out from the model; the proof is the certificate's, trimmed.

    Exit codes: 0 written; 1 the certificate does not hold; 2 a file cannot be used, or the format cannot say a step.
    """
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}: choose one of {', '.join(FORMATS)}")
    known = known_to(certificates([certificate]), model, formula)
    one = read(certificate)
    why = refusal(one, known)
    if why is not None:
        print_refused([(str(certificate), why)])
        raise typer.Exit(1)
    stem = certificate.with_suffix("") if out is None else out
    written: list[dict[str, object]] = []
    # The proof, which comes last, may turn out to have no translation: then its formula is not left behind.
    for ending, lines in reversed(FORMATS[format](one, known).items()):
        path = stem.with_name(stem.name + ending)
        write_atomically(path, (f"{line}\n".encode() for line in lines))
        written.insert(0, {"path": str(path), "bytes": path.stat().st_size})
    if json:
        print_json({"format": format, "files": written})
    else:
        print_table(f"{certificate.name} for {format}", ["file", "bytes"], [list(one.values()) for one in written])


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


def require_one_name_each(files: Sequence[Path]) -> None:
    """CertificateError where two certificates would be written to the same file of one folder."""
    (name, times), *_ = Counter(file.name for file in files).most_common(1)
    if times > 1:
        raise CertificateError(f"{times} certificates are called {name}: trim one folder at a time")


def trim_one(path: Path, known: Known, target: Path) -> Trimmed:
    """Read and trim one certificate; written if it holds and is smaller, or is to be elsewhere."""
    before = path.stat().st_size
    try:
        certificate = read(path)
    except CertificateError as error:
        return Trimmed(str(path), "?", str(error), before, before)
    try:
        smaller = trimmed(certificate, known)
    except ValueError as error:
        return Trimmed(str(path), certificate.verdict, str(error), before, before)
    data = path.read_bytes() if smaller is certificate else smaller.file
    if smaller is not certificate or target != path:
        write_atomically(target, data)
    return Trimmed(str(path), certificate.verdict, None, before, len(data))


def report_trimmed(made: Sequence[Trimmed], json: bool) -> None:
    """Sizes before and after by verdict, and a line for each certificate that does not hold."""
    before, after = sum(one.before for one in made), sum(one.after for one in made)
    if json:
        smaller = sum(one.after < one.before for one in made)
        totals = {"certificates": len(made), "smaller": smaller, "before": before, "after": after}
        print_json({**totals, "trimmed": [asdict(one) for one in made]})
        return
    rows: list[list[object]] = []
    for verdict in dict.fromkeys(one.verdict for one in made):
        chosen = [one for one in made if one.verdict == verdict]
        rows.append([verdict, *sizes(chosen)])
    rows.append(["all", *sizes(made)])
    print_table("trimmed certificates", ["verdict", "number", "smaller", "as before", "bytes before", "after"], rows)
    print_refused([(one.path, one.refusal) for one in made])


def sizes(made: Sequence[Trimmed]) -> list[object]:
    """How many, how many got smaller and how many did not, and their bytes before and after."""
    smaller = sum(one.after < one.before for one in made)
    return [len(made), smaller, len(made) - smaller, sum(one.before for one in made), sum(one.after for one in made)]


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
    print_refused([(one.path, one.refusal) for one in checked])


def print_refused(told: Sequence[tuple[str, str | None]]) -> None:
    """A line for each path that comes with a reason."""
    rows: list[list[object]] = [[Path(path).name, why] for path, why in told if why is not None]
    if rows:
        print_table("refused", ["certificate", "why"], rows)
