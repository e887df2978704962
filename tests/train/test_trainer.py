"""Training: learns, resumes bit for bit after any interruption, and refuses what does not belong to it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnnhw.data import Dataset, load
from bnnhw.model import IntegerModel
from bnnhw.model.reference import predict
from bnnhw.nn import Network, build
from bnnhw.nn.fused import fused
from bnnhw.train import Decision, Recipe, TrainResult, agreement, lower, score, train
from bnnhw.train.checkpoint import load_checkpoint, save_atomically
from bnnhw.train.recipe import Adversary, Bounds, Box, Choice, Gradient, Optimizer, Teacher, Verifier, Weights
from bnnhw.train.run import Run
from bnnhw.train.trainer import CHECKPOINT, METRICS, RECIPE, finished

RECIPE_4 = Recipe(
    quantizer=(4, 9),
    epochs=4,
    batch=32,
    width=0.5,
    seed=7,
    adversary=Adversary(epsilon=0.1, ramp=2, steps=2, steps_ramp=2),
    weights=Weights(decay=1e-5, decay_ramp=2),
    bounds=Bounds(decay=1e-4),
    choice=Choice(epochs=2),
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


def decide(
    model: IntegerModel, images: Any, labels: Any, radius: int, conflicts: int, seconds: float | None = None
) -> list[Decision]:
    """No verifier, but as deterministic as one: the darkest image of the ball, where that is misclassified."""
    darkest = np.maximum(images.astype(np.int64) - radius, 0)
    wrong = predict(model, darkest) != labels
    return [Decision(not lost, image if lost else None) for lost, image in zip(wrong, darkest, strict=True)]


EVERYTHING = {
    "all that goes with BinMask": replace(
        RECIPE_4,
        quantizer="histogram",
        levels=2,
        gradient=Gradient(adaptive=True, adaptive_from=1, adaptive_batches=2),
        bounds=Bounds(decay=1e-4, side="smaller"),
        box=Box(weight=0.3, slack_weight=0.1, margin_weight=0.1, from_epoch=1),
        teacher=Teacher(kind="labels", epochs=2),
        verifier=Verifier(share=0.5, every=2, from_epoch=1, restart=True),
        choice=Choice(epochs=2, by="exact", images=40),
        adversary=replace(RECIPE_4.adversary, loss="cw"),
    ),
    "ternary weights, calibrated": replace(
        RECIPE_4,
        weights=Weights(kind="ternary", density=0.5, decay=1e-4),
        teacher=Teacher(kind="calibration", epochs=2),
        gradient=Gradient(shape="hardtanh"),
        optimizer=Optimizer(schedule="halving", halve_every=1),
    ),
    "Bop": replace(
        RECIPE_4,
        weights=Weights(kind="binary", density=0.5),
        optimizer=Optimizer(kind="bop", gamma=0.1, gamma_end=0.01, threshold=1e-3, threshold_end=1e-4),
    ),
    "second-order Bop": replace(
        RECIPE_4,
        weights=Weights(kind="binary", density=0.5),
        optimizer=Optimizer(kind="second-order-bop", gamma=0.1, gamma_end=0.01, threshold=0.3, threshold_end=0.4),
    ),
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_method_resumes_bit_for_bit_in_the_middle_of_an_epoch(
    name: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, step = EVERYTHING[name], Run.train_step
    whole = train(digits, recipe, tmp_path / "whole", progress=False, decide=decide)

    def press(run: Run) -> None:
        step(run)
        if (run.recipe, run.epoch, run.step) == (recipe, 2, 3):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Run, "train_step", press)
    with pytest.raises(KeyboardInterrupt):
        train(digits, recipe, tmp_path / "cut", progress=False, decide=decide)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "cut" / CHECKPOINT)["step"] == 3
    train(digits, recipe, tmp_path / "cut", progress=False, decide=decide)
    one, other = (load_checkpoint(tmp_path / folder / CHECKPOINT) for folder in ("whole", "cut"))
    assert same(one, other)
    model = lower(whole.network)
    assert agreement(whole.network, model, digits.test_images[:100]).mismatches == 0
    if recipe.verifier.share:
        assert whole.metrics[-1]["counterexamples"] > 0
        assert whole.metrics[0]["counterexamples"] == 0
        assert "choice_exact" in whole.metrics[-1]


def test_images_held_out_for_the_choice_are_not_trained_on(digits: Dataset) -> None:
    run = Run(digits, replace(RECIPE_4, choice=Choice(by="exact", images=40)), decide=decide)
    assert len(run.labels) == len(run.images) == 160
    assert sorted(run.order.tolist()) == list(range(160))
    with pytest.raises(ValueError, match=r"choice\.images"):
        Run(digits, replace(RECIPE_4, choice=Choice(by="exact", images=200)), decide=decide)


def test_bop_flips_bits_and_adam_moves_the_rest(digits: Dataset) -> None:
    run = Run(digits, EVERYTHING["Bop"])
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    for _ in range(4):
        run.train_step()
    after = run.network.state_dict()
    flipped = 0
    for name, value in before.items():
        if name.endswith("latent"):
            assert set(after[name].unique().tolist()) == {-1.0, 1.0}
            flipped += int((after[name] != value).sum())
        if name.endswith("norm.shift"):
            assert not torch.equal(after[name], value)
        if name.endswith("present"):
            assert torch.equal(after[name], value)
    assert flipped > 0


def test_compiled_training_makes_a_network_that_is_lowered_exactly(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default back end compiles C++ for a minute; this one traces the same graph.
    fused.cache_clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    recipe = replace(RECIPE_4, epochs=1, compile=True, mixed=True)
    compiled = train(digits, recipe, tmp_path, progress=False)
    report = agreement(compiled.network, lower(compiled.network), digits.test_images)
    assert (report.images, report.mismatches) == (len(digits.test_images), 0)
    fused.cache_clear()
    plain = train(digits, replace(recipe, compile=False, mixed=False), tmp_path / "plain", progress=False)
    assert compiled.metrics[0]["loss"] == pytest.approx(plain.metrics[0]["loss"], rel=0.02)


def test_without_a_last_norm_the_sums_are_the_scores(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE_4, epochs=1, last_norm=False, box=Box(weight=0.5))
    network = train(digits, recipe, tmp_path, progress=False).network
    model = lower(network)
    assert not model.output.bias.any()
    assert agreement(network, model, digits.test_images).mismatches == 0
    bits, logits = network.trace(torch.from_numpy(np.array(digits.test_images[:20])).float())
    assert torch.equal(logits, (bits[-1].flatten(1).double() @ network.output.weighted.weights().double().T))


def test_a_network_of_ones_own_is_trained_as_one_by_name(digits: Dataset, tmp_path: Path) -> None:
    by_name = train(digits, RECIPE_4, tmp_path / "named", progress=False).network

    def make() -> Network:
        return build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 9), width=0.5)

    recipe = replace(RECIPE_4, arch="own")
    own = train(digits, recipe, tmp_path / "own", progress=False, network=make).network
    assert same(dict(own.state_dict()), dict(by_name.state_dict()))
    for wrong, network in ((recipe, None), (RECIPE_4, make)):
        with pytest.raises(ValueError, match="needs a function"):
            train(digits, wrong, tmp_path / "x", progress=False, network=network)
    with pytest.raises(ValueError, match="pixel range"):
        train(replace(digits, pixel_max=17), recipe, tmp_path / "y", progress=False, network=make)
    with pytest.raises(ValueError, match="teacher"):
        replace(recipe, teacher=Teacher(kind="labels"))


class Foreign(Network):
    """A network none of whose layers are ours."""

    @property
    def layers(self) -> tuple[()]:
        return ()


def test_what_only_own_layers_can_do_is_refused_for_others(digits: Dataset, tmp_path: Path) -> None:
    def make() -> Network:
        network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 9), width=0.5)
        network.__class__ = Foreign
        return network

    plain = replace(RECIPE_4, arch="own", weights=Weights(decay=0.0), bounds=Bounds())
    assert Run(digits, plain, make=make).network.layers == ()
    for wrong in (
        replace(plain, weights=Weights(decay=1e-5)),
        replace(plain, bounds=Bounds(decay=1e-4)),
        replace(plain, box=Box(weight=0.5)),
        replace(plain, choice=Choice(by="exact", images=10)),
        replace(plain, gradient=Gradient(adaptive=True)),
        replace(plain, compile=True),
        replace(plain, mixed=True),
        replace(plain, last_norm=False),
    ):
        with pytest.raises(ValueError, match="own layers"):
            Run(digits, wrong, make=make)


def test_a_finished_run_is_found_by_its_checkpoint_alone(digits: Dataset, tmp_path: Path) -> None:
    first = train(digits, replace(RECIPE_4, epochs=2), tmp_path, progress=False)
    found = finished(digits, tmp_path / CHECKPOINT)
    assert found.recipe == first.recipe
    assert same(dict(found.network.state_dict()), dict(first.network.state_dict()))
    state = load_checkpoint(tmp_path / CHECKPOINT)
    save_atomically({**state, "epoch": 1}, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match="not finished"):
        finished(digits, tmp_path / CHECKPOINT)


def test_ctrl_c_in_the_middle_of_an_epoch_loses_and_changes_nothing(
    digits: Dataset, tmp_path: Path, uninterrupted: tuple[TrainResult, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Run.train_step

    def press(run: Run) -> None:
        step(run)
        if (run.epoch, run.step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Run, "train_step", press)
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
    monkeypatch.delattr(Run, "train_step")
    again = train(digits, recipe, tmp_path, progress=False)
    assert same(dict(first.network.state_dict()), dict(again.network.state_dict()))
    assert again.seconds == first.seconds > 0
    assert lower(first.network) == lower(again.network)


def test_what_belongs_to_another_run_is_refused(digits: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE_4, epochs=1)
    train(digits, recipe, tmp_path, progress=False)
    with pytest.raises(ValueError, match="another recipe"):
        train(digits, replace(recipe, seed=8), tmp_path, progress=False)
    assert Recipe.from_toml((tmp_path / RECIPE).read_text()) == recipe
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
    assert all(
        name in lines[-1]
        for name in ("loss", "test_accuracy", "density", "mean_bounds", "max_bounds", "choice_attacked")
    )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("arch", ["conv-small", "mnist-mlp"])
def test_digits_are_learnt_in_a_few_epochs_and_lowered_exactly(arch: str, tmp_path: Path) -> None:
    digits = load("digits")
    recipe = Recipe(
        arch=arch,
        quantizer=(4, 9),
        epochs=5,
        batch=32,
        width=0.5,
        optimizer=Optimizer(lr=3e-3),
        adversary=Adversary(epsilon=0.07, steps=1),
    )
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
