"""Several processes that train one network: each takes its share of every batch, gradients are averaged.

Under ``torchrun`` the environment says how many processes there are; without it there is one, and nothing here does
anything. All processes hold equal parameters after every step (Li et al., "PyTorch Distributed", VLDB 2020); batch norm
uses each share's own statistics in training, and calibration, which sees all images, is the same everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """rank: this process's number, 0 for the one that writes files. size: how many there are."""

    rank: int = 0
    size: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch's image numbers; parts differ by at most one image."""
        return batch.tensor_split(self.size)[self.rank]

    def total(self, values: list[float]) -> list[float]:
        """The sums over all processes, the same in each."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64)
        if dist.get_backend() == "nccl":
            tensor = tensor.cuda()
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return self.total([float(flag)])[0] > 0

    def averaging(self, network: nn.Module) -> nn.Module:
        """``network`` such that a backward pass leaves the gradients' average over all processes."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)


@contextmanager
def world(device: str) -> Iterator[World]:
    """The processes that ``torchrun`` started, connected while inside: by NCCL for GPUs, by Gloo for CPUs."""
    if dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
