"""The accuracy tables of docs/results.md, from what `bnnhw evaluate --json` printed, beside published numbers.

    bnnhw evaluate MODEL --dataset mnist --data DIR --eps 0.1 --checkpoint RUN/checkpoint.pt --json > FOLDER/NAME.json
    python benchmarks/train/results.py [--results FOLDER] [--page FILE]

One file a network; its name stands in the table. The tables stand between two comments, ``<!-- accuracy begins -->``
and ``<!-- accuracy ends -->``; what lies outside is written by hand and kept. Every row of ours is of an integer model;
one on fewer images than the whole test set says so. Other people's rows are of their own networks, measured by
themselves, on their own machines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from textwrap import fill
from typing import Any

from tables import filled

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "results.md"
WHOLE = {"mnist": 10_000, "fashion-mnist": 10_000, "cifar10": 10_000, "digits": 359}
"""Test images of each data set."""


@dataclass(frozen=True)
class Published:
    """Somebody else's network. Accuracies in percent, None where none is stated. solve: mean seconds, as stated."""

    name: str
    natural: float | None
    pgd: float | None
    verified: float
    unknown: float | None = None
    solve: float | None = None


HEAD = """Made by `python benchmarks/train/results.py` from what `bnnhw evaluate --json` printed: do not edit. Rows in
bold are this project's, all of the integer model: natural accuracy, accuracy under PGD (100 steps, followed on the
float network or on one rebuilt from the model, judged on the integer model), and verified accuracy, where an image
counts when no image of the ball is classified otherwise. Times are over all images."""

EEV_NOTE = """EEV is Jia and Rinard, NeurIPS 2020: S is conv-small, L is conv-large with cardinality bound decay of 5e-4
and the verifier in the loop, 200 epochs each. Its MNIST and CIFAR-10 2/255 figures are quoted from memory of the paper,
whose text was not at hand: take their last digits, and PGD and natural accuracy altogether, as approximate. Its
verified and natural ones at 8/255, and the solve times there, agree with what its repository shows. Its natural
accuracy is that of the float network; its integer conversion was made in float32. It counts a tie as robust and a
timeout (120 s) as not; its times are of its authors' workstation. The real-valued rows are Xiao et al., ICLR 2019, as
EEV's repository cites them (unknown: upper bound minus verified), and CROWN-IBP (Zhang et al., ICLR 2020)."""

PUBLISHED: dict[tuple[str, Fraction], tuple[Published, ...]] = {
    ("mnist", Fraction(1, 10)): (
        Published("EEV S", 97.44, 93.47, 89.29),
        Published("EEV L", 97.46, 95.47, 91.68),
        Published("real-valued small, Xiao et al.", 98.68, 95.13, 94.33, 0.05, 0.49),
        Published("real-valued large, Xiao et al.", 98.95, 96.58, 95.60, 0.0, 0.27),
        Published("real-valued, CROWN-IBP", None, None, 97.8),
    ),
    ("mnist", Fraction(3, 10)): (
        Published("EEV S", 94.31, 80.70, 66.42),
        Published("EEV L", 96.36, 87.90, 77.59),
        Published("real-valued small, Xiao et al.", 97.33, 92.05, 80.68, 1.02, 2.78),
        Published("real-valued large, Xiao et al.", 97.54, 93.25, 59.60, 24.1, 37.45),
        Published("real-valued, CROWN-IBP", None, None, 92.98),
    ),
    ("cifar10", Fraction(2, 255)): (
        Published("EEV S", 46.58, 33.70, 26.13),
        Published("EEV L", 47.35, 38.22, 30.49),
        Published("real-valued small, Xiao et al.", 61.12, 49.92, 45.93, 1.86, 13.5),
        Published("real-valued large, Xiao et al.", 61.41, 50.61, 41.40, 9.6, 29.88),
    ),
    ("cifar10", Fraction(8, 255)): (
        Published("EEV S", 37.75, 24.60, 18.93, 0.0, 0.001405),
        Published("EEV L", 35.00, 26.41, 22.55, 0.0, 0.00900),
        Published("real-valued small, Xiao et al.", 40.45, 26.78, 20.27, 2.47, 22.33),
        Published("real-valued large, Xiao et al.", 42.81, 28.69, 19.80, 5.4, 20.14),
    ),
}

NONE = "No network of this project has been evaluated here yet."
COLUMNS = (
    "network | natural % | PGD % | verified % | unknown % | solve s, mean / median / max | build s, mean | sparsity | "
    "bound, mean / max | trained"
)


