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
from bnnhw.verify import certificate, record
from bnnhw.verify.campaign import allows_more, crew_size, save_models
from bnnhw.verify.check import Limits, Verdict
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
    certificates: Path | None
    query: str

    def answer(self, desk: Desk) -> tuple[Distortion, list[str]]:
        def post(best: Distortion) -> None:
            desk.board.post(self.number, best.lower, best.upper)
            desk.tell()

        image, condition = self.subject.image, self.subject.condition
        found = minimal_distortion(
            desk.networks, image, condition, self.distance, self.limits, self.seed, progress=post, lower=self.lower
        )
        return found, self._certify(desk, found) if found.final and self.certificates is not None else []

    def _certify(self, desk: Desk, found: Distortion) -> list[str]:
        """Both sides, decided once more for their proofs: the files of those that were decided in time."""
        assert self.certificates is not None
        quantizer = desk.networks[0].quantizer
        written = []
        for limit in (found.lower - 1, found.upper):
            if limit is None or limit < 0:
                continue
            ball = Ball(self.distance, limit)
            question = ball.around(self.subject.image, quantizer) & self.subject.condition
            name = record.certificate(self.subject, ball, self.query)
            path = self.certificates / name
            if limit == found.upper and found.counterexample is not None:
                verdict = Verdict("falsified", "clean" if limit == 0 else "attack", counterexample=found.counterexample)
                certificate.write(path, desk.networks, question, verdict, self.seed, None)
            elif certificate.certify(desk.networks, question, path, self.limits, self.seed).status != "robust":
                continue
            written.append(name)
        return written


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
    certificates: Path | None = None,
) -> list[Record]:
    """Find every subject's smallest distortion (see ``minimal_distortion``); one record each, in order.

    limits: per search. certificates: each final answer gets two, of its two sides. bounds(subject, lower, upper):
    called when the bounds of a running search have moved. The other arguments are those of ``decide_many``.
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
    if certificates is not None:
        save_models(certificates, models)
    done = {
        name: one
        for name, one in known.items()
        if (one.status != "unknown" or not allows_more(limits, one)) and _certified(one, certificates)
    }
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
            before = known.get(names[index])
            # Known from both sides, but asked again for certificates: a counterexample is needed anew.
            lower = int(before.data["lower"]) if before is not None else 0
            name = names[index]
            crew.ask(_Minimise(number, subjects[index], distance, limits, seed, lower, certificates, name))
        for job, (found, files) in crew.answers(look):
            assert isinstance(job, _Minimise)
            name = names[pending[job.number]]
            made = record.of_distortion(name, digests, job.subject, distance, limits.seconds, found)
            if certificates is not None:
                made.data["certificates"] = files
            if found.counterexample is not None:
                record.save_counterexample(results.parent, made, job.subject, found.counterexample, models[0].quantizer)
            record.append(results, made)
            done[name] = made
            if progress:
                progress(made)
    return [done[name] for name in names]


def _certified(known: Record, certificates: Path | None) -> bool:
    if certificates is None or known.status == "unknown":
        return True
    files = known.data.get("certificates", [])
    return bool(files) and all((certificates / name).exists() for name in files)
