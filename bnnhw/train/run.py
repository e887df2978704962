"""A training run's whole state, and what one batch and one epoch do to it.

Every random number comes from two places that a checkpoint restores exactly: the network's initialisation (the
recipe's seed) and one generator per epoch (seed and epoch number), which draws the order of the images, the adversary's
starts and the boxes. Of several processes each seeds its generator anew in every step, so one checkpoint serves them
all.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from bnnhw.data import Dataset
from bnnhw.nn import Network, build
from bnnhw.nn.variants import drop_last_norm, gradient_scale, set_gradient, set_speed, use_weights
from bnnhw.nn.weights import RealWeight
from bnnhw.train.adversary import pgd, training_radius
from bnnhw.train.bop import Bop, SecondOrderBop
from bnnhw.train.bounds import stored_bounds
from bnnhw.train.calibrate import calibrate
from bnnhw.train.checkpoint import State
from bnnhw.train.counterexamples import Decide, mix_counterexamples
from bnnhw.train.distill import predictions
from bnnhw.train.gradient_scale import search_gradient_scale
from bnnhw.train.lower import lower
from bnnhw.train.objective import Batch, objective
from bnnhw.train.parallel import World
from bnnhw.train.recipe import HISTOGRAM, OWN, Recipe
from bnnhw.train.score import score
from bnnhw.train.thresholds import choose_thresholds

QUICK_IMAGES = 2000
"""Training images for statistics, and test images for the accuracy, that are shown after each epoch."""

Metrics = dict[str, Any]
Make = Callable[[], Network]
"""Makes a fresh network, drawn from torch's global random generator."""


