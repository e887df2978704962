"""Many images at once: every core works on one query at a time, every verdict is on disk as soon as it is known.

The results file is the state. Starting again with the same file skips the queries it holds (an unknown is asked again
when more time is allowed), so a campaign survives an interrupt, a crash or a power cut and loses at most the queries
in flight. A query is known by the digest of the whole question, models included, so a results file never speaks for
another model, region, condition or image, and questions of every kind may share one file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnhw.model import IntegerModel
from bnnhw.verify import record
from bnnhw.verify.check import Limits, Verdict, check
from bnnhw.verify.crew import Crew, Desk
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import Ball, Keeps, Property, PropertyError
from bnnhw.verify.record import Record
from bnnhw.verify.subject import Subject


@dataclass(frozen=True, eq=False)
class _Decide:
    number: int
    question: Property
    limits: Limits
    seed: int

    def answer(self, desk: Desk) -> Verdict:
        return check(desk.networks, self.question, self.limits, self.seed)


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
    """Decide the L-infinity robustness of every image; one record each, in the images' order.

    images: [N, C, H, W]; labels: N classes; radius in pixel units. first: the number of the first image in its data
    set, for the records. The other arguments are those of ``decide_many``.
    """
    if len(images) != len(labels):
        raise PropertyError(f"{len(images)} images but {len(labels)} labels: give one label per image")
    subjects = [
        Subject(first + index, image, Keeps(int(label)), int(label))
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    ball = Ball("linf", radius)
    return decide_many([model], subjects, ball, results, limits=limits, workers=workers, seed=seed, progress=progress)


def decide_many(
    models: Sequence[IntegerModel],
    subjects: Sequence[Subject],
    ball: Ball,
    results: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Decide for every subject whether all images of the ball around it meet its condition; one record each, in order.

    models: one, or as many as the conditions speak of. limits: per query. workers: processes, by default one a core.
    results: the JSONL file, appended to and resumed; counterexamples go to the folder ``counterexamples`` beside it.
    progress is called with each record, those read back from ``results`` first.
    """
    networks = [build(model) for model in models]
    digests = [network.digest for network in networks]
    questions = [ball.around(one.image, networks[0].quantizer) & one.condition for one in subjects]
    for question in questions:
        question.check(models)
    names = [question.digest(digests) for question in questions]
    results.parent.mkdir(parents=True, exist_ok=True)
    done = {
        known.query: known
        for known in record.read(results)
        if known.status != "unknown" or not allows_more(limits, known)
    }
    if progress:
        for name in names:
            if name in done:
                progress(done[name])
    pending = {name: index for index, name in enumerate(names) if name not in done}
    for index, verdict in _decide(networks, questions, list(pending.values()), limits, workers, seed):
        subject = subjects[index]
        made = record.of_verdict(names[index], digests, subject, ball, limits.seconds, verdict)
        if verdict.counterexample is not None:
            record.save_counterexample(results.parent, made, subject, verdict.counterexample, models[0].quantizer)
        record.append(results, made)
        done[made.query] = made
        if progress:
            progress(made)
    return [done[name] for name in names]


def allows_more(limits: Limits, known: Record) -> bool:
    """Was the known unknown given less time than ``limits`` allows now?"""
    if known.data["reason"] == "interrupted":
        return True
    given = known.data["time_limit"]
    return given is not None and (limits.seconds is None or limits.seconds > given)


def crew_size(workers: int | None, questions: int) -> int:
    """How many processes so many questions can keep busy."""
    return min(workers or os.cpu_count() or 1, max(1, questions))


def _decide(
    networks: Sequence[Network],
    questions: Sequence[Property],
    pending: Sequence[int],
    limits: Limits,
    workers: int | None,
    seed: int,
) -> Iterator[tuple[int, Verdict]]:
    with Crew(networks, crew_size(workers, len(pending)), len(pending)) as crew:
        for number, index in enumerate(pending):
            crew.ask(_Decide(number, questions[index], limits, seed))
        for job, verdict in crew.answers():
            assert isinstance(job, _Decide)
            yield pending[job.number], verdict
