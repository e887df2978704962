"""Natural, attacked and verified accuracy: equal to brute force on a tiny network, in order, and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brute_force import box_members
from random_models import random_model, random_pixels

import bnnhw.pipeline.replayed_attack as replayed_attack
from bnnhw.data import Dataset, load
from bnnhw.model import IntegerModel, digest
from bnnhw.model.reference import predict
from bnnhw.pipeline.evaluation import Plan, check_order, evaluate_model
from bnnhw.train import Recipe, lower, train
from bnnhw.train.recipe import Adversary
from bnnhw.train.trainer import finished
from bnnhw.verify import Record, UnsoundnessError


def tiny(seed: int, overhang: bool = True) -> tuple[IntegerModel, Dataset]:
    """A network of 2x3 pixels in 0..6 that often changes its class, and images whose labels it mostly gets right."""
    rng = np.random.default_rng(seed)
    while True:
        model = random_model(rng, (1, 2, 3), levels=3, hidden=2, pixel_range=(0, 6), overhang=overhang)
        images = random_pixels(rng, model, 40).astype(np.uint8)
        labels = predict(model, images)
        if np.bincount(labels).max() < 25:
            break
    labels[::7] = (labels[::7] + 1) % 3
    names = ("zero", "one", "two")
    return model, Dataset("tiny", images[:10], labels[:10], images[10:], labels[10:], 0, 6, names)


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_brute_force(seed: int, tmp_path: Path) -> None:
    model, data = tiny(seed)
    found = evaluate_model(model, data, Plan(["1/6", "2/6"], tmp_path, steps=20, workers=1))
    right = predict(model, data.test_images) == data.test_labels
    assert (found.images, found.natural, found.kernel_mismatches) == (30, right.sum(), 0)
    assert found.digest == digest(model)
    for row, radius in zip(found.rows, (1, 2), strict=True):
        robust = 0
        for image, label in zip(data.test_images.astype(int), data.test_labels, strict=True):
            members = box_members(np.maximum(image - radius, 0), np.minimum(image + radius, 6))
            robust += bool((predict(model, members) == label).all())
        assert (row.radius, row.verified, row.falsified, row.unknown) == (radius, robust, 30 - robust, 0)
        assert row.verified <= row.pgd <= found.natural
        assert row.solve.median <= row.solve.largest <= row.total.largest


def test_the_attack_finds_what_there_is_to_find(tmp_path: Path) -> None:
    broken = missed = 0
    for seed in range(8):
        model, data = tiny(seed, overhang=False)
        found = evaluate_model(model, data, Plan(["2/6"], tmp_path / str(seed), steps=20, workers=1))
        broken += found.natural - found.rows[0].verified
        missed += found.rows[0].pgd - found.rows[0].verified
    assert broken > 100
    assert missed < 0.1 * broken


def test_images_proven_robust_need_no_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny(1)
    plan = Plan(["1/6"], tmp_path / "all", steps=5, workers=1)
    attacked: list[int] = []
    pgd = replayed_attack.pgd
    monkeypatch.setattr(replayed_attack, "pgd", lambda *a, **k: attacked.append(len(a[1])) or pgd(*a, **k))
    whole = evaluate_model(model, data, plan)
    fewer = evaluate_model(model, data, replace(plan, results=tmp_path / "fewer", skip_proven=True))
    (row,), (other,) = whole.rows, fewer.rows
    assert (row.pgd, row.verified) == (other.pgd, other.verified)
    assert attacked == [whole.images, whole.natural - row.verified]
    assert 0 < attacked[1] < attacked[0]
    assert whole.attack is not None
    assert fewer.attack == {**whole.attack, "skips": "images proven robust"}


def test_a_second_run_attacks_and_solves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny(1)
    plan = Plan(["2/6"], tmp_path, steps=5, workers=1)
    whole = evaluate_model(model, data, plan)
    lines = (tmp_path / "attacks.jsonl").read_text()
    with (tmp_path / "attacks.jsonl").open("a") as stream:
        stream.write('{"attack": {"interr')
    monkeypatch.setattr(replayed_attack, "pgd", None)
    assert evaluate_model(model, data, plan) == whole
    assert (tmp_path / "attacks.jsonl").read_text() == lines
    with pytest.raises(TypeError):
        evaluate_model(model, data, replace(plan, steps=6))


def test_an_interrupted_attack_goes_on_with_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayed_attack, "BATCH", 8)
    model, data = tiny(2)
    plan = Plan(["2/6"], tmp_path / "whole", steps=3, workers=1)
    whole = evaluate_model(model, data, plan)
    lines = (tmp_path / "whole" / "attacks.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 4
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "attacks.jsonl").write_text("".join(lines[:2]))
    assert evaluate_model(model, data, replace(plan, results=tmp_path / "half")).rows[0].pgd == whole.rows[0].pgd
    assert (tmp_path / "half" / "attacks.jsonl").read_text() == "".join(lines)


def record(status: str, stage: str) -> Record:
    return Record({"index": 7, "query": "q", "status": status, "stage": stage, "seconds": {}})


@pytest.mark.parametrize(
    ("right", "unbroken", "status", "stage", "complaint"),
    [
        (True, False, "robust", "bounds", "proven robust, but the attack"),
        (False, False, "robust", "solver", "misclassified and proven robust"),
        (False, True, "falsified", "clean", "misclassified and counts as unbroken"),
        (True, True, "falsified", "clean", "disagree about image 7 itself"),
        (False, False, "falsified", "solver", "disagree about image 7 itself"),
    ],
)
def test_an_impossible_order_is_an_internal_error(
    right: bool, unbroken: bool, status: str, stage: str, complaint: str
) -> None:
    with pytest.raises(UnsoundnessError, match=complaint):
        check_order(np.array([right]), np.array([unbroken]), [record(status, stage)])
    check_order(np.array([True]), np.array([False]), [record("falsified", "solver")])
    check_order(np.array([True]), np.array([True]), [record("unknown", "solver")])


def test_an_attack_that_only_the_kernels_believe_in_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = tiny(1)

    class Wrong:
        def __init__(self, model: IntegerModel) -> None: ...

        def predict(self, pixels: np.ndarray) -> np.ndarray:
            return (predict(model, pixels) + 1) % 3

    monkeypatch.setattr(replayed_attack, "compile_model", Wrong)
    with pytest.raises(UnsoundnessError, match="reference inference does not"):
        evaluate_model(model, data, Plan(["1/6"], tmp_path, steps=2, workers=1))


def test_a_checkpoint_lends_its_gradients_to_its_own_model_only(tmp_path: Path) -> None:
    digits = load("digits")
    few = replace(digits, train_images=digits.train_images[:96], train_labels=digits.train_labels[:96])
    recipe = Recipe(quantizer=(4, 9), epochs=1, batch=32, width=0.3, adversary=Adversary(epsilon=0.07, steps=1))
    model = lower(train(few, recipe, tmp_path, progress=False).network)
    plan = Plan(["1/16"], tmp_path / "eval", count=12, steps=3, checkpoint=tmp_path / "checkpoint.pt", workers=1)
    found = evaluate_model(model, few, plan)
    assert found.attack == {"steps": 3, "gradients": "the trained network's", "seed": 0}
    assert found.training is not None
    assert found.training["recipe"]["width"] == 0.3
    assert json.loads(json.dumps(found.as_json()))["training"]["chosen_epoch"] == 1
    assert found.rows[0].verified <= found.rows[0].pgd <= found.natural
    other = replace(model, output=replace(model.output, bias=model.output.bias + 1))
    with pytest.raises(ValueError, match="training of another model"):
        evaluate_model(other, few, plan)


def test_an_unfinished_training_lends_nothing(tmp_path: Path) -> None:
    digits = load("digits")
    few = replace(digits, train_images=digits.train_images[:64], train_labels=digits.train_labels[:64])
    recipe = Recipe(quantizer=(4, 9), epochs=2, batch=32, width=0.3, adversary=Adversary(epsilon=0.07, steps=1))

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few, recipe, tmp_path, progress=False, on_epoch=stop)
    with pytest.raises(ValueError, match="not finished"):
        finished(few, tmp_path / "checkpoint.pt")


def test_damaged_results_and_absent_images_are_named(tmp_path: Path) -> None:
    model, data = tiny(0)
    with pytest.raises(ValueError, match="past the last"):
        evaluate_model(model, data, Plan(["1/6"], tmp_path, first=30))
    (tmp_path / "attacks.jsonl").write_text(json.dumps({"attack": 3}) + "\n")
    with pytest.raises(ValueError, match=r"attacks\.jsonl, line 1"):
        evaluate_model(model, data, Plan(["1/6"], tmp_path, workers=1))
