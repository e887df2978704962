"""One question, cheapest stage first. Each stage is exact and hands on a value.

clean prediction -> bounds -> (small budgets: enumeration) -> solver, briefly -> attack -> solver, to the end. The
solver gets the first word before the attack because most questions that bounds leave open take it well under a
millisecond; the attack then looks for what random search finds faster than proof. An answer of falsified is given only
after reference inference, on the counterexample's pixels, has confirmed it; a counterexample that fails this replay is
an error of ours and raised as such, never a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from bnnhw.model import reference
from bnnhw.verify import _engine
from bnnhw.verify.network import Integers, Network
from bnnhw.verify.properties import Avoids, Keeps, NotUnanimouslyWrong, Property, PropertyError

Status = Literal["robust", "falsified", "unknown"]
Stage = Literal["clean", "bounds", "enumeration", "attack", "solver"]


class UnsoundnessError(RuntimeError):
    """Two routes that must agree do not: a defect in bnnhw. Please report it with the model and the image."""


class Log(Protocol):
    """Takes a proof, piece by piece."""

    def write(self, piece: bytes) -> object: ...


@dataclass(frozen=True)
class Limits:
    """What one query may spend: seconds of wall clock, solver conflicts and bytes of memory; None means no limit."""

    seconds: float | None = 60.0
    conflicts: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Plan:
    """How much each stage may do before the next one takes over; no choice here changes an answer.

    most_subsets: enumerate a budget's images if that means at most so many subsets of changes (about 0.1 microseconds
    each). brief_conflicts: of the solver's first go. attack_evaluations: neighbours that the attack may look at (about
    2 microseconds each on conv-small). slice_conflicts: after so many conflicts a worker looks up from its query.
    """

    most_subsets: float = 1e8
    brief_conflicts: int = 1000
    attack_evaluations: int = 3000
    slice_conflicts: int = 1000


@dataclass(frozen=True, eq=False)
class Counterexample:
    """An image of the region that violates the condition. image: int64[C, H, W]; predicted: the first model's class."""

    image: Integers
    predicted: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer to one query.

    status: robust, falsified or unknown; reason says why an unknown is one (time, conflicts, memory, interrupted).
    stage: the stage that decided (or gave up). seconds: per stage. undecided: bits per hidden layer left by the bounds,
    of the first model. statistics: what the stages counted.
    """

    status: Status
    stage: Stage
    reason: str = ""
    counterexample: Counterexample | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    undecided: tuple[int, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict)


class Inquiry:
    """One question on its way through the stages, and what they cost. Deterministic by ``seed`` but for the clock.

    deadline: on the clock of ``time.monotonic``, which processes share; by default ``limits.seconds`` from now.
    proof: takes the proof of a robust answer; cubes, which make none, are then left out, and so is an enumeration that
    is too long for a checker to repeat.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        question: Property,
        limits: Limits = Limits(),
        seed: int = 0,
        plan: Plan = Plan(),
        deadline: float | None = None,
        proof: Log | None = None,
    ) -> None:
        question.check([network.model for network in networks])
        self.begun = self._lap_begun = time.monotonic()
        if deadline is None and limits.seconds is not None:
            deadline = self.begun + limits.seconds
        self.deadline = deadline
        self.seconds: dict[str, float] = {}
        self.statistics: dict[str, float] = {}
        self._networks, self._question, self._limits, self._seed, self._plan = networks, question, limits, seed, plan
        self._query = ask(networks, question)
        self._proof = proof
        if proof is not None:
            self._query.log_proof(proof.write)

    def presolve(self) -> Verdict | None:
        """Every stage before the solver; None if none of them decides, and the solver then has its formula."""
        reaches = self._query.clean_reaches
        self._lap("clean")
        if reaches:
            return self.verdict("falsified", "clean", self._question.region.image.ravel().tolist())
        excluded = self._query.bound()
        self._lap("bounds")
        if excluded:
            return self.verdict("robust", "bounds")
        self.statistics["free_inputs"] = self._query.free_steps
        if self._question.region.budget is not None:
            listed = self._query.enumerate(self._plan.most_subsets, self._remaining())
            self._lap("enumeration")
            self.statistics.update(listed.statistics)
            if listed.status == "found":
                return self.verdict("falsified", "enumeration", listed.image)
            if listed.status == "complete":
                return self.verdict("robust", "enumeration")
        self._encode()
        return None

    def prepare(self) -> None:
        """What ``search`` needs, for a question that is known to need it: bounds, and the formula."""
        self._query.bound()
        self._lap("bounds")
        self._encode()

    def solve(self, pause: Callable[[], bool] | None = None) -> Verdict | None:
        """The solver, with an attack in between; None if ``pause``, asked now and then, said so."""
        limit = self._limits.conflicts
        brief = self._plan.brief_conflicts if limit is None else min(self._plan.brief_conflicts, limit)
        answer = self.search(conflicts=brief)
        if answer.reason == "conflicts" and brief != limit:
            hit = self._query.attack(self._seed, self._plan.attack_evaluations, self._remaining())
            self._lap("attack")
            self.statistics.update(hit.statistics)
            if hit.status == "found":
                return self.verdict("falsified", "attack", hit.image)
            answer = self.search((), pause, None if limit is None else limit - brief)
            if pause is not None and answer.reason == "conflicts":
                return None
        return self.verdict_of(answer)

    def search(
        self, cube: Sequence[int] = (), pause: Callable[[], bool] | None = None, conflicts: int | None = None
    ) -> _engine.Outcome:
        """The solver's answer where the literals of ``cube`` hold. It may be asked again, to go on or for another cube.

        conflicts: after so many, the answer is unknown for the reason 'conflicts'; so it is when ``pause`` said so,
        which is asked after every ``slice_conflicts`` conflicts and does away with that limit.
        """
        # Between two cubes nothing is spent on the question.
        self._lap_begun = time.monotonic()
        portion = conflicts if pause is None else self._plan.slice_conflicts
        while True:
            answer = self._query.solve(portion, self._remaining(), self._limits.memory_bytes, cube)
            if pause is None or answer.reason != "conflicts" or pause():
                break
        self.statistics.update(answer.statistics)
        self._lap("solve")
        return answer

    def busiest(self, count: int) -> list[int]:
        """The variables that recent conflicts are about."""
        return self._query.busiest(count)

    def verdict_of(self, answer: _engine.Outcome) -> Verdict:
        """The solver's answer as a verdict."""
        if answer.status == "sat":
            return self.verdict("falsified", "solver", answer.image)
        return self.verdict("robust" if answer.status == "unsat" else "unknown", "solver", reason=answer.reason)

    def verdict(self, status: Status, stage: Stage, image: list[int] | None = None, reason: str = "") -> Verdict:
        """The verdict, once a counterexample has been replayed or a proof is complete."""
        if status == "robust" and self._proof is not None:
            self._query.finish_proof()
        undecided = tuple(self._query.undecided[0]) if stage != "clean" else ()
        found = None if image is None else replay(self._networks, self._question, np.array(image, np.int64))
        return Verdict(status, stage, reason, found, dict(self.seconds), undecided, dict(self.statistics))

    def _encode(self) -> None:
        try:
            self._query.encode(self._seed)
        except ValueError as error:
            raise PropertyError(str(error)) from None
        self._lap("encode")

    def _lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._lap_begun
        self._lap_begun = now

    def _remaining(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


def check(
    networks: Network | Sequence[Network],
    question: Property,
    limits: Limits = Limits(),
    seed: int = 0,
    plan: Plan = Plan(),
    proof: Log | None = None,
) -> Verdict:
    """Decide one question exactly. Deterministic by ``seed`` but for the time limit. proof: see ``Inquiry``."""
    asked = [networks] if isinstance(networks, Network) else list(networks)
    inquiry = Inquiry(asked, question, limits, seed, plan, proof=proof)
    verdict = inquiry.presolve() or inquiry.solve()
    assert verdict is not None
    return verdict


def ask(networks: Sequence[Network], question: Property) -> _engine.Query:
    """The question as the engine takes it; its stages may then be called one by one."""
    region, condition, budget = question.region, question.condition, question.region.budget
    goal: Literal["misclassified", "targeted", "unanimous", "differ"] = "differ"
    label = target = 0
    if isinstance(condition, Keeps):
        goal, label = "misclassified", condition.label
    elif isinstance(condition, Avoids):
        goal, target = "targeted", condition.target
    elif isinstance(condition, NotUnanimouslyWrong):
        goal, label = "unanimous", condition.label
    image, low, high = (
        np.ascontiguousarray(side, np.int32).reshape(-1) for side in (region.image, region.low, region.high)
    )
    return _engine.Query(
        [network.native for network in networks],
        image,
        low,
        high,
        goal,
        label,
        target,
        isinstance(condition, Keeps) and condition.strictly,
        None if budget is None else budget.norm,
        0 if budget is None else budget.limit,
        None if budget is None or budget.weight is None else np.ascontiguousarray(budget.weight, np.int64).reshape(-1),
    )


def replay(networks: Sequence[Network], question: Property, pixels: Integers) -> Counterexample:
    """The counterexample that ``pixels`` is, by reference inference; UnsoundnessError where it is none."""
    image = pixels.reshape(question.region.image.shape)
    if not question.region.contains(image):
        raise UnsoundnessError("the counterexample lies outside the region it was found in")
    scores = [reference.scores(network.model, image[None])[0] for network in networks]
    if question.condition.met(scores):
        raise UnsoundnessError(f"the counterexample still meets {question.condition} by reference inference")
    return Counterexample(image, int(np.argmax(scores[0])))
