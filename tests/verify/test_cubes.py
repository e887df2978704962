"""Questions in parts: the same answers as in one piece, whatever the splits, and nothing left running afterwards."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brute_force import box_members, inside, violated
from random_models import random_classifier, random_pixels

from bnnhw.model import Dense, IntegerModel, Output, Quantizer, save
from bnnhw.model.reference import predict, trace
from bnnhw.verify import (
    Agree,
    Ball,
    Budget,
    Keeps,
    Limits,
    NotUnanimouslyWrong,
    Plan,
    Region,
    Subject,
    build,
    cubes,
    decide_many,
    linf_ball,
)
from bnnhw.verify.check import ask
from bnnhw.verify.crew import Crew
from bnnhw.verify.cubes import Deciding

ALWAYS = Plan(most_subsets=0, brief_conflicts=1, attack_evaluations=0, slice_conflicts=1)
"""No stage before the solver but the bounds, and a look up from it after every conflict."""


@pytest.fixture
def eager(monkeypatch):
    """Split as soon as there is anything to split on."""
    monkeypatch.setattr(cubes, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(cubes, "PROBE_CONFLICTS", 0)


def decide_in_parts(networks, question, seed=0):
    """The verdict with every worker, here just one, always told that another is idle."""
    with Crew(networks, 1, 1) as crew:
        deciding = Deciding(crew, [question], Limits(60), seed, 0.0, ALWAYS)
        crew.board.set_idle(10**6)
        verdicts = [verdict for job, part in crew.answers() if (verdict := deciding.take(job, part)) is not None]
    (verdict,) = verdicts
    return verdict


def guarded(width, margin, side, seed=0):
    """A network whose class 0 is safe by a margin that bounds cannot see: the wider, the harder to prove."""
    rng = np.random.default_rng(seed)
    one, two = rng.choice([-1, 1], (width, side * side)), rng.choice([-1, 1], (width, width))
    layers = [Dense(each, each.sum(axis=1) // 2, np.zeros(width, bool)) for each in (one, two)]
    output = Output(rng.choice([-1, 1], (2, width)), [margin, 0])
    return IntegerModel(Quantizer((1, side, side), [1], 0, 1), tuple(layers), output)


@pytest.mark.usefixtures("eager")
def test_verdicts_in_parts_equal_brute_force():
    seen, most = set(), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        models = [guarded(24, int(rng.integers(2, 8)), 3, int(rng.integers(10**6))) for _ in range(1 + seed % 2)]
        image = random_pixels(rng, models[0], 1)[0]
        label = int(predict(models[0], image[None])[0])
        region = linf_ball(image, 1, models[0].quantizer)
        if rng.random() < 0.3:
            region = Region(image, region.low, region.high, Budget("l0", 6))
        condition = Keeps(label) if len(models) == 1 else [Agree(), NotUnanimouslyWrong(label)][seed // 2 % 2]
        images = box_members(region.low, region.high)
        images = images[inside(region, images)]
        wrong = images[violated(condition, [trace(model, images) for model in models])]
        verdict = decide_in_parts([build(model) for model in models], region & condition, seed)
        assert verdict.status == ("falsified" if len(wrong) else "robust")
        if verdict.counterexample is not None:
            assert (wrong == verdict.counterexample.image).all(axis=(1, 2, 3)).any()
        seen.add((verdict.status, "cubes" in verdict.statistics))
        most = max(most, verdict.statistics.get("cubes", 0))
    assert {("robust", True), ("falsified", True)} <= seen
    assert most > 8


def test_assumptions_cut_the_question_into_two_that_cover_it():
    rng = np.random.default_rng(9)
    seen = set()
    for _ in range(60):
        images = rng.integers(0, 5, (40, 1, 3, 3))
        model, image = random_classifier(rng, images, 3, 2), images[0]
        question = linf_ball(image, 2, model.quantizer) & Keeps(int(predict(model, image[None])[0]))
        query = ask([build(model)], question)
        if query.bound():
            continue
        query.encode()
        whole = query.solve()
        variable = int(rng.integers(1, whole.statistics["variables"] + 1))
        halves = [query.solve(assumptions=[literal]) for literal in (variable, -variable)]
        assert ("sat" in [half.status for half in halves]) == (whole.status == "sat")
        for half, literal in zip(halves, (variable, -variable), strict=True):
            assert set(half.failed) <= {literal}
            if half.status == "unsat" and not half.failed:
                assert whole.status == "unsat"
        seen.add(whole.status)
        for bad in (0, 10**6):
            with pytest.raises(ValueError, match="not about a variable"):
                query.solve(assumptions=[bad])
    assert seen == {"sat", "unsat"}


def test_the_busiest_variables_are_those_of_conflicts():
    model = guarded(40, 12, 4)
    query = ask([build(model)], linf_ball(np.zeros((1, 4, 4), int), 1, model.quantizer) & Keeps(0))
    assert not query.bound()
    assert query.busiest(5) == []
    query.encode()
    assert query.busiest(5) == []
    answer = query.solve(conflict_limit=500)
    busiest = query.busiest(10**6)
    assert query.busiest(5) == busiest[:5]
    assert len(busiest) == len(set(busiest))
    assert set(busiest) <= set(range(1, int(answer.statistics["variables"]) + 1))


def test_processes_share_one_question(tmp_path):
    model = guarded(40, 12, 4)
    subject = Subject(0, np.zeros((1, 4, 4), int), Keeps(0), 0)
    asked = ([model], [subject], Ball("linf", 1))
    (shared,) = decide_many(*asked, tmp_path / "shared.jsonl", workers=2, split_after=0.0)
    assert shared.status == "robust"
    assert shared.data["statistics"]["cubes"] >= 3
    (alone,) = decide_many(*asked, tmp_path / "alone.jsonl", workers=2, split_after=None)
    assert alone.query == shared.query
    assert (alone.status, "cubes" in alone.data["statistics"]) == ("robust", False)


def test_a_shared_question_keeps_its_deadline(tmp_path):
    asked = ([guarded(48, 12, 5)], [Subject(0, np.zeros((1, 5, 5), int), Keeps(0), 0)], Ball("linf", 1))
    (record,) = decide_many(*asked, tmp_path / "r.jsonl", workers=2, split_after=0.0, limits=Limits(3.0))
    assert (record.status, record.data["reason"]) == ("unknown", "time")


def test_a_limit_of_conflicts_keeps_a_question_in_one_piece(tmp_path):
    asked = ([guarded(40, 12, 4)], [Subject(0, np.zeros((1, 4, 4), int), Keeps(0), 0)], Ball("linf", 1))
    limits = Limits(60.0, conflicts=3000)
    (record,) = decide_many(*asked, tmp_path / "r.jsonl", workers=2, split_after=0.0, limits=limits)
    assert (record.status, record.data["reason"]) == ("unknown", "conflicts")
    assert "cubes" not in record.data["statistics"]


ENDLESS = """
import signal, sys, numpy as np
from pathlib import Path
from bnnhw.model import load
from bnnhw.verify import Ball, Keeps, Limits, Subject, decide_many

if __name__ == "__main__":
    # A shell that starts tests in the background has them ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subject = Subject(0, np.zeros((1, 5, 5), int), Keeps(0), 0)
    folder = Path(sys.argv[1])
    decide_many([load(folder / "net.bnn")], [subject], Ball("linf", 1), folder / "r.jsonl",
                workers=2, split_after=0.0, limits=Limits(600.0))
"""


def children(process):
    """The process numbers of a process's children."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_however_it_ends_no_process_is_left(tmp_path, kind):
    save(guarded(48, 12, 5), tmp_path / "net.bnn")
    (tmp_path / "endless.py").write_text(ENDLESS)
    parent = subprocess.Popen([sys.executable, tmp_path / "endless.py", tmp_path], stderr=subprocess.DEVNULL)
    try:
        # Two workers, and the process that watches shared memory for Python.
        while len(started := children(parent.pid)) < 3:
            assert parent.poll() is None
            time.sleep(0.05)
        parent.send_signal(getattr(signal, kind))
        parent.wait()
        while any(alive(child) for child in started):
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
    assert not (tmp_path / "r.jsonl").exists()
