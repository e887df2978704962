"""The training loop: adversarial training of a Network by Adam, interruptible at any step and resumed bit for bit.

Every random number comes from two places that the checkpoint restores exactly: the network's initialisation (the
recipe's seed) and one generator per epoch (seed and epoch number), which draws the order of the images and the
adversary's starts. The recipe fixes the number of torch threads, on which the rounding of sums depends, so
resuming gives the same bits on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bnnhw.data import Dataset
from bnnhw.model.file import write_atomically
from bnnhw.nn import Network, build
from bnnhw.train.adversary import pgd, training_radius
from bnnhw.train.bounds import BoundDecay, mean_bounds
from bnnhw.train.calibrate import calibrate
from bnnhw.train.checkpoint import State, load_checkpoint, save_atomically
from bnnhw.train.interrupt import deferred_interrupt
from bnnhw.train.recipe import OWN, Recipe
from bnnhw.train.score import score

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
RECIPE = "recipe.json"
CHOICE_IMAGES = 5000
"""Training images on which the last epochs are compared."""
CHOICE_STEPS = 10
QUICK_IMAGES = 2000
"""Training images for statistics, and test images for the accuracy, that are shown after each epoch."""

Metrics = dict[str, Any]


@dataclass(frozen=True)
class TrainResult:
    """network: the chosen, calibrated network in eval mode. metrics: one entry per epoch. seconds: spent training.

    chosen_epoch: the epoch (from 1) whose weights these are.
    """

    network: Network
    recipe: Recipe
    metrics: tuple[Metrics, ...]
    seconds: float
    chosen_epoch: int


class _Run:
    """A training run's whole state: what a checkpoint saves and restores."""

    def __init__(self, dataset: Dataset, recipe: Recipe, make: Callable[[], Network] | None) -> None:
        self.dataset, self.recipe, self.make = dataset, recipe, make
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = _build(dataset, recipe, make)
        self.network.train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.lr, fused=True)
        self.images = torch.from_numpy(np.array(dataset.train_images))
        self.labels = torch.from_numpy(np.array(dataset.train_labels))
        self.batch = min(recipe.batch, len(self.labels))
        self.steps = len(self.labels) // self.batch
        self.radius = training_radius(recipe.epsilon, dataset.pixel_min, dataset.pixel_max)
        self.epoch = self.step = 0
        self.generator = torch.Generator()
        self.start_epoch()
        self.sums = [0.0, 0, 0]
        self.metrics: list[Metrics] = []
        self.best: State | None = None
        self.seconds = 0.0
        self.epoch_seconds = 0.0

    def start_epoch(self) -> None:
        """Fix the epoch's order of images and its generator, from the seed and the epoch's number alone."""
        name = hashlib.sha256(f"epoch {self.epoch} of seed {self.recipe.seed}".encode()).digest()
        self.generator.manual_seed(int.from_bytes(name[:7], "little"))
        self.order = torch.randperm(len(self.labels), generator=self.generator)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.recipe.epochs

    def state(self) -> State:
        return {
            "recipe": self.recipe.to_json(),
            "dataset": self.dataset.digest(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "order": self.order,
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "metrics": json.dumps(self.metrics),
            "best": self.best,
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
        }

    def restore(self, state: State, path: Path) -> None:
        """Continue from ``state``; ValueError when it is of another recipe or other data."""
        advice = "choose another folder, or train with resume=False to overwrite it"
        if Recipe.from_json(state["recipe"]) != self.recipe:
            raise ValueError(f"{path} holds a run of another recipe: {advice}")
        if state["dataset"] != self.dataset.digest():
            raise ValueError(f"{path} holds a run on other data: {advice}")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError:
            raise ValueError(f"{path} holds a run of another network: {advice}") from None
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.order = state["order"]
        self.epoch, self.step, self.sums = state["epoch"], state["step"], list(state["sums"])
        self.metrics = json.loads(state["metrics"])
        self.best = state["best"]
        self.seconds, self.epoch_seconds = state["seconds"], state["epoch_seconds"]

    def train_step(self) -> None:
        """One batch: attack it, then one step of Adam on the attacked images."""
        recipe = self.recipe
        begun = time.perf_counter()
        done = (self.epoch * self.steps + self.step) / (recipe.epochs * self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate(done)
        ramp = recipe.ramp(self.epoch + self.step / self.steps)
        chosen = self.order[self.step * self.batch : (self.step + 1) * self.batch]
        pixels, labels = self.images[chosen].float(), self.labels[chosen]
        radius = round(self.radius * ramp)
        pixels = pgd(self.network, pixels, labels, radius, recipe.steps_at(self.epoch), self.generator)
        decay = BoundDecay(recipe.bound_slack)
        logits = self.network(pixels, decay.observe if recipe.bound_decay else None)
        entropy = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([entropy + recipe.bound_decay * decay.loss])
        for layer in self.network.layers:
            layer.weighted.weights.decay(recipe.mask_decay * ramp)
        self.optimizer.step()
        for layer in self.network.layers:
            layer.weighted.weights.clamp()
        right = int((logits.detach().argmax(dim=1) == labels).sum())
        self.sums = [
            self.sums[0] + float(entropy.detach()) * len(labels),
            self.sums[1] + right,
            self.sums[2] + len(labels),
        ]
        self.step += 1
        self.epoch_seconds += time.perf_counter() - begun

    def end_epoch(self) -> Metrics:
        """Measure, keep the network if it is the best of the last epochs, and move to the next epoch."""
        begun = time.perf_counter()
        recipe, data = self.recipe, self.dataset
        loss, right, seen = self.sums
        entry: Metrics = {
            "epoch": self.epoch + 1,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "radius": round(self.radius * recipe.ramp(self.epoch + (self.steps - 1) / self.steps)),
            "steps": recipe.steps_at(self.epoch),
            "loss": loss / seen,
            "attacked_train_accuracy": right / seen,
        }
        if self.epoch >= recipe.epochs - recipe.choose_epochs:
            entry |= self._choose()
        else:
            # The weights moved away from the running averages: measure with statistics of the present weights.
            calibrate(self.network, self.dataset.train_images[:QUICK_IMAGES])
        test = score(self.network, data.test_images[:QUICK_IMAGES], data.test_labels[:QUICK_IMAGES])
        entry["test_accuracy"] = test.clean / test.images
        entry["density"] = [round(share, 4) for share in self.network.density()]
        entry["mean_bounds"] = [round(bound, 2) for bound in mean_bounds(self.network)]
        self.epoch_seconds += time.perf_counter() - begun
        entry["seconds"] = round(self.epoch_seconds, 3)
        self.seconds += self.epoch_seconds
        self.metrics.append(entry)
        self.epoch, self.step, self.sums, self.epoch_seconds = self.epoch + 1, 0, [0.0, 0, 0], 0.0
        self.start_epoch()
        return entry

    def _choose(self) -> Metrics:
        calibrate(self.network, self.dataset.train_images)
        count = min(CHOICE_IMAGES, len(self.labels))
        found = score(
            self.network,
            self.dataset.train_images[:count],
            self.dataset.train_labels[:count],
            self.radius,
            CHOICE_STEPS if self.radius else 0,
            self.recipe.seed,
        )
        if self.best is None or (found.attacked, found.clean) >= (self.best["attacked"], self.best["clean"]):
            copy = {name: value.clone() for name, value in self.network.state_dict().items()}
            self.best = {
                "attacked": found.attacked,
                "clean": found.clean,
                "epoch": self.epoch + 1,
                "network": copy,
            }
        return {"choice_attacked": found.attacked / found.images, "choice_clean": found.clean / found.images}

    def result(self) -> TrainResult:
        """The chosen network as a fresh one; only of a finished run."""
        assert self.best is not None
        with torch.random.fork_rng(devices=[]):
            network = _build(self.dataset, self.recipe, self.make)
        network.load_state_dict(self.best["network"])
        network.eval()
        return TrainResult(network, self.recipe, tuple(self.metrics), self.seconds, self.best["epoch"])


def _build(dataset: Dataset, recipe: Recipe, make: Callable[[], Network] | None) -> Network:
    if (make is not None) != (recipe.arch == OWN):
        raise ValueError(f"a recipe of arch {OWN!r}, and only such a one, needs a function that makes the network")
    if make is not None:
        network = make()
        fits = (network.shape, network.quantizer.pixel_min, network.quantizer.pixel_max, network.classes)
        if fits != (dataset.shape, dataset.pixel_min, dataset.pixel_max, dataset.classes):
            raise ValueError("the network's image shape, pixel range or number of classes is not the data set's")
        if not network.layers and (recipe.mask_decay or recipe.bound_decay):
            raise ValueError("mask decay and bound decay act on bnnhw's own layers: set both to 0 for another module")
        return network
    return build(
        recipe.arch,
        dataset.shape,
        (dataset.pixel_min, dataset.pixel_max),
        dataset.classes,
        quantizer=recipe.quantizer,
        width=recipe.width,
        density=recipe.density,
        gradient_scale=recipe.gradient_scale,
    )


@contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    threads_before = torch.get_num_threads()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )


def train(
    dataset: Dataset,
    recipe: Recipe,
    out_dir: str | Path,
    resume: bool = True,
    progress: bool = True,
    on_epoch: Callable[[Metrics], None] | None = None,
    network: Callable[[], Network] | None = None,
) -> TrainResult:
    """Train ``recipe`` on ``dataset``; everything it writes lies in ``out_dir``.

    ``out_dir`` gets ``recipe.json``, ``metrics.jsonl`` (one line per epoch) and ``checkpoint.pt``, each replaced
    atomically after every epoch. With ``resume``, a checkpoint found there is continued bit for bit, and a finished run
    is returned as it is; without, it is overwritten. Ctrl-C saves the run where it is and raises KeyboardInterrupt.
    on_epoch: gets each epoch's metrics after they are saved. progress: show a progress bar. network: makes the fresh
    network (a `Sequential`, a `ModuleNetwork`), for a recipe of arch "own".

    Raises ValueError when the checkpoint is damaged or belongs to another recipe or other data, or when the data set
    does not fit the architecture.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    run = _Run(dataset, recipe, network)
    if resume and path.exists():
        run.restore(load_checkpoint(path), path)
    write_atomically(out / RECIPE, recipe.to_json().encode())
    with _deterministic(recipe.threads), deferred_interrupt() as interrupted, _bar(progress) as bar:
        task = bar.add_task("train", total=recipe.epochs * run.steps, completed=run.epoch * run.steps + run.step)
        while not run.finished:
            while run.step < run.steps:
                if interrupted():
                    save_atomically(run.state(), path)
                    raise KeyboardInterrupt
                run.train_step()
                bar.advance(task)
            entry = run.end_epoch()
            save_atomically(run.state(), path)
            lines = "".join(json.dumps(line) + "\n" for line in run.metrics)
            write_atomically(out / METRICS, lines.encode())
            shown = f"epoch {entry['epoch']}: loss {entry['loss']:.3f}, test {entry['test_accuracy']:.2%}"
            bar.update(task, description=shown)
            if on_epoch is not None:
                on_epoch(entry)
    return run.result()


def finished(dataset: Dataset, path: Path) -> TrainResult:
    """The result of the finished run whose checkpoint is ``path``; ValueError where there is none, or of other data."""
    state = load_checkpoint(path)
    run = _Run(dataset, Recipe.from_json(state["recipe"]), None)
    run.restore(state, path)
    if not run.finished:
        raise ValueError(f"{path} holds a run that is not finished: run the same training again to continue it")
    return run.result()
