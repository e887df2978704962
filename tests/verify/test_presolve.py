"""Presolve's reports carry their own weight: a checker of Python integers follows every step and takes no other."""

from typing import NamedTuple

import numpy as np
import pytest
from brute_force import Table, inside
from presolve_checker import Decision, ScoreBound, StepError, check_presolve
from random_questions import random_questions

from bnnhw.model import IntegerModel
from bnnhw.verify import Property
from bnnhw.verify.check import ask


class Report(NamedTuple):
    table: Table
    models: list[IntegerModel]
    question: Property
    excluded: bool
    decisions: list[Decision]
    score_bounds: list[ScoreBound]


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    made = []
    for seed in range(40):
        for table, question, _ in random_questions(np.random.default_rng(seed), 5):
            query = ask(table.networks, question)
            excluded = query.bound(record=True)
            decisions = [Decision(*row) for row in query.decisions.tolist()]
            score_bounds = [ScoreBound(*row) for row in query.score_bounds.tolist()]
            models = [network.model for network in table.networks]
            made.append(Report(table, models, question, excluded, decisions, score_bounds))
    return made


def test_every_step_follows_and_together_they_give_the_verdict(reports):
    for one in reports:
        assert check_presolve(one.models, one.question, one.decisions, one.score_bounds) == one.excluded
    assert 30 < sum(one.excluded for one in reports) < len(reports) - 30
    assert sum(step.numerator > 0 for one in reports for step in one.decisions) > 100
    assert sum(step.layer > 0 for one in reports for step in one.decisions) > 100


def test_without_any_one_score_bound_the_verdict_stays_open(reports):
    left_out = 0
    for one in reports[:100]:
        for at in range(len(one.score_bounds) if one.excluded else 0):
            others = one.score_bounds[:at] + one.score_bounds[at + 1 :]
            assert not check_presolve(one.models, one.question, one.decisions, others)
            left_out += 1
    assert left_out > 20


def test_nothing_is_recorded_unless_asked_for(reports):
    for one in reports[:10]:
        query = ask(one.table.networks, one.question)
        assert query.bound() == one.excluded
        assert query.decisions.shape == (0, 7)
        assert query.score_bounds.shape == (0, 4)
        query.bound(record=True)
        assert query.decisions.tolist() == [list(step) for step in one.decisions]
        query.bound()
        assert query.decisions.shape == (0, 7)


MUTATIONS = {
    "bit": lambda one: one._replace(bit=1 - one.bit),
    "more slack": lambda one: one._replace(slack=one.slack + 1),
    "less slack": lambda one: one._replace(slack=one.slack - 1),
    "negative multiplier": lambda one: one._replace(numerator=-one.numerator - 1),
    "no denominator": lambda one: one._replace(denominator=0),
    "no such neuron": lambda one: one._replace(neuron=10**6),
    "no such layer": lambda one: one._replace(layer=one.layer + 10),
    "no such network": lambda one: one._replace(network=one.network + 10),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_decision_is_refused(reports, mutate):
    rng = np.random.default_rng(1)
    decided = [one for one in reports if one.decisions][:30]
    assert len(decided) == 30
    for one in decided:
        decisions = list(one.decisions)
        at = int(rng.integers(len(decisions)))
        decisions[at] = mutate(decisions[at])
        with pytest.raises(StepError):
            check_presolve(one.models, one.question, decisions, one.score_bounds)


def test_a_changed_score_bound_is_refused(reports):
    bounded = [one for one in reports if one.score_bounds][:30]
    assert len(bounded) == 30
    for one in bounded:
        for off in (-1, 1):
            first = one.score_bounds[0]._replace(most=one.score_bounds[0].most + off)
            with pytest.raises(StepError):
                check_presolve(one.models, one.question, one.decisions, [first, *one.score_bounds[1:]])


def test_no_claim_about_a_bit_that_changes_is_accepted(reports):
    """Whatever multiplier and slack it comes with; which bits change is for brute force to say."""
    claims = 0
    for one in reports[:40]:
        member = inside(one.question.region, one.table.images)
        at = int(np.nonzero((one.table.images == one.question.region.image).all(axis=(1, 2, 3)))[0][0])
        bits = one.table.traces[0].bits[0].reshape(len(member), -1)
        moving = np.nonzero((bits[member] != bits[at]).any(axis=0))[0]
        for neuron in moving[:1].tolist():
            for numerator in (0, 1, 3) if one.question.region.budget is not None else (0,):
                for slack in range(3):
                    claim = Decision(0, 0, neuron, int(bits[at, neuron]), numerator, 2, slack)
                    told = sorted([*one.decisions, claim], key=lambda step: step[:2])
                    with pytest.raises(StepError, match=r"the slack is -"):
                        check_presolve(one.models, one.question, told, [])
                    claims += 1
    assert claims > 100
