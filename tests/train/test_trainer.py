"""Training: learns, resumes bit for bit after any interruption, and refuses what does not belong to it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnnhw.data import Dataset, load
from bnnhw.model.reference import predict
from bnnhw.train import Recipe, TrainResult, agreement, lower, score, train
from bnnhw.train.checkpoint import load_checkpoint
from bnnhw.train.trainer import CHECKPOINT, METRICS, RECIPE, _Run

RECIPE_4 = Recipe(
    quantizer=(4, 9),
    epochs=4,
    batch=32,
    epsilon=0.1,
    epsilon_ramp=2,
    steps=2,
    steps_ramp=2,
    mask_decay=1e-5,
    bound_decay=1e-4,
    width=0.5,
    choose_epochs=2,
    seed=7,
)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = load("digits")
    return replace(whole, train_images=whole.train_images[:200], train_labels=whole.train_labels[:200])


@pytest.fixture(scope="module")
def uninterrupted(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, dict[str, Any]]:
    out = tmp_path_factory.mktemp("whole")
    result = train(digits, RECIPE_4, out, progress=False)
    return result, load_checkpoint(out / CHECKPOINT)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one if "seconds" not in str(key)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str) and one.startswith("[{"):
        return same(json.loads(one), json.loads(other))
    return bool(one == other)


def test_four_epochs_equal_two_then_two_after_a_kill(
    digits: Dataset, tmp_path: Path, uninterrupted: tuple[TrainResult, dict[str, Any]]
) -> None:
    def kill(entry: dict[str, Any]) -> None:
        if entry["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        train(digits, RECIPE_4, tmp_path, progress=False, on_epoch=kill)
    assert len((tmp_path / METRICS).read_text().splitlines()) == 2
    torch.manual_seed(999)
    result = train(digits, RECIPE_4, tmp_path, progress=False)
    whole, checkpoint = uninterrupted
    assert same(load_checkpoint(tmp_path / CHECKPOINT), checkpoint)
    assert same(dict(result.network.state_dict()), dict(whole.network.state_dict()))
    assert result.chosen_epoch == whole.chosen_epoch


def test_ctrl_c_in_the_middle_of_an_epoch_loses_and_changes_nothing(
    digits: Dataset, tmp_path: Path, uninterrupted: tuple[TrainResult, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = _Run.train_step

    def press(run: _Run) -> None:
        step(run)
        if (run.epoch, run.step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(_Run, "train_step", press)
    with pytest.raises(KeyboardInterrupt):
        train(digits, RECIPE_4, tmp_path, progress=False)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is before
    saved = load_checkpoint(tmp_path / CHECKPOINT)
    assert (saved["epoch"], saved["step"]) == (2, 3)
    train(digits, RECIPE_4, tmp_path, progress=False)
    assert same(load_checkpoint(tmp_path / CHECKPOINT), uninterrupted[1])


def test_a_finished_run_is_returned_without_training(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE_4, epochs=1)
    first = train(digits, recipe, tmp_path, progress=False)
    monkeypatch.delattr(_Run, "train_step")
    again = train(digits, recipe, tmp_path, progress=False)
    assert same(dict(first.network.state_dict()), dict(again.network.state_dict()))
    assert again.seconds == first.seconds > 0
    assert lower(first.network) == lower(again.network)


def test_what_belongs_to_another_run_is_refused(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE_4, epochs=1)
    train(digits, recipe, tmp_path, progress=False)
    with pytest.raises(ValueError, match="another recipe"):
        train(digits, replace(recipe, seed=8), tmp_path, progress=False)
    assert Recipe.from_json((tmp_path / RECIPE).read_text()) == recipe
    other = replace(digits, test_images=digits.test_images[:10], test_labels=digits.test_labels[:10])
    with pytest.raises(ValueError, match="other data"):
        train(other, recipe, tmp_path, progress=False)
    result = train(digits, replace(recipe, seed=8), tmp_path, resume=False, progress=False)
    assert result.recipe.seed == 8


def test_a_damaged_checkpoint_is_refused_in_one_sentence(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE_4, epochs=1)
    train(digits, recipe, tmp_path, progress=False)
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    torch.save({"format": "something else"}, tmp_path / "other.pt")
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint", (tmp_path / "other.pt").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt") as caught:
            train(digits, recipe, tmp_path, progress=False)
        assert "\n" not in str(caught.value)


def test_the_seed_decides_everything_and_global_state_nothing(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE_4, epochs=1)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    one = train(digits, recipe, tmp_path / "one", progress=False).network
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(2)
    two = train(digits, recipe, tmp_path / "two", progress=False).network
    three = train(digits, replace(recipe, seed=8), tmp_path / "three", progress=False).network
    assert same(dict(one.state_dict()), dict(two.state_dict()))
    assert not same(dict(one.state_dict()), dict(three.state_dict()))


def test_metrics_and_recipe_are_written(digits: Dataset, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    result = train(digits, RECIPE_4, tmp_path, progress=False, on_epoch=seen.append)
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert lines == seen == list(result.metrics)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["steps"] for line in lines] == [1, 1, 2, 2]
    assert lines[-1]["radius"] == 1
    assert all(name in lines[-1] for name in ("loss", "test_accuracy", "density", "mean_bounds", "choice_attacked"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("arch", ["conv-small", "mnist-mlp"])
def test_digits_are_learnt_in_a_few_epochs_and_lowered_exactly(arch: str, tmp_path: Path) -> None:
    digits = load("digits")
    recipe = Recipe(arch=arch, quantizer=(4, 9), epochs=5, batch=32, lr=3e-3, steps=1, epsilon=0.07, width=0.5)
    result = train(digits, recipe, tmp_path, progress=False)
    model = lower(result.network)
    report = agreement(result.network, model, digits.test_images)
    assert (report.images, report.mismatches) == (len(digits.test_images), 0)
    found = score(result.network, digits.test_images, digits.test_labels, radius=1, steps=5)
    assert found.clean > 0.85 * found.images
    assert found.attacked <= found.clean
    assert int((predict(model, digits.test_images) == digits.test_labels).sum()) == found.clean


def test_a_set_smaller_than_a_batch_trains(tmp_path: Path) -> None:
    digits = load("digits")
    tiny = replace(digits, train_images=digits.train_images[:20], train_labels=np.array(digits.train_labels[:20]))
    result = train(tiny, replace(RECIPE_4, epochs=1, batch=64), tmp_path, progress=False)
    assert len(result.metrics) == 1
