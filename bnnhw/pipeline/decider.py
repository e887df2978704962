"""The exact verifier as training asks for it: many images of a model that changes with every batch, on all cores.

Worker processes stay alive for the whole run, since a training step has no time to start them. Each question is
answered within a number of conflicts, so the answers do not depend on how many workers there are or how fast they are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel, decode, encode
from bnnhw.verify import Keeps, Limits, build, check, linf_ball

if TYPE_CHECKING:
    from bnnhw.train import Decision

Answer = tuple[bool, npt.NDArray[np.integer] | None]
"""Whether the image is robust, and the counterexample if there is one."""


class Decider:
    """A ``bnnhw.train.Decide`` that runs ``workers`` processes, by default one a core; a context manager."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))
        self._pool = ProcessPoolExecutor(
            self._workers, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
        )

    def __enter__(self) -> Decider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(
        self,
        model: IntegerModel,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        radius: int,
        conflicts: int,
        seconds: float | None = None,
    ) -> list[Decision]:
        """As ``bnnhw.train.Decide``."""
        # The workers import this module too, and have no use for torch.
        from bnnhw.train import Decision

        deadline = None if seconds is None else time.monotonic() + seconds
        encoded = encode(model)
        parts = [range(start, len(labels), self._workers) for start in range(min(self._workers, len(labels)))]
        pending = [
            self._pool.submit(decide, encoded, images[list(part)], labels[list(part)], radius, conflicts, deadline)
            for part in parts
        ]
        decisions: list[Decision] = [Decision(False)] * len(labels)
        for part, answers in zip(parts, pending, strict=True):
            for index, answer in zip(part, answers.result(), strict=True):
                decisions[index] = Decision(*answer)
        return decisions


def decide(
    encoded: bytes,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    radius: int,
    conflicts: int,
    deadline: float | None = None,
) -> list[Answer]:
    """One worker's images, in order. encoded: the model's file. deadline: on the clock of ``time.monotonic``."""
    network = build(decode(encoded))
    answers: list[Answer] = []
    for image, label in zip(images, labels, strict=True):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        question = linf_ball(image, radius, network.model.quantizer) & Keeps(int(label))
        verdict = check(network, question, Limits(left, conflicts))
        found = verdict.counterexample
        answers.append((verdict.status == "robust", None if found is None else found.image))
    return answers
