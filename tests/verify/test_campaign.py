"""Campaigns: verdicts survive interrupts, are never asked twice, and never speak for another model."""

import json

import numpy as np
import pytest
from PIL import Image
from random_models import random_model, random_pixels

from bnnhw.model.reference import predict
from bnnhw.verify import Limits, PropertyError, pixel_radius, verify_many
from bnnhw.verify.record import read


@pytest.fixture
def setting():
    rng = np.random.default_rng(37)
    model = random_model(rng, (1, 4, 4), levels=3, hidden=2)
    images = random_pixels(rng, model, 12)
    return model, images, predict(model, images)


def test_results_are_complete_ordered_and_resumed(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "results.jsonl"
    first = verify_many(model, images[:5], labels[:5], 2, path, workers=1)
    text = path.read_text()
    shown = []
    both = verify_many(model, images, labels, 2, path, workers=1, progress=shown.append)
    assert path.read_text().startswith(text)
    assert [record.data["index"] for record in both] == list(range(12))
    assert [r.query for r in both[:5]] == [r.query for r in first]
    assert len(shown) == len(read(path)) == 12
    assert {record.status for record in both} == {"robust", "falsified"}


def test_processes_give_the_same_verdicts(setting, tmp_path):
    model, images, labels = setting
    one = verify_many(model, images, labels, 2, tmp_path / "one" / "r.jsonl", workers=1)
    two = verify_many(model, images, labels, 2, tmp_path / "two" / "r.jsonl", workers=2)
    assert [(r.query, r.status) for r in one] == [(r.query, r.status) for r in two]


def test_counterexamples_are_saved_and_replay(setting, tmp_path):
    model, images, labels = setting
    for record in verify_many(model, images, labels, 2, tmp_path / "r.jsonl", workers=1):
        if record.status != "falsified":
            assert record.data["counterexample"] is None
            continue
        stem = tmp_path / "counterexamples" / record.data["counterexample"]
        with np.load(stem.with_suffix(".npz")) as saved:
            assert predict(model, saved["image"][None])[0] == record.data["predicted"] != saved["label"]
            assert np.abs(saved["image"] - images[record.data["index"]]).max() <= 2
        Image.open(stem.with_suffix(".png")).verify()


def test_an_interrupted_last_line_is_dropped_and_asked_again(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "r.jsonl"
    whole = verify_many(model, images, labels, 1, path, workers=1)
    path.write_bytes(path.read_bytes()[:-20])
    again = verify_many(model, images, labels, 1, path, workers=1)
    assert [(r.query, r.status) for r in again] == [(r.query, r.status) for r in whole]
    assert len(read(path)) == 12


def test_a_damaged_line_is_named(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "r.jsonl"
    verify_many(model, images[:3], labels[:3], 1, path, workers=1)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{", lines[2]]) + "\n")
    with pytest.raises(ValueError, match="line 2 is not a verdict"):
        verify_many(model, images[:3], labels[:3], 1, path, workers=1)


def test_unknown_is_asked_again_only_with_more_time(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "r.jsonl"
    verify_many(model, images[:1], labels[:1], 1, path, workers=1, limits=Limits(5.0))
    data = json.loads(path.read_text())
    data.update(status="unknown", reason="time", time_limit=5.0)
    path.write_text(json.dumps(data) + "\n")
    same = verify_many(model, images[:1], labels[:1], 1, path, workers=1, limits=Limits(5.0))
    assert same[0].status == "unknown"
    more = verify_many(model, images[:1], labels[:1], 1, path, workers=1, limits=Limits(6.0))
    assert more[0].status != "unknown"


def test_unknown_for_want_of_conflicts_is_asked_again_with_more(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "r.jsonl"
    verify_many(model, images[:1], labels[:1], 1, path, workers=1, limits=Limits(5.0, conflicts=10))
    data = json.loads(path.read_text())
    data.update(status="unknown", reason="conflicts")
    path.write_text(json.dumps(data) + "\n")
    for limits, status in ((Limits(9.0, conflicts=10), True), (Limits(5.0), False)):
        (again,) = verify_many(model, images[:1], labels[:1], 1, path, workers=1, limits=limits)
        assert (again.status == "unknown") == status


def test_results_never_speak_for_another_question(setting, tmp_path):
    model, images, labels = setting
    path = tmp_path / "r.jsonl"
    a = verify_many(model, images[:2], labels[:2], 1, path, workers=1)
    b = verify_many(model, images[:2], labels[:2], 2, path, workers=1)
    other = random_model(np.random.default_rng(12), (1, 4, 4))
    c = verify_many(other, images[:2], predict(other, images[:2]), 1, path, workers=1)
    assert len({r.query for r in a + b + c}) == 6 == len(read(path))


def test_questions_that_do_not_fit_are_refused(setting, tmp_path):
    model, images, labels = setting
    with pytest.raises(PropertyError, match="one label per image"):
        verify_many(model, images, labels[:2], 1, tmp_path / "r.jsonl")
    with pytest.raises(PropertyError, match="must be a class"):
        verify_many(model, images[:1], [99], 1, tmp_path / "r.jsonl")
    assert not (tmp_path / "r.jsonl").exists()


def test_radius_is_exact(setting):
    quantizer = setting[0].quantizer
    span = quantizer.pixel_max - quantizer.pixel_min
    assert pixel_radius("0.1", quantizer) == span // 10
    assert pixel_radius(f"1/{span}", quantizer) == 1
    assert pixel_radius("0.99999999999999999999", quantizer) == span - 1
    for bad in ("-0.1", "1.01", "much", "1/0"):
        with pytest.raises(PropertyError):
            pixel_radius(bad, quantizer)
