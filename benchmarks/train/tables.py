"""Writes the tables of docs/results.md from the rows that the benchmarks of this folder left.

    python benchmarks/train/tables.py

Each table stands between two comments, ``<!-- NAME begins -->`` and ``<!-- NAME ends -->``; what lies outside is
written by hand and kept. With ``--check`` nothing is written, and the exit status is 1 where the page is not up to
date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "results.md"
COLUMNS = (
    "method",
    "natural",
    "PGD",
    "verified",
    "unknown",
    "by bounds",
    "mean s",
    "median s",
    "max s",
    "sparsity",
    "mean bound",
    "max bound",
    "training s",
)


def ablation(rows: list[dict[str, Any]]) -> str:
    """One table for each budget, in the order of the file."""
    budgets = {json.dumps(row["budget"]): row["budget"] for row in rows}
    return "\n".join(
        f"{budget['images']:,} training images, {budget['epochs']} epochs; PGD and verdicts on the first "
        f"{budget['verify']:,} test images, at most {budget['seconds']:g} s a query.\n\n"
        f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
        + "".join(_line(row) for row in rows if row["budget"] == budget)
        for budget in budgets.values()
    )


def _line(row: dict[str, Any]) -> str:
    shares = [f"{row[name]:.1%}" for name in ("natural", "pgd", "verified", "unknown", "by_bounds")]
    times = [f"{row[name]:.2g}" for name in ("mean_seconds", "median_seconds", "max_seconds")]
    sizes = [f"{row['sparsity']:.1%}", f"{row['mean_bound']:.0f}", f"{row['max_bound']}", f"{row['train_seconds']:.0f}"]
    return f"| {' | '.join([row['row'], *shares, *times, *sizes])} |\n"


def filled(page: str, name: str, table: str) -> str:
    """``page`` with ``table`` between the comments of ``name``; ValueError where they are missing."""
    begins, ends = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    if page.count(begins) != 1 or page.count(ends) != 1:
        raise ValueError(f"the page must have {begins} and {ends} once each")
    before, rest = page.split(begins)
    return f"{before}{begins}\n{table}{ends}{rest.split(ends)[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    arguments = parser.parse_args()
    path = RESULTS / "ablation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    before = PAGE.read_text(encoding="utf-8")
    page = filled(before, "ablation", ablation(rows))
    if arguments.check:
        return int(page != before)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
