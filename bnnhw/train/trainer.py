"""The training loop: a recipe and a data set into a Network, interruptible at any step and resumed bit for bit.

The recipe fixes the number of torch threads, on which the rounding of sums depends, so resuming gives the same bits on
the same machine, unless the recipe gives the verifier seconds besides conflicts. Under ``torchrun`` the batches are
shared among its processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from bnnhw.data import Dataset
from bnnhw.model.file import write_atomically
from bnnhw.nn import Network
from bnnhw.train.checkpoint import load_checkpoint, save_atomically
from bnnhw.train.counterexamples import Decide
from bnnhw.train.display import display
from bnnhw.train.distill import teacher_recipe
from bnnhw.train.interrupt import deferred_interrupt
from bnnhw.train.logs import write_curves
from bnnhw.train.parallel import World, world
from bnnhw.train.recipe import Recipe
from bnnhw.train.run import Make, Metrics, Run

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
RECIPE = "recipe.toml"
TEACHER = "teacher"
CURVES = "curves"


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


def train(
    dataset: Dataset,
    recipe: Recipe,
    out_dir: str | Path,
    resume: bool = True,
    progress: bool = True,
    on_epoch: Callable[[Metrics], None] | None = None,
    decide: Decide | None = None,
    device: str = "cpu",
    curves: bool = False,
    network: Make | None = None,
) -> TrainResult:
    """Train ``recipe`` on ``dataset``; everything it writes lies in ``out_dir``.

    ``out_dir`` gets ``recipe.toml``, ``metrics.jsonl`` (one line per epoch) and ``checkpoint.pt``, each replaced
    atomically after every epoch, and a folder ``teacher`` with the same files if the recipe asks for one. With
    ``resume``, a checkpoint found there is continued bit for bit, and a finished run is returned as it is; without, it
    is overwritten. Ctrl-C saves the run where it is and raises KeyboardInterrupt. on_epoch: gets each epoch's metrics
    after they are saved. progress: show a bar and a table. decide: the verifier, for recipes that use one. device:
    "cpu" or "cuda". curves: write TensorBoard's files to the folder ``curves``. network: makes the fresh network, for a
    recipe of arch "own".

    Raises ValueError when the checkpoint is damaged or belongs to another recipe or other data, when the data set does
    not fit the architecture, or when the recipe needs a verifier and there is none.
    """
    if decide is None and needs_verifier(recipe):
        raise ValueError("the recipe asks for the exact verifier (verifier.share or choice.by): pass one as decide")
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    with world(device) as among:
        teacher = None
        if recipe.teacher.kind != "none":
            wanted = teacher_recipe(recipe)
            teacher = train(dataset, wanted, out / TEACHER, resume, progress, device=device, curves=curves).network
        run = Run(dataset, recipe, among, device, teacher, decide, network)
        if resume and path.exists():
            run.restore(load_checkpoint(path), path)
        if among.rank == 0:
            write_atomically(out / RECIPE, recipe.to_toml().encode())
        with _deterministic(recipe.threads), deferred_interrupt() as interrupted:
            _loop(run, among, out, progress and among.rank == 0, curves, interrupted, on_epoch)
    return _result(run)


def finished(dataset: Dataset, path: Path) -> TrainResult:
    """The result of the finished run whose checkpoint is ``path``; ValueError where there is none, or of other data."""
    state = load_checkpoint(path)
    run = Run(dataset, Recipe.from_toml(state["recipe"]))
    run.restore(state, path)
    if not run.finished:
        raise ValueError(f"{path} holds a run that is not finished: run the same training again to continue it")
    return _result(run)


def _result(run: Run) -> TrainResult:
    assert run.best is not None
    return TrainResult(run.result_network(), run.recipe, tuple(run.metrics), run.seconds, run.best["epoch"])


def needs_verifier(recipe: Recipe) -> bool:
    """Whether ``recipe`` can only be trained with an exact verifier at hand."""
    return recipe.verifier.share > 0 or recipe.choice.by == "exact"


def _loop(
    run: Run,
    among: World,
    out: Path,
    progress: bool,
    curves: bool,
    interrupted: Callable[[], bool],
    on_epoch: Callable[[Metrics], None] | None,
) -> None:
    """Train until the run is finished, saving after every epoch; only the first process writes."""
    writes = among.rank == 0
    done = run.epoch * run.steps + run.step
    with display(progress, out.name, run.recipe.epochs * run.steps, done, run.metrics) as shown:
        while not run.finished:
            while run.step < run.steps:
                if among.any(interrupted()):
                    if writes:
                        save_atomically(run.state(), out / CHECKPOINT)
                    raise KeyboardInterrupt
                run.train_step()
                shown.advance()
            entry = run.end_epoch()
            if writes:
                save_atomically(run.state(), out / CHECKPOINT)
                lines = "".join(json.dumps(line) + "\n" for line in run.metrics)
                write_atomically(out / METRICS, lines.encode())
                if curves:
                    write_curves(out / CURVES, [entry])
            shown.epoch(entry)
            if on_epoch is not None:
                on_epoch(entry)
