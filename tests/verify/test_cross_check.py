"""Second opinions: other solvers on the independent formula, and what becomes of a contradiction."""

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from random_formulas import random_formula
from random_models import random_model, random_pixels

from bnnhw.model.reference import predict
from bnnhw.verify import (
    Agree,
    Ball,
    Budget,
    Keeps,
    PropertyError,
    Region,
    Subject,
    UnsoundnessError,
    Verdict,
    build,
    check,
    cross_check,
    decide_many,
    linf_ball,
)
from bnnhw.verify.cross_check import SOLVERS
from bnnhw.verify.formula import Formula, load
from bnnhw.verify.record import read


@pytest.fixture(params=SOLVERS)
def by(request):
    """Each solver that is installed."""
    pytest.importorskip({"cadical": "pysat", "cp-sat": "ortools"}[request.param])
    return request.param


def questions(rng, count):
    """Random networks with questions about them."""
    for _ in range(count):
        models = [random_model(rng, (1, 3, 3), levels=3, hidden=3, pixel_range=(0, 9)) for _ in "ab"]
        networks = [build(model) for model in models]
        image = random_pixels(rng, models[0], 1)[0]
        label = int(predict(models[0], image[None])[0])
        region = linf_ball(image, 2, models[0].quantizer)
        if rng.random() < 0.5:
            region = Region(image, region.low, region.high, Budget("l1", 5))
        yield networks[:1], region & Keeps(label)
        yield networks, region & Agree()


def test_solvers_agree_with_ours_on_random_formulas(by):
    rng = random.Random(3)
    seen = set()
    for _ in range(150):
        formula = random_formula(rng, 10)
        answer = load(formula).solve().status
        assert SOLVERS[by](formula, None) == (answer == "sat")
        seen.add(answer)
    assert seen == {"sat", "unsat"}


def test_solvers_agree_with_the_engine_on_the_independent_formula(by):
    seen = set()
    for networks, question in questions(np.random.default_rng(13), 80):
        verdict = check(networks, question)
        assert cross_check(networks, question, verdict, by)
        seen.add((type(question.condition).__name__, verdict.status))
    assert len(seen) == 4


def test_a_false_verdict_is_contradicted(by):
    networks, question = next(questions(np.random.default_rng(13), 1))
    true = check(networks, question).status
    false = Verdict("robust" if true == "falsified" else "falsified", "solver")
    with pytest.raises(UnsoundnessError, match=f"but {by} finds the same question {true}"):
        cross_check(networks, question, false, by)


def test_what_is_unknown_is_not_confirmed(by):
    networks, question = next(questions(np.random.default_rng(13), 1))
    assert not cross_check(networks, question, Verdict("unknown", "solver", "time"), by)
    # Eleven pigeons in ten holes.
    inside = [[hole * 11 + pigeon + 1 for hole in range(10)] for pigeon in range(11)]
    apart = [(-one, -other) for hole in zip(*inside, strict=True) for one, other in combinations(hole, 2)]
    formula = Formula(110, (*map(tuple, inside), *apart), ())
    assert SOLVERS[by](formula, 0.0) is None


def test_an_unknown_solver_is_refused():
    networks, question = next(questions(np.random.default_rng(13), 1))
    with pytest.raises(PropertyError, match="choose one of cadical, cp-sat"):
        cross_check(networks, question, Verdict("unknown", "solver"), "minisat")


@pytest.fixture
def campaign(tmp_path):
    """Ten images of a random model, and a function that decides them: (records, what is on disk)."""
    rng = np.random.default_rng(37)
    model = random_model(rng, (1, 4, 4), levels=3, hidden=2)
    images = random_pixels(rng, model, 10)
    labels = predict(model, images).tolist()
    subjects = [
        Subject(i, image, Keeps(label), label) for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]

    def decide(by, **more):
        path = tmp_path / "r.jsonl"
        return decide_many([model], subjects, Ball("linf", 2), path, workers=1, cross_check_by=by, **more), read(path)

    return decide


def test_campaigns_record_who_confirmed_and_ask_again_for_a_new_opinion(campaign, by):
    first, _ = campaign(None)
    assert {record.confirmed_by for record in first} == {()}
    second, lines = campaign(by)
    assert [record.status for record in second] == [record.status for record in first]
    assert {record.confirmed_by for record in second} == {(by,)}
    assert len(lines) == 20
    assert campaign(by)[1] == campaign(None)[1] == lines


def test_too_little_time_for_a_second_opinion_leaves_the_verdict(campaign, monkeypatch):
    pytest.importorskip("pysat")
    first, lines = campaign(None)
    monkeypatch.setattr("bnnhw.verify.cubes.Deciding.take", lambda *_: Verdict("unknown", "solver", "time"))
    assert campaign("cadical") == (first, lines)


def test_a_disagreement_is_an_error_of_ours_and_leaves_no_verdict(campaign, monkeypatch, tmp_path):
    def mistaken(deciding, job, part):
        true = part.verdict
        return replace(true, status="falsified" if true.status == "robust" else "robust", counterexample=None)

    pytest.importorskip("pysat")
    monkeypatch.setattr("bnnhw.verify.cubes.Deciding.take", mistaken)
    with pytest.raises(UnsoundnessError):
        campaign("cadical")
    assert read(tmp_path / "r.jsonl") == []


def test_a_verdict_that_contradicts_its_record_is_an_error_of_ours(campaign, tmp_path):
    pytest.importorskip("pysat")
    campaign(None)
    path = tmp_path / "r.jsonl"
    path.write_text(path.read_text().replace('"robust"', '"falsified"'))
    with pytest.raises(UnsoundnessError, match="recorded as falsified before"):
        campaign("cadical")
