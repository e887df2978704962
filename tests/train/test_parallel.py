"""Two processes under torchrun: equal parameters after every run, one set of files, shares that make up the batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from bnnhw.data import Dataset, load
from bnnhw.train import Recipe, train
from bnnhw.train.parallel import World
from bnnhw.train.recipe import Adversary, Choice, Optimizer
from bnnhw.train.trainer import finished

RECIPE = Recipe(
    quantizer=(4, 9),
    epochs=2,
    batch=32,
    width=0.5,
    optimizer=Optimizer(lr=3e-3),
    adversary=Adversary(epsilon=0.07, ramp=1, steps=1),
    choice=Choice(epochs=1, images=100, steps=2),
)


def digits() -> Dataset:
    whole = load("digits")
    return replace(whole, train_images=whole.train_images[:200], train_labels=whole.train_labels[:200])


def main(out: Path) -> None:
    """What each process of torchrun runs."""
    result = train(digits(), RECIPE, out, progress=False)
    torch.save(result.network.state_dict(), out / f"rank{os.environ['RANK']}.pt")


def test_both_processes_hold_equal_parameters_and_one_finds_their_run_again(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, __file__, str(tmp_path)], check=True, env=environment, timeout=300)
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    found = finished(digits(), tmp_path / "checkpoint.pt")
    assert all(torch.equal(value, one[name]) for name, value in found.network.state_dict().items())
    alone = train(digits(), RECIPE, tmp_path / "alone", progress=False)
    assert [entry["epoch"] for entry in found.metrics] == [entry["epoch"] for entry in alone.metrics] == [1, 2]
    # Each share has statistics of its own, so the weights differ, but not what is learnt.
    assert abs(found.metrics[-1]["loss"] - alone.metrics[-1]["loss"]) < 0.3


def test_shares_make_up_the_batch() -> None:
    batch = torch.randperm(33)
    shares = [World(rank, 4).share(batch) for rank in range(4)]
    assert torch.equal(torch.cat(shares), batch)
    assert {len(share) for share in shares} == {8, 9}
    assert World().total([1.0, 2.0]) == [1.0, 2.0]
    assert not World().any(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
