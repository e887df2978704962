"""The processes that a campaign's jobs are done in: as many as there are cores to use, and never more.

Whatever a campaign has to do, whole questions, parts of one or second opinions, is a job in one queue, so nothing runs
beside the crew and no core is shared out twice. Each worker builds the networks once and keeps them on its desk. With
one worker and no reason for a process of its own, the jobs are done right here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol

from bnnhw.model import IntegerModel, decode, encode
from bnnhw.verify.network import Network, build

_CONTEXT = multiprocessing.get_context("spawn")
_LOOK_EVERY = 0.2
"""Seconds between two looks at the board while the workers are busy."""


class Board:
    """Memory that all workers share: who has nothing to do, and per question whether it is settled, and its bounds."""

    def __init__(self, questions: int) -> None:
        self._idle = _CONTEXT.Value("i", 0)
        self._settled = _CONTEXT.Array("b", max(1, questions))
        self._bounds = _CONTEXT.Array("q", 2 * max(1, questions))

    def set_idle(self, workers: int) -> None:
        """So many workers have nothing to do."""
        self._idle.value = workers

    def claim_idle(self) -> bool:
        """Is there a worker to share work with? A yes is meant for one who asks, and not repeated to the next."""
        with self._idle.get_lock():
            if self._idle.value <= 0:
                return False
            self._idle.value -= 1
            return True

    def settle(self, question: int) -> None:
        """The question has its answer: who is still at work on it may stop."""
        self._settled[question] = 1

    def settled(self, question: int) -> bool:
        """Does the question have its answer?"""
        return bool(self._settled[question])

    def post(self, question: int, lower: int, upper: int | None) -> None:
        """Tell how far a search for the smallest distortion has come; upper None: no counterexample yet."""
        with self._bounds.get_lock():
            self._bounds[2 * question], self._bounds[2 * question + 1] = lower, -1 if upper is None else upper

    def bounds(self, question: int) -> tuple[int, int | None]:
        """What was posted last; (0, 0) before that."""
        with self._bounds.get_lock():
            lower, upper = self._bounds[2 * question], self._bounds[2 * question + 1]
        return lower, None if upper < 0 else upper


def _nobody() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Desk:
    """What a job finds where it is done.

    drawer: for what a question's next job can use. tell: says that the board has changed, to a watcher right here.
    """

    networks: tuple[Network, ...]
    board: Board
    drawer: dict[int, Any] = field(default_factory=dict)
    tell: Callable[[], None] = _nobody


class Job(Protocol):
    """A piece of work that can be sent to a process. number: of the question it is about."""

    @property
    def number(self) -> int: ...

    def answer(self, desk: Desk) -> Any:
        """Do it."""


_desk: Desk | None = None


def _start(models: tuple[bytes, ...], board: Board) -> None:
    """Worker start-up. The parent handles Ctrl-C and ends its workers; they must not race it to the terminal."""
    global _desk
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _desk = Desk(tuple(build(decode(model)) for model in models), board)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, so they watch it themselves."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _answer(job: Job) -> Any:
    assert _desk is not None
    return job.answer(_desk)


class Crew:
    """Does jobs. Leaving its ``with`` block ends every process, whatever they are doing.

    networks: what the jobs are about. workers: how many processes at most. questions: how many the board has room for.
    apart: use a process even for one worker, for jobs that do not look for Ctrl-C themselves.
    """

    def __init__(self, networks: Sequence[Network], workers: int, questions: int, apart: bool = False) -> None:
        self.board = Board(questions)
        self._workers = workers
        self._todo: deque[Job] = deque()
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1 or apart:
            models: tuple[IntegerModel, ...] = tuple(network.model for network in networks)
            start = (tuple(encode(model) for model in models), self.board)
            self._pool = ProcessPoolExecutor(workers, _CONTEXT, _start, start)
        self._desk = Desk(tuple(networks), self.board)

    def ask(self, job: Job, at_once: bool = False) -> None:
        """Add a job at the end of the queue, or at its front."""
        if at_once:
            self._todo.appendleft(job)
        else:
            self._todo.append(job)

    def answers(self, watch: Callable[[], None] | None = None) -> Iterator[tuple[Job, Any]]:
        """The jobs with their answers, as they come, until none is left; more may be asked meanwhile.

        watch: called a few times a second while the workers are busy, or when a job done right here tells something.
        Raises what a job raised, and ChildProcessError where a worker died.
        """
        if self._pool is None:
            desk = replace(self._desk, tell=watch or _nobody)
            while self._todo:
                job = self._todo.popleft()
                yield job, job.answer(desk)
            return
        running: dict[Future[Any], Job] = {}
        while self._todo or running:
            # One more than it takes to keep all busy waits in the pipe: no worker stands still while we read.
            while self._todo and len(running) <= self._workers:
                job = self._todo.popleft()
                running[self._pool.submit(_answer, job)] = job
            self.board.set_idle(max(0, self._workers - len(running)))
            finished = wait(running, _LOOK_EVERY, return_when=FIRST_COMPLETED).done
            if watch:
                watch()
            for future in finished:
                yield running.pop(future), _result(future)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        for process in processes:
            process.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.join()


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ChildProcessError(
            "a worker process died, perhaps for lack of memory: run again to continue, with fewer workers"
        ) from None
