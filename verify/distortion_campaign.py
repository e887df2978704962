"""The smallest distortion of many images: one search per image, as many at a time as there are workers.

Answers are kept like verdicts, in a results file that may also hold verdicts. A search that ended without an answer
leaves its proven lower bound, and the next one, if it is allowed more time, goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnnhw.model import IntegerModel
from bnnhw.verify import record
from bnnhw.verify.campaign import allows_more, crew_size
from bnnhw.verify.check import Limits
from bnnhw.verify.crew import Crew, Desk
from bnnhw.verify.distortion import Distortion, minimal_distortion
from bnnhw.verify.network import build
from bnnhw.verify.properties import Ball, Distance
from bnnhw.verify.record import Record
from bnnhw.verify.subject import Subject


@dataclass(frozen=True, eq=False)
class _Minimise:
    number: int
    subject: Subject
    distance: Distance
    limits: Limits
    seed: int
    lower: int

    def answer(self, desk: Desk) -> Distortion:
        def post(best: Distortion) -> None:
            desk.board.post(self.number, best.lower, best.upper)
            desk.tell()

        image, condition = self.subject.image, self.subject.condition
        return minimal_distortion(
            desk.networks, image, condition, self.distance, self.limits, self.seed, progress=post, lower=self.lower
        )


def minimise_many(
    models: Sequence[IntegerModel],
    subjects: Sequence[Subject],
    distance: Distance,
    results: Path,
    *,
    limits: Limits = Limits(),
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Record], None] | None = None,
    bounds: Callable[[Subject, int, int | None], None] | None = None,
) -> list[Record]:
    """Find every subject's smallest distortion (see ``minimal_distortion``); one record each, in order.

    limits: per search. bounds(subject, lower, upper): called when the bounds of a running search have moved. The other
    arguments are those of ``decide_many``.
    """
    networks = [build(model) for model in models]
    digests = [network.digest for network in networks]
    names = []
    for subject in subjects:
        question = Ball(distance, 0).around(subject.image, networks[0].quantizer) & subject.condition
        question.check(models)
        names.append(hashlib.sha256(f"least {distance} {question.digest(digests)}".encode()).hexdigest())
    results.parent.mkdir(parents=True, exist_ok=True)
    known = {one.query: one for one in record.read(results)}
    done = {name: one for name, one in known.items() if one.status != "unknown" or not allows_more(limits, one)}
    if progress:
        for name in names:
            if name in done:
                progress(done[name])
    pending = list({name: index for index, name in enumerate(names) if name not in done}.values())
    shown: dict[int, tuple[int, int | None]] = {}

    def look() -> None:
        for number, index in enumerate(pending):
            now = crew.board.bounds(number)
            if bounds and shown.setdefault(number, (0, 0)) != now:
                shown[number] = now
                bounds(subjects[index], *now)

    with Crew(networks, crew_size(workers, len(pending)), len(pending)) as crew:
        for number, index in enumerate(pending):
            lower = int(known[names[index]].data["lower"]) if names[index] in known else 0
            crew.ask(_Minimise(number, subjects[index], distance, limits, seed, lower))
        for job, found in crew.answers(look):
            assert isinstance(job, _Minimise)
            name = names[pending[job.number]]
            made = record.of_distortion(name, digests, job.subject, distance, limits.seconds, found)
            if found.counterexample is not None:
                record.save_counterexample(results.parent, made, job.subject, found.counterexample, models[0].quantizer)
            record.append(results, made)
            done[name] = made
            if progress:
                progress(made)
    return [done[name] for name in names]