class Run:
    """Everything between two batches of a training run.

    teacher: the network to learn from, if the recipe asks for one; decide: the verifier, if it asks for that; make:
    the network itself, for a recipe of arch "own".
    """

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        world: World = World(),
        device: str = "cpu",
        teacher: Network | None = None,
        decide: Decide | None = None,
        make: Make | None = None,
    ) -> None:
        self.dataset, self.recipe, self.world, self.decide, self.make = dataset, recipe, world, decide, make
        self.network = initial_network(dataset, recipe, make).to(device).train()
        self.teacher = None if teacher is None else teacher.to(device).eval()
        self.device = device
        self.optimizers = _optimizers(self.network, recipe)
        held_out = recipe.choice.images if recipe.choice.by == "exact" else 0
        if held_out >= len(dataset.train_labels):
            raise ValueError(
                f"recipe: choice.images {held_out} holds out all {len(dataset.train_labels)} training images: lower it"
            )
        used = len(dataset.train_labels) - held_out
        self.images = torch.from_numpy(np.array(dataset.train_images[:used]))
        self.labels = torch.from_numpy(np.array(dataset.train_labels[:used]))
        if self.teacher is not None and recipe.teacher.kind == "calibration":
            self.labels = predictions(self.teacher, self.images)
        self.batch = min(recipe.batch, len(self.labels))
        self.steps = len(self.labels) // self.batch
        self.radius = _radius(dataset, recipe)
        self.epoch = self.step = 0
        self.generator = torch.Generator()
        self.start_epoch()
        self.sums = [0.0, 0, 0, 0]
        self.metrics: list[Metrics] = []
        self.best: State | None = None
        self.seconds = 0.0
        self.epoch_seconds = 0.0
        set_speed(self.network, recipe.compile, recipe.mixed)
        self.forward = world.averaging(self.network)

    def _reseed(self, name: str) -> None:
        digest = hashlib.sha256(f"{name} of seed {self.recipe.seed}".encode()).digest()
        self.generator.manual_seed(int.from_bytes(digest[:7], "little"))

    def start_epoch(self) -> None:
        """Fix the epoch's order of images and its generator, from the seed and the epoch's number alone."""
        self._reseed(f"epoch {self.epoch}")
        self.order = torch.randperm(len(self.labels), generator=self.generator)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.recipe.epochs

    def state(self) -> State:
        """All that ``restore`` needs to go on with the same bits."""
        return {
            "recipe": self.recipe.to_toml(),
            "dataset": self.dataset.digest(),
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
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
        if Recipe.from_toml(state["recipe"]) != self.recipe:
            raise ValueError(f"{path} holds a run of another recipe: {advice}")
        if state["dataset"] != self.dataset.digest():
            raise ValueError(f"{path} holds a run on other data: {advice}")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError:
            raise ValueError(f"{path} holds a run of another network: {advice}") from None
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.generator.set_state(state["generator"])
        self.order = state["order"]
        self.epoch, self.step, self.sums = state["epoch"], state["step"], list(state["sums"])
        self.metrics = json.loads(state["metrics"])
        self.best = state["best"]
        self.seconds, self.epoch_seconds = state["seconds"], state["epoch_seconds"]

    def train_step(self) -> None:
        """One batch: attack it, then one step of the optimizers on the attacked images."""
        recipe = self.recipe
        begun = time.perf_counter()
        if self.step == 0:
            self._adapt_gradient()
        if self.world.size > 1:
            self._reseed(f"step {self.step} of epoch {self.epoch} in process {self.world.rank}")
        progress = (self.epoch * self.steps + self.step) / (recipe.epochs * self.steps)
        now = self.epoch + self.step / self.steps
        self._schedule(progress)
        batch = self._attacked(progress, round(self.radius * recipe.adversary.share_at(now)))
        loss = objective(self.network, self.forward, recipe, batch, self.generator)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss.total])
        for layer in self.network.layers:
            layer.weighted.weights.decay(recipe.weights.decay_at(now))
        for optimizer in self.optimizers:
            optimizer.step()
        for layer in self.network.layers:
            layer.weighted.weights.clamp()
        right = int((loss.logits.detach().argmax(dim=1) == batch.labels).sum())
        count = len(batch.labels)
        self.sums[0] += float(loss.entropy.detach()) * count
        self.sums[1] += right
        self.sums[2] += count
        self.step += 1
        self.epoch_seconds += time.perf_counter() - begun

    def _schedule(self, progress: float) -> None:
        wanted = self.recipe.optimizer
        gamma, threshold = wanted.bop_at(progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(optimizer, Bop):
                    group["gamma"], group["threshold"] = gamma, threshold
                else:
                    group["lr"] = wanted.lr_at(self.epoch, progress)

    def _attacked(self, progress: float, radius: int) -> Batch:
        """The next batch, attacked by gradients and, if the recipe says so, by the verifier."""
        recipe, adversary = self.recipe, self.recipe.adversary
        chosen = self.world.share(self.order[self.step * self.batch : (self.step + 1) * self.batch])
        clean, labels = self.images[chosen].float().to(self.device), self.labels[chosen].to(self.device)
        taught = None
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher(clean).float()
        steps = adversary.steps_at(self.epoch)
        attacked = pgd(self.network, clean, labels, radius, steps, self.generator, adversary.loss)
        loop = recipe.verifier
        if loop.share and self.epoch >= loop.from_epoch and self.step % loop.every == 0:
            assert self.decide is not None
            most, seconds = int(loop.share * len(labels)), loop.seconds or None
            attacked, found = mix_counterexamples(
                self.network, clean, attacked, labels, radius, self.decide, most, loop.conflicts, seconds
            )
            self.sums[3] += found
            if loop.restart and found:
                attacked = pgd(self.network, clean, labels, radius, steps, None, adversary.loss, attacked)
        return Batch(clean, attacked, labels, taught, radius, self.epoch, progress)

    def _adapt_gradient(self) -> None:
        wanted, adversary = self.recipe.gradient, self.recipe.adversary
        radius = round(self.radius * adversary.share_at(self.epoch))
        if not wanted.adaptive or self.epoch < wanted.adaptive_from or not radius:
            return
        count = wanted.adaptive_batches * self.batch
        steps = adversary.steps_at(self.epoch)
        pixels, labels = self.images[:count].to(self.device), self.labels[:count].to(self.device)
        search_gradient_scale(
            self.network, pixels, labels, radius, steps, self.batch, wanted.scale, self.recipe.seed, adversary.loss
        )

    def end_epoch(self) -> Metrics:
        """Measure, keep the network if it is the best of the last epochs, and move to the next epoch."""
        begun = time.perf_counter()
        recipe, data = self.recipe, self.dataset
        loss, right, seen, counterexamples = self.world.total(self.sums)
        last = self.epoch + (self.steps - 1) / self.steps
        entry: Metrics = {
            "epoch": self.epoch + 1,
            "learning_rate": self.optimizers[0].param_groups[0]["lr"],
            "radius": round(self.radius * recipe.adversary.share_at(last)),
            "steps": recipe.adversary.steps_at(self.epoch),
            "loss": loss / seen,
            "attacked_train_accuracy": right / seen,
        }
        if recipe.verifier.share:
            entry["counterexamples"] = int(counterexamples)
        if recipe.gradient.adaptive:
            entry["gradient_scale"] = round(gradient_scale(self.network), 3)
        if self.epoch >= recipe.epochs - recipe.choice.epochs:
            entry |= self._choose()
        else:
            # The weights moved away from the running averages: measure with statistics of the present weights.
            calibrate(self.network, data.train_images[:QUICK_IMAGES])
        test = score(self.network, data.test_images[:QUICK_IMAGES], data.test_labels[:QUICK_IMAGES])
        entry["test_accuracy"] = test.clean / test.images
        entry["density"] = [round(share, 4) for share in self.network.density()]
        bounds = [] if is_real(self.network) else stored_bounds(self.network)
        entry["mean_bounds"] = [round(float(layer.mean()), 2) for layer in bounds]
        entry["max_bounds"] = [round(float(layer.max()), 2) for layer in bounds]
        self.epoch_seconds += time.perf_counter() - begun
        entry["seconds"] = round(self.epoch_seconds, 3)
        self.seconds += self.epoch_seconds
        self.metrics.append(entry)
        self.epoch, self.step, self.sums, self.epoch_seconds = self.epoch + 1, 0, [0.0, 0, 0, 0], 0.0
        self.start_epoch()
        return entry

    def _choose(self) -> Metrics:
        choice = self.recipe.choice
        calibrate(self.network, self.dataset.train_images)
        if choice.by == "exact":
            withstood, clean, images = self._choice_exact()
        else:
            images = min(choice.images, len(self.labels))
            steps = choice.steps if self.radius else 0
            labels = self.labels[:images].numpy()
            found = score(
                self.network, self.dataset.train_images[:images], labels, self.radius, steps, self.recipe.seed
            )
            withstood, clean = found.attacked, found.clean
        if self.best is None or (withstood, clean) >= (self.best["withstood"], self.best["clean"]):
            copy = {name: value.clone() for name, value in self.network.state_dict().items()}
            self.best = {"withstood": withstood, "clean": clean, "epoch": self.epoch + 1, "network": copy}
        kind = "exact" if choice.by == "exact" else "attacked"
        return {f"choice_{kind}": withstood / images, "choice_clean": clean / images}

    def _choice_exact(self) -> tuple[int, int, int]:
        """Robust and correct ones of the images held out, and how many those are."""
        assert self.decide is not None
        used, choice = len(self.labels), self.recipe.choice
        images, labels = self.dataset.train_images[used:], self.dataset.train_labels[used:]
        decisions = self.decide(lower(self.network), images, labels, self.radius, choice.conflicts)
        return sum(one.robust for one in decisions), score(self.network, images, labels).clean, len(labels)

    def result_network(self) -> Network:
        """The chosen network as a fresh one on the CPU, in eval mode; only of a finished run."""
        assert self.best is not None
        network = initial_network(self.dataset, self.recipe, self.make)
        network.load_state_dict(self.best["network"])
        return network.eval()


def _radius(dataset: Dataset, recipe: Recipe) -> int:
    return training_radius(recipe.adversary.epsilon, dataset.pixel_min, dataset.pixel_max)


def initial_network(dataset: Dataset, recipe: Recipe, make: Make | None = None) -> Network:
    """The network that training begins with, drawn from the recipe's seed alone."""
    if (make is not None) != (recipe.arch == OWN):
        raise ValueError(f"a recipe of arch {OWN!r}, and only such a one, needs a function that makes the network")
    pixel_range = (dataset.pixel_min, dataset.pixel_max)
    quantizer: float | str | tuple[int, ...] = recipe.quantizer
    if make is None and quantizer == HISTOGRAM:
        quantizer = choose_thresholds(dataset.train_images, pixel_range, _radius(dataset, recipe), recipe.levels)
    density = recipe.weights.density
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if make is None:
            network = build(
                recipe.arch,
                dataset.shape,
                pixel_range,
                dataset.classes,
                quantizer=quantizer,
                width=recipe.width,
                density=density,
            )
        else:
            network = make()
            fits = (network.shape, network.quantizer.pixel_min, network.quantizer.pixel_max, network.classes)
            if fits != (dataset.shape, *pixel_range, dataset.classes):
                raise ValueError("the network's image shape, pixel range or number of classes is not the data set's")
            if not network.layers:
                _check_foreign(recipe)
        use_weights(network, recipe.weights.kind, density)
    if not recipe.last_norm:
        drop_last_norm(network)
    set_gradient(network, recipe.gradient.scale, recipe.gradient.shape == "hardtanh")
    return network


def _check_foreign(recipe: Recipe) -> None:
    """ValueError where ``recipe`` asks for what only this project's own layers can do."""
    weights, bounds, gradient = recipe.weights, recipe.bounds, recipe.gradient
    asked = weights.kind != "binmask" or weights.decay or bounds.decay or recipe.box.used or gradient.adaptive
    asked = asked or recipe.compile or recipe.mixed or not recipe.last_norm
    if asked or recipe.verifier.share or recipe.choice.by == "exact":
        raise ValueError(
            "other weights, mask decay, bound decay, boxes, adaptive gradients, the verifier, a missing last norm, "
            "compile and mixed act on bnnhw's own layers: switch them off for another module"
        )


def _optimizers(network: Network, recipe: Recipe) -> list[Optimizer]:
    """Adam, and for bits Bop; Adam comes first."""
    wanted = recipe.optimizer
    if wanted.kind == "adam":
        return [torch.optim.Adam(network.parameters(), lr=wanted.lr, fused=True)]
    bits: list[nn.Parameter] = [layer.weighted.weights.latent for layer in network.layers]
    others = [parameter for parameter in network.parameters() if all(parameter is not bit for bit in bits)]
    bop = (
        Bop(bits, wanted.gamma, wanted.threshold)
        if wanted.kind == "bop"
        else SecondOrderBop(bits, wanted.gamma, wanted.threshold, wanted.sigma, wanted.unbiased)
    )
    return [torch.optim.Adam(others, lr=wanted.lr, fused=True), bop]


def is_real(network: Network) -> bool:
    """Whether ``network`` is a real-valued teacher."""
    return any(isinstance(layer.weighted.weights, RealWeight) for layer in network.layers)
