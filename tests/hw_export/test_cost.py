"""The cost model is the one that its data give, and plans stay within budgets that are stated in its terms."""

import importlib.util
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from random_models import random_model

from bnnhw.hw_export import DEVICES, Budget, budget, fastest, plan
from bnnhw.hw_export.folding import paces

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "hw_export"


@pytest.fixture(scope="module")
def layers():
    spec = importlib.util.spec_from_file_location("layers", BENCHMARKS / "layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_layers_are_counted_together_as_they_are_alone(layers):
    """Folded layers share a run of Yosys, each as a module of its own; the committed counts come from such runs."""
    counted = {line["layer"]: line for line in layers.counted_lines(BENCHMARKS / "layers.jsonl")}
    assert layers.together([5, 6, 8]) == [[8], [5, 6]]
    assert layers.count([6]) == [counted[6]]


def test_the_coefficients_are_what_the_committed_counts_give(layers):
    coefficients, report, _ = layers.fit(layers.samples(BENCHMARKS / "layers.jsonl"))
    stored = json.loads((files("bnnhw.hw_export") / "cost.json").read_text())
    assert stored["errors"] == report
    assert stored["coefficients"].keys() == coefficients.keys()
    for kind, fitted in coefficients.items():
        assert stored["coefficients"][kind] == pytest.approx(fitted, abs=1e-3)
    held_out = report["held out"]
    assert held_out["mean error"] < 0.08
    assert held_out["within 15 %"] >= 0.9
    assert abs(held_out["error of the sum"]) < 0.03


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_the_fastest_plan_within_a_budget_is_within_it_and_faster_ones_are_not(seed):
    model = random_model(np.random.default_rng(seed), (2, 6, 6), hidden=3)
    slow, quick = plan(model, 10**6), plan(model, 1)
    limit = Budget((slow.lookup_tables + quick.lookup_tables) / 2)
    assert limit.holds(slow)
    cycles = fastest(model, limit)
    assert limit.holds(plan(model, cycles))
    slower = [pace for pace in paces(model) if plan(model, pace).cycles == cycles]
    before = [pace for pace in paces(model) if pace < min(slower)]
    assert not before or not limit.holds(plan(model, before[-1]))


def test_budgets_that_nothing_fits_are_refused_with_what_it_takes():
    model = random_model(np.random.default_rng(0), (2, 6, 6))
    with pytest.raises(ValueError, match="smallest folding takes about"):
        fastest(model, Budget(10))
    with pytest.raises(ValueError, match="xc7z020"):
        budget("xc7z021")
    assert fastest(model, budget("xc7z020")) == plan(model, 1).cycles
    assert all(budget(name).lookup_tables < whole.lookup_tables for name, whole in DEVICES.items())
