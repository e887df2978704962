"""Two processes under torchrun: equal parameters after every run, one set of files, shares that make up the batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from bnnhw.data import load
from bnnhw.train import Recipe, train
from bnnhw.train.checkpoint import load_checkpoint
from bnnhw.train.parallel import World
from bnnhw.train.recipe import Adversary, Choice, Optimizer

RECIPE = Recipe(
    quantizer=(4, 9),
    epochs=2,
    batch=32,
    width=0.5,
    optimizer=Optimizer(lr=3e-3),
    adversary=Adversary(epsilon=0.07, ramp=1, steps=1),
    choice=Choice(epochs=1, images=100, steps=2),
)


def main(out: Path) -> None:
    """What each process of torchrun runs."""
    whole = load("digits")
    digits = replace(whole, train_images=whole.train_images[:200], train_labels=whole.train_labels[:200])
    result = train(digits, RECIPE, out, progress=False)
    torch.save(result.network.state_dict(), out / f"rank{os.environ['RANK']}.pt")


def launch(out: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*torchrun, __file__, str(out)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)


def test_both_processes_hold_equal_parameters_and_a_second_start_finds_the_run(tmp_path: Path) -> None:
    launch(tmp_path)
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint["epoch"] == 2
    assert all(torch.equal(value, one[name]) for name, value in checkpoint["best"]["network"].items())
    launch(tmp_path)
    again = torch.load(tmp_path / "rank1.pt")
    assert all(torch.equal(value, again[name]) for name, value in one.items())


def test_shares_make_up_the_batch() -> None:
    batch = torch.randperm(33)
    shares = [World(rank, 4).share(batch) for rank in range(4)]
    assert torch.equal(torch.cat(shares), batch)
    assert {len(share) for share in shares} == {8, 9}
    assert World().total([1.0, 2.0]) == [1.0, 2.0]
    assert not World().any(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
