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

from bnnhw.model import IntegerModel, digest, save
from bnnhw.verify import record
from bnnhw.verify.check import Limits, UnsoundnessError, Verdict
from bnnhw.verify.crew import Crew, Desk
from bnnhw.verify.cross_check import cross_check, require_solver
from bnnhw.verify.cubes import Decide, Deciding
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import Ball, Keeps, Property, PropertyError
from bnnhw.verify.record import Record
from bnnhw.verify.subject import Subject

SPLIT_AFTER = 2.0
"""Seconds that a query is given to one worker although others are idle."""


@dataclass(frozen=True, eq=False)
class _CrossCheck:
    number: int
    question: Property
    verdict: Verdict
    by: str
    seconds: float | None

    def answer(self, desk: Desk) -> tuple[str, ...]:
        return (self.by,) if cross_check(desk.networks, self.question, self.verdict, self.by, self.seconds) else ()


def verify_many(
    model: IntegerModel,
    images: npt.NDArray[np.integer],
    labels: Sequence[int] | npt.NDArray[np.integer],
    radius: int,
    results: Path,
    *,
    limits: Limits = Limits(),
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Record], None] | None = None,
    first: int = 0,
    split_after: float | None = SPLIT_AFTER,
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
    return decide_many(
        [model],
        subjects,
        ball,
        results,
        limits=limits,
        workers=workers,
        seed=seed,
        progress=progress,
        split_after=split_after,
    )


def decide_many(
    models: Sequence[IntegerModel],
    subjects: Sequence[Subject],
    ball: Ball,
    results: Path,
    *,
    limits: Limits = Limits(),
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Record], None] | None = None,
    cross_check_by: str | None = None,
    split_after: float | None = SPLIT_AFTER,
    certificates: Path | None = None,
) -> list[Record]:
    """Decide for every subject whether all images of the ball around it meet its condition; one record each, in order.

    models: one, or as many as the conditions speak of. limits: per query. workers: processes, by default one a core.
    results: the JSONL file, appended to and resumed; counterexamples go to the folder ``counterexamples`` beside it.
    progress is called with each record, those read back from ``results`` first. cross_check_by: a solver of
    ``cross_check`` whose second opinion, within as many seconds again, goes into the record's ``confirmed_by``; records
    that lack it are asked again. split_after: seconds after which a query is shared among workers that have no other
    (see ``cubes``); None: never. certificates: a folder for the certificate of every verdict and for the models they
    are about; records whose certificate is not there are asked again, and no query is shared. Raises UnsoundnessError,
    and records nothing of the query, where opinions or an
    earlier record contradict each other.
    """
    if cross_check_by is not None:
        require_solver(cross_check_by)
    networks = [build(model) for model in models]
    digests = [network.digest for network in networks]
    questions = [ball.around(one.image, networks[0].quantizer) & one.condition for one in subjects]
    for question in questions:
        question.check(models)
    names = [question.digest(digests) for question in questions]
    results.parent.mkdir(parents=True, exist_ok=True)
    known = {one.query: one for one in record.read(results)}
    files = {name: record.certificate(one, ball, name) for one, name in zip(subjects, names, strict=True)}
    if certificates is not None:
        save_models(certificates, models)
    done = {
        name: one
        for name, one in known.items()
        if not _ask_again(one, limits, cross_check_by) and _certified(one, certificates, files.get(name))
    }
    if progress:
        for name in names:
            if name in done:
                progress(done[name])
    pending = list({name: index for index, name in enumerate(names) if name not in done}.values())
    asked = [questions[index] for index in pending]
    wanted = None if certificates is None else [certificates / files[names[index]] for index in pending]
    answers = _decide(networks, asked, limits, workers, seed, cross_check_by, split_after, wanted)
    for number, verdict, confirmed_by in answers:
        subject, name = subjects[pending[number]], names[pending[number]]
        earlier = known.get(name)
        if earlier is not None and earlier.status != "unknown" and verdict.status == "unknown":
            # Asked again for a second opinion, in too little time: what was known stands.
            made = earlier
        else:
            if earlier is not None:
                confirmed_by = _agreeing(earlier, verdict, confirmed_by)
            made = record.of_verdict(name, digests, subject, ball, limits, verdict, confirmed_by)
            if certificates is not None and verdict.status != "unknown":
                made.data["certificate"] = files[name]
            if verdict.counterexample is not None:
                record.save_counterexample(results.parent, made, subject, verdict.counterexample, models[0].quantizer)
            record.append(results, made)
        done[name] = made
        if progress:
            progress(made)
    return [done[name] for name in names]


def allows_more(limits: Limits, known: Record) -> bool:
    """Was the known unknown given less time, or fewer conflicts if those ended it, than ``limits`` allows now?"""
    reason = known.data["reason"]
    if reason == "interrupted":
        return True
    given = known.data.get("conflict_limit" if reason == "conflicts" else "time_limit")
    now = limits.conflicts if reason == "conflicts" else limits.seconds
    return given is not None and (now is None or now > given)


def crew_size(workers: int | None, questions: int | None = None) -> int:
    """How many processes to use; ``questions``: how many can be kept busy at most."""
    cores = workers or os.cpu_count() or 1
    return cores if questions is None else min(cores, max(1, questions))


def _ask_again(known: Record, limits: Limits, cross_check_by: str | None) -> bool:
    if known.status == "unknown":
        return allows_more(limits, known)
    return cross_check_by is not None and cross_check_by not in known.confirmed_by


def save_models(folder: Path, models: Sequence[IntegerModel]) -> None:
    """Put the model files into a folder of certificates, which can then be checked on its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        path = folder / f"{digest(model)[:16]}.bnn"
        if not path.exists():
            save(model, path)


def _certified(known: Record, certificates: Path | None, file: str | None) -> bool:
    if certificates is None or file is None or known.status == "unknown":
        return True
    return (certificates / file).exists()


def _agreeing(known: Record, verdict: Verdict, confirmed_by: tuple[str, ...]) -> tuple[str, ...]:
    """Who confirmed the verdict, now or when it was recorded before."""
    if "unknown" in (known.status, verdict.status):
        return confirmed_by
    if known.status != verdict.status:
        raise UnsoundnessError(f"the verdict is {verdict.status}, but it was recorded as {known.status} before")
    return tuple(dict.fromkeys((*known.confirmed_by, *confirmed_by)))


def _decide(
    networks: Sequence[Network],
    questions: Sequence[Property],
    limits: Limits,
    workers: int | None,
    seed: int,
    cross_check_by: str | None,
    split_after: float | None,
    certificates: Sequence[Path] | None,
) -> Iterator[tuple[int, Verdict, tuple[str, ...]]]:
    """Each question's number, verdict and who confirmed it, as they come."""
    count = len(questions)
    size = crew_size(workers, count) if split_after is None else crew_size(workers)
    # Other solvers do not look for Ctrl-C, and can only be ended with their process.
    with Crew(networks, size, count, apart=cross_check_by is not None) as crew:
        deciding = Deciding(crew, questions, limits, seed, split_after, certificates=certificates)
        for job, answer in crew.answers():
            if isinstance(job, _CrossCheck):
                yield job.number, job.verdict, answer
                continue
            assert isinstance(job, Decide)
            verdict = deciding.take(job, answer)
            if verdict is None:
                continue
            if cross_check_by is None or verdict.status == "unknown":
                yield job.number, verdict, ()
            else:
                question = questions[job.number]
                crew.ask(_CrossCheck(job.number, question, verdict, cross_check_by, limits.seconds), at_once=True)
