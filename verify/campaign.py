"""Many images at once: every core works on one query at a time, every verdict is on disk as soon as it is known.

The results file is the state. Starting again with the same file skips the queries it holds (an unknown is asked again
when more time is allowed), so a campaign survives an interrupt, a crash or a power cut and loses at most the queries
in flight. A query is known by the digest of model, label, radius and pixels, so a results file never speaks for
another model or data set.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel, decode, encode
from bnnhw.verify import record
from bnnhw.verify.check import Limits, Verdict, check
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import LinfRobustness, PropertyError
from bnnhw.verify.record import Record

_network: Network | None = None


def _start(model: bytes) -> None:
    """Worker start-up. The parent handles Ctrl-C and ends its workers; they must not race it to the terminal."""
    global _network
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _network = build(decode(model))


def _ask(query: LinfRobustness, limits: Limits, seed: int) -> Verdict:
    assert _network is not None
    return check(_network, query.property(_network.quantizer), limits, seed)


def verify_many(
    model: IntegerModel,
    images: npt.NDArray[np.integer],
    labels: Sequence[int] | npt.NDArray[np.integer],
    radius: int,
    results: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Record], None] | None = None,
    first: int = 0,
) -> list[Record]:
    """Decide the robustness of every image; one record each, in the images' order.

    images: [N, C, H, W]; labels: N classes; radius in pixel units. results: the JSONL file, appended to and resumed;
    counterexamples go to the folder ``counterexamples`` beside it. progress is called with each record, those read
    back from ``results`` first. first: the number of the first image in its data set, for the records.
    """
    if len(images) != len(labels):
        raise PropertyError(f"{len(images)} images but {len(labels)} labels: give one label per image")
    network = build(model)
    queries = [LinfRobustness(image, int(label), radius) for image, label in zip(images, labels, strict=True)]
    for query in queries:
        query.check(model)
    results.parent.mkdir(parents=True, exist_ok=True)
    names = [query.digest(network.digest) for query in queries]
    done: dict[str, Record] = {}
    for known in record.read(results):
        if known.status != "unknown" or not _allows_more(limits, known):
            done[known.query] = known
    if progress:
        for name in names:
            if name in done:
                progress(done[name])
    pending = [index for index, name in enumerate(names) if name not in done]
    pixel_range = (model.quantizer.pixel_min, model.quantizer.pixel_max)
    for index, verdict in _decide(network, [(i, queries[i]) for i in pending], limits, workers, seed):
        made = record.make(first + index, queries[index], network.digest, limits.seconds, verdict)
        if verdict.counterexample is not None:
            folder = results.parent / "counterexamples"
            made.data["counterexample"] = record.save_counterexample(
                folder, first + index, queries[index], network.digest, verdict.counterexample, pixel_range
            )
        record.append(results, made)
        done[made.query] = made
        if progress:
            progress(made)
    return [done[name] for name in names]


def _allows_more(limits: Limits, known: Record) -> bool:
    """Was the known unknown given less time than ``limits`` allows now?"""
    if known.data["reason"] == "interrupted":
        return True
    given = known.data["time_limit"]
    return given is not None and (limits.seconds is None or limits.seconds > given)


def _decide(
    network: Network, queries: list[tuple[int, LinfRobustness]], limits: Limits, workers: int | None, seed: int
) -> Iterator[tuple[int, Verdict]]:
    count = min(workers or os.cpu_count() or 1, max(1, len(queries)))
    if count == 1:
        for index, query in queries:
            yield index, check(network, query.property(network.quantizer), limits, seed)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _start, (encode(network.model),))
    running: dict[Future[Verdict], int] = {}
    todo = iter(queries)
    try:
        while True:
            while len(running) < 2 * count and (item := next(todo, None)) is not None:
                running[pool.submit(_ask, item[1], limits, seed)] = item[0]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
        pool.shutdown()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