@dataclass(frozen=True)
class Measured:
    """One epsilon of one evaluation. whole: what the JSON file holds; row: its entry for the epsilon."""

    name: str
    whole: dict[str, Any]
    row: dict[str, Any]

    @property
    def setting(self) -> tuple[str, Fraction]:
        return self.whole["dataset"], Fraction(self.row["eps"])

    def share(self, count: int) -> float:
        """In percent of the images."""
        return 100 * count / int(self.whole["images"])


def read(folder: Path) -> list[Measured]:
    """Every epsilon of every ``*.json`` in ``folder``; ValueError, naming the file, for one that is no evaluation."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            whole = json.loads(path.read_text())
            rows = [Measured(path.stem, whole, row) for row in whole["robustness"]]
            for one in rows:
                line(one)
                if not one.row["verified"] <= one.row["pgd"] <= whole["natural"] or whole["kernel_mismatches"]:
                    raise ValueError(f"{path} contradicts itself: evaluate the model again")
        except (KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(f"{path} is not what `bnnhw evaluate --eps ... --json` prints: remove it") from None
        found += rows
    return found


def line(one: Measured) -> str:
    """A row of the table."""
    whole, row = one.whole, one.row
    images, every = int(whole["images"]), WHOLE.get(whole["dataset"])
    name = f"**{one.name}** `{whole['digest'][:8]}`" + ("" if images == every else f", {images} images")
    accuracies = [one.share(count) for count in (whole["natural"], row["pgd"], row["verified"], row["unknown"])]
    solve = " / ".join(f"{row['solve'][part]:.3g}" for part in ("mean", "median", "largest"))
    mean, largest = whole["bound_mean"], whole["bound_largest"]
    bound = "-" if mean is None else f"{mean:.1f} / {largest}"
    cells = [name, *(f"{value:.2f}" for value in accuracies), solve, f"{row['build']['mean']:.3g}"]
    return _row([*cells, f"{100 * whole['sparsity']:.1f} %", bound, _trained(whole["training"])])


def _trained(training: dict[str, Any] | None) -> str:
    if training is None:
        return "-"
    recipe = training["recipe"]
    return f"{recipe['arch']}, {recipe['epochs']} epochs, {training['seconds']:.0f} s"


def _published(one: Published) -> str:
    def cell(value: float | None, form: str = ".2f") -> str:
        return "-" if value is None else format(value, form)

    accuracies = [cell(value) for value in (one.natural, one.pgd, one.verified, one.unknown)]
    return _row([one.name, *accuracies, cell(one.solve, ".3g"), "-", "-", "-", "-"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _title(setting: tuple[str, Fraction]) -> str:
    dataset, eps = setting
    names = {"mnist": "MNIST", "cifar10": "CIFAR-10", "fashion-mnist": "Fashion-MNIST", "digits": "Digits"}
    decimal = 1000 % eps.denominator == 0
    return f"{names.get(dataset, dataset)}, epsilon {float(eps) if decimal else eps}"


def _standing(measured: Sequence[Measured], published: Sequence[Published]) -> str:
    """How far the best network of ours is from the best of theirs, and of real-valued networks."""
    best = max(measured, key=lambda one: one.share(one.row["verified"]))
    ours = best.share(best.row["verified"])
    sentences = []
    for kind in ("EEV", "real-valued"):
        theirs = max(
            (one for one in published if one.name.startswith(kind)), key=lambda one: one.verified, default=None
        )
        if theirs is not None:
            sentences.append(f"{ours - theirs.verified:+.2f} points against {theirs.name}")
    return f"Best verified: {best.name}, {ours:.2f} %" + (f" ({', '.join(sentences)})." if sentences else ".")


def _paragraph(text: str) -> str:
    return fill(" ".join(text.split()), 120)


def accuracy(measured: Sequence[Measured]) -> str:
    """What stands between the comments."""
    parts = [
        _paragraph(HEAD),
        _paragraph(EEV_NOTE),
    ]
    settings = list(dict.fromkeys([*PUBLISHED, *(one.setting for one in measured)]))
    for setting in settings:
        ours = [one for one in measured if one.setting == setting]
        theirs = PUBLISHED.get(setting, ())
        lines = [f"| {COLUMNS} |", _row(["---"] * len(COLUMNS.split("|")))]
        lines += [line(one) for one in ours] + [_published(one) for one in theirs]
        parts += [f"### {_title(setting)}", "\n".join(lines)]
        parts.append(_standing(ours, theirs) if ours else NONE)
        parts += sorted({f"Data: {one.whole['note']}." for one in ours if one.whole["note"]})
    return "\n" + "\n\n".join(parts) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder of JSON files")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to fill")
    arguments = parser.parse_args()
    measured = read(arguments.results)
    arguments.page.write_text(filled(arguments.page.read_text(), "accuracy", accuracy(measured)))
    print(f"{arguments.page}: {len(measured)} rows of ours")


if __name__ == "__main__":
    main()
