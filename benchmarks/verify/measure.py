"""One run of one solver in a process of its own: its CPU time, apart for loading and solving, and a limit on it.

CPU time, because the machine may be shared; a process of its own, because a limit must hold for any solver, and memory
must not pass from one run to the next. The parent watches the limit and kills: no solver has to look at a clock. (The
kernel's RLIMIT_CPU would do, but Linux then reads the process's CPU clock in whole ticks, milliseconds apart.)

Many queries take less than a process takes to start, which is no solver's doing, so it is left out on either side: a
binary's start is what it takes for an empty formula (the median of several starts), and a library runs a little before
the clock starts, since a fork first copies every page that it touches.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """SAT, UNSAT, OPTIMUM or UNKNOWN; bounds of an objective; the model if the solver hands it over; failures."""

    status: str
    lower: int | None = None
    upper: int | None = None
    values: list[int] | None = None
    conflicts: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Run:
    """CPU seconds; `solve` is the limit itself for a run that was ended."""

    answer: Answer
    load: float
    solve: float


Report = Callable[[int, int | None], None]
"""Tells bounds (lower, upper) of an objective while solving, so that a run that is ended has them."""

LOADING_LIMIT = 60.0
"""CPU seconds that loading may take besides the limit: encodings built in Python are slow."""

_SHORT = 0.02
_SHORT_RUNS = 9
_WALL_FACTOR = 4.0
_LOOK_EVERY = 0.05


def forked(
    load: Callable[[], T],
    solve: Callable[[T, Report], Answer],
    limit: float,
    warm_up: Callable[[], object] | None = None,
) -> Run:
    """Warm up (by default: load), load and solve in a fork, the last in at most `limit` CPU seconds."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(warm_up or load, load, solve, sending))
    process.start()
    assert process.pid is not None
    sending.close()
    run = Run(Answer("UNKNOWN", detail="ended while loading"), LOADING_LIMIT, limit)
    watch = _Watch(process.pid, LOADING_LIMIT)
    try:
        while not watch.over():
            if not receiving.poll(_LOOK_EVERY):
                continue
            message = receiving.recv()
            if isinstance(message, float):
                run = Run(Answer("UNKNOWN", detail="ended at the limit"), message, limit)
                watch = _Watch(process.pid, limit)
            elif isinstance(message, str):
                run = replace(run, answer=replace(run.answer, detail=message))
            elif isinstance(message, tuple):
                run = replace(run, answer=replace(run.answer, lower=message[0], upper=message[1]))
            else:
                run = message
    except EOFError:
        pass
    process.kill()
    process.join()
    receiving.close()
    return within(run, limit)


def _child(
    warm_up: Callable[[], object],
    load: Callable[[], T],
    solve: Callable[[T, Report], Answer],
    sending: Connection,
) -> None:
    """Sends the seconds of loading, bounds as they improve, and the run; or the last line of an error."""
    # A garbage collection would copy every page of the parent's objects at the run's expense.
    gc.disable()
    try:
        warm_up()
        begun = time.process_time()
        loaded = load()
        load_seconds = time.process_time() - begun
        sending.send(load_seconds)
        begun = time.process_time()
        answer = solve(loaded, lambda lower, upper: sending.send((lower, upper)))
        sending.send(Run(answer, load_seconds, time.process_time() - begun))
    except Exception:
        sending.send(traceback.format_exc().strip().splitlines()[-1])


def less_loading(
    command: list[str], load_command: list[str], start_command: list[str], limit: float
) -> tuple[int, str, float, float]:
    """(exit code, output, load seconds, solve seconds) of a binary.

    Loading is what a contradictory twin takes beyond an empty formula. The exit code is negative if it was ended.
    """
    _, _, start = _spawned_again(start_command, LOADING_LIMIT)
    _, _, loaded = _spawned_again(load_command, LOADING_LIMIT)
    code, output, total = _spawned_again(command, loaded + limit)
    return code, output, max(0.0, loaded - start), max(0.0, total - loaded)


def _spawned_again(command: list[str], limit: float) -> tuple[int, str, float]:
    """The median of several runs if they are short: differences of process starts are noise of a millisecond."""
    runs = [_spawned(command, limit)]
    while len(runs) < _SHORT_RUNS and runs[0][2] < _SHORT:
        runs.append(_spawned(command, limit))
    code, output, _ = runs[0]
    return code, output, median(seconds for _, _, seconds in runs)


def _spawned(command: list[str], limit: float) -> tuple[int, str, float]:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        watch = _Watch(process.pid, limit)
        pause = 0.001
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if watch.over():
                os.kill(process.pid, 9)
            time.sleep(pause)
            pause = min(_LOOK_EVERY, 1.2 * pause)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return process.returncode, output.read(), usage.ru_utime + usage.ru_stime


class _Watch:
    """Whether a process has used `limit` CPU seconds from now on, or far more of wall time, as when it hangs."""

    def __init__(self, pid: int, limit: float) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self._last_cpu = self._cpu_seconds() + limit
        self._deadline = time.monotonic() + _WALL_FACTOR * limit + 10

    def over(self) -> bool:
        return self._cpu_seconds() > self._last_cpu or time.monotonic() > self._deadline

    def _cpu_seconds(self) -> float:
        """User and system time; 0 where there is no /proc, which leaves the wall limit."""
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def within(run: Run, limit: float) -> Run:
    """A run without an answer counts with the limit, and so does one that passed it before it was looked at."""
    if run.answer.status != "UNKNOWN" and run.solve <= limit:
        return run
    detail = run.answer.detail if run.answer.status == "UNKNOWN" else f"{run.answer.status} after the limit"
    return Run(replace(run.answer, status="UNKNOWN", detail=detail), run.load, limit)


def write(path: Path, text: Callable[[], str]) -> Path:
    """Write unless it is there: the files of a query serve all its runs."""
    if not path.exists():
        path.write_text(text())
    return path
