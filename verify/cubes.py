"""One hard question over several processes: cube and conquer, with the cubes made when somebody has nothing to do.

A question starts as one job. When it has taken a while and a worker is idle, its search stops, a variable of it is
chosen, and two jobs take its place: the cubes in which the variable is true and false (Heule, Kullmann, Wieringa and
Biere, "Cube and Conquer", HVC 2011). A cube is solved under assumptions by whoever takes it, who keeps the lemmas for
the question's next cube, and it splits again in the same way: an easy half makes its worker idle, and so the hard half
splits. Robust when every cube is refuted; the first counterexample settles it. The variable is one that
the search is busy with, passing over those of which one side falls at once.

A question is encoded with the same variable numbers in every process, so a cube is a tuple of literals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bnnhw.verify import _engine
from bnnhw.verify.certificate import certify
from bnnhw.verify.check import Inquiry, Limits, Plan, Verdict
from bnnhw.verify.crew import Crew, Desk
from bnnhw.verify.properties import Property

Cube = tuple[int, ...]
LEAST_SECONDS = 0.2
"""A cube is not split before it has been worked on for so long: handing over costs some hundredths of a second."""
CANDIDATES = 12
PROBE_CONFLICTS = 1000
"""A candidate must withstand so many conflicts on both sides; with 200 the sides were less even and the work more."""
_COUNTED = ("conflicts", "decisions", "propagations", "restarts")


@dataclass(frozen=True, eq=False)
class Part:
    """What a worker says of one cube.

    verdict: of the images in the cube; its seconds and counts are what this cube took. failed: of a robust verdict, the
    literals of the cube that it rests on. split_on: of an unknown, the variable on which to split, and the deadline.
    """

    verdict: Verdict
    failed: frozenset[int] = frozenset()
    split_on: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, eq=False)
class Decide:
    """A question, or a cube of it, as a job for a ``Crew``.

    split_after: seconds before the question may be shared out; None: never. deadline: see ``Inquiry``. certificate: the
    file to write one to; a question that gets one stays in one piece.
    """

    number: int
    question: Property
    limits: Limits
    seed: int
    plan: Plan
    split_after: float | None
    cube: Cube = ()
    deadline: float | None = None
    certificate: Path | None = None

    def answer(self, desk: Desk) -> Part:
        if self.certificate is not None:
            return Part(certify(desk.networks, self.question, self.certificate, self.limits, self.seed, self.plan))
        return self._work_on_cube(desk) if self.cube else self._begin(desk)

    def _begin(self, desk: Desk) -> Part:
        inquiry = Inquiry(desk.networks, self.question, self.limits, self.seed, self.plan)
        verdict = inquiry.presolve()
        if verdict is not None:
            return Part(verdict)
        # A limit of conflicts asks for a search that can be repeated, so such a question stays in one piece.
        if self.split_after is None or self.limits.conflicts is not None:
            verdict = inquiry.solve()
            assert verdict is not None
            return Part(verdict)
        _keep(desk, self.number, inquiry)
        wait_until = inquiry.begun + self.split_after
        verdict = inquiry.solve(lambda: time.monotonic() >= wait_until and desk.board.claim_idle())
        if verdict is not None:
            return Part(verdict)
        return self._hand_over(desk, inquiry) or self._search(desk, inquiry)

    def _work_on_cube(self, desk: Desk) -> Part:
        if desk.board.settled(self.number):
            return Part(Verdict("unknown", "solver", "settled"))
        inquiry = desk.drawer.get(self.number)
        if inquiry is None:
            inquiry = Inquiry(desk.networks, self.question, self.limits, self.seed, self.plan, self.deadline)
            inquiry.prepare()
            _keep(desk, self.number, inquiry)
        before, solved = dict(inquiry.statistics), inquiry.seconds.get("solve", 0.0)
        part = self._search(desk, inquiry)
        counted = {key: inquiry.statistics.get(key, 0) - before.get(key, 0) for key in _COUNTED}
        seconds = {"solve": inquiry.seconds.get("solve", 0.0) - solved}
        statistics = {**inquiry.statistics, **counted}
        return replace(part, verdict=replace(part.verdict, statistics=statistics, seconds=seconds))

    def _search(self, desk: Desk, inquiry: Inquiry) -> Part:
        while True:
            wait_until = time.monotonic() + LEAST_SECONDS
            answer = inquiry.search(self.cube, partial(self._to_stop, desk, wait_until))
            if answer.reason != "conflicts":
                return Part(inquiry.verdict_of(answer), frozenset(answer.failed))
            part = self._hand_over(desk, inquiry)
            if part is not None:
                return part

    def _to_stop(self, desk: Desk, wait_until: float) -> bool:
        if desk.board.settled(self.number):
            return True
        return time.monotonic() >= wait_until and desk.board.claim_idle()

    def _hand_over(self, desk: Desk, inquiry: Inquiry) -> Part | None:
        """How to go on; or, if choosing a variable settled the cube, its answer; None if there is no variable."""
        if desk.board.settled(self.number):
            return Part(inquiry.verdict("unknown", "solver", reason="settled"))
        chosen = _choose(inquiry, self.cube)
        if chosen is None:
            return None
        if isinstance(chosen, int):
            verdict = inquiry.verdict("unknown", "solver", reason="split")
            return Part(verdict, split_on=chosen, deadline=inquiry.deadline)
        return Part(inquiry.verdict_of(chosen), frozenset(chosen.failed))


def _keep(desk: Desk, number: int, inquiry: Inquiry) -> None:
    for settled in [one for one in desk.drawer if desk.board.settled(one)]:
        del desk.drawer[settled]
    desk.drawer[number] = inquiry


def _choose(inquiry: Inquiry, cube: Cube) -> int | _engine.Outcome | None:
    """The busiest variable with two sides to it; or the answer, where probing met with it; None if there is none."""
    for variable in inquiry.busiest(CANDIDATES + len(cube)):
        if variable in cube or -variable in cube:
            continue
        for literal in (variable, -variable):
            answer = inquiry.search((*cube, literal), conflicts=PROBE_CONFLICTS)
            if answer.status == "unsat" and literal not in answer.failed:
                return answer
            if answer.status == "sat" or (answer.status == "unknown" and answer.reason != "conflicts"):
                return answer
            if answer.status == "unsat":
                break
        else:
            return variable
    return None


class Tally:
    """A question while it is being worked on: its open cubes, and what they have cost so far."""

    def __init__(self, job: Decide) -> None:
        self._job = job
        self._open: set[Cube] = {()}
        self._first: Verdict | None = None
        self._split_at = 0.0
        self._cubes = 0
        self._cube_seconds = 0.0
        self._counted: dict[str, float] = {}

    def take(self, cube: Cube, part: Part) -> Verdict | list[Decide]:
        """The question's verdict, if the part settles it, or what is to be done now."""
        if cube not in self._open:
            return []
        self._open.remove(cube)
        self._count(part.verdict)
        if part.split_on is not None:
            if self._first is None:
                self._first, self._split_at = part.verdict, time.monotonic()
            halves = [(*cube, part.split_on), (*cube, -part.split_on)]
            self._open.update(halves)
            return [replace(self._job, cube=half, deadline=part.deadline) for half in halves]
        if part.verdict.status == "robust":
            # Whatever holds the literals that failed is refuted along with this cube.
            self._open = {one for one in self._open if not part.failed <= set(one)}
            if self._open:
                return []
        # What other cubes still say makes no difference.
        self._open.clear()
        return part.verdict if self._first is None else self._total(part.verdict)

    def _count(self, verdict: Verdict) -> None:
        self._cubes += 1
        self._cube_seconds += verdict.seconds.get("solve", 0.0)
        for key in _COUNTED:
            self._counted[key] = self._counted.get(key, 0) + verdict.statistics.get(key, 0)

    def _total(self, last: Verdict) -> Verdict:
        assert self._first is not None
        since = time.monotonic() - self._split_at
        seconds = {**self._first.seconds, "solve": self._first.seconds.get("solve", 0.0) + since}
        cubes = {"cubes": self._cubes, "cube_seconds": self._cube_seconds}
        return replace(last, seconds=seconds, statistics={**last.statistics, **self._counted, **cubes})


class Deciding:
    """Questions that a crew decides.

    split_after: a question that takes longer is shared among workers that are idle; None: never. certificates: a file
    for each question's.
    """

    def __init__(
        self,
        crew: Crew,
        questions: Sequence[Property],
        limits: Limits,
        seed: int,
        split_after: float | None = None,
        plan: Plan = Plan(),
        certificates: Sequence[Path] | None = None,
    ) -> None:
        self._crew = crew
        self._tallies: list[Tally] = []
        for number, question in enumerate(questions):
            certificate = None if certificates is None else certificates[number]
            job = Decide(number, question, limits, seed, plan, split_after, certificate=certificate)
            self._tallies.append(Tally(job))
            crew.ask(job)

    def take(self, job: Decide, part: Part) -> Verdict | None:
        """The question's verdict, if this part settles it; otherwise the crew gets what is to be done now."""
        answer = self._tallies[job.number].take(job.cube, part)
        if isinstance(answer, Verdict):
            self._crew.board.settle(job.number)
            return answer
        for half in answer:
            self._crew.ask(half, at_once=True)
        return None
