"""The ablation: rows that differ in one method, a run that is found again, and a page that holds what the rows say."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path

import ablation
import numpy as np
import pytest
import tables

import bnnhw.data
from bnnhw.data import Dataset


def test_every_row_is_the_baseline_but_for_a_method() -> None:
    rows = ablation.recipes(12, threads=1)
    base = rows["baseline"]
    for name, recipe in rows.items():
        changed = {entry.name for entry in fields(recipe) if getattr(recipe, entry.name) != getattr(base, entry.name)}
        assert len(changed) == {"baseline": 0, "Bop": 2, "second-order Bop": 2, "small boxes, chosen exactly": 2}.get(
            name, 1
        ), (name, changed)
    for epochs in (1, 2, 3, 100):
        assert all(recipe.epochs == epochs for recipe in ablation.recipes(epochs, threads=1).values())


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Noise in the shape of MNIST, whose class is how bright its middle is."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 260)
    pixels = rng.integers(0, 60, (260, 1, 28, 28))
    pixels[:, :, 8:20, 8:20] += (20 * labels)[:, None, None, None]
    mnist = Dataset(
        "mnist",
        pixels[:200].astype(np.uint8),
        labels[:200],
        pixels[200:].astype(np.uint8),
        labels[200:],
        0,
        255,
        tuple("0123456789"),
    )
    monkeypatch.setattr(bnnhw.data, "load", lambda name, folder: mnist)
    return mnist


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *more: str) -> list[dict]:
    fixed = "--data x --images 200 --epochs 1 --verify 5 --seconds 1 --rows"
    folders = ["--out", str(tmp_path / "runs"), "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["ablation.py", *fixed.split(), *more, *folders])
    ablation.main()
    return [json.loads(line) for line in (tmp_path / "ablation.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("images")
def test_a_row_is_run_once_and_its_shares_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = run(monkeypatch, tmp_path, "baseline")
    assert row["mismatches"] == 0
    assert row["verified"] <= row["pgd"] <= 1
    assert 0 < row["natural"] <= 1
    assert run(monkeypatch, tmp_path, "baseline") == [row]
    assert len(run(monkeypatch, tmp_path, "baseline", "ternary weights")) == 2
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "no such row")


def row(name: str, epochs: int, verified: float) -> dict:
    figures = ("natural", "pgd", "unknown", "by_bounds", "mean_seconds", "median_seconds", "max_seconds", "sparsity")
    budget = {"images": 1000, "epochs": epochs, "verify": 50, "seconds": 2.0}
    given = dict.fromkeys(figures, 0.5) | {"mean_bound": 3.2, "max_bound": 9, "train_seconds": 7.0}
    return {"row": name, "budget": budget, "verified": verified, **given}


def test_the_page_holds_a_table_for_each_budget_and_keeps_the_rest() -> None:
    table = tables.ablation([row("a", 2, 0.25), row("b", 3, 0.75), row("c", 2, 0.125)])
    assert table.count("| method |") == 2
    assert table.index("| c |") < table.index("| b |")
    assert "| c | 50.0% | 50.0% | 12.5% | 50.0% |" in table
    page = "before\n<!-- ablation begins -->\nold\n<!-- ablation ends -->\nafter\n"
    made = tables.filled(page, "ablation", table)
    assert made.startswith("before\n<!-- ablation begins -->\n1,000 training images, 2 epochs")
    assert made.endswith("<!-- ablation ends -->\nafter\n")
    assert "old" not in made
    assert tables.filled(made, "ablation", table) == made
    with pytest.raises(ValueError, match="once each"):
        tables.filled("nothing", "ablation", table)


def test_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert tables.main() == 0
