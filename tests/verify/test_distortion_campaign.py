"""Smallest distortions of many images: the same by any number of processes, and with bounds that hold on the way."""

import numpy as np
from random_models import random_model, random_pixels

from bnnhw.model.reference import predict
from bnnhw.verify import Agree, Keeps, Subject, minimise_many
from bnnhw.verify.record import read


def test_processes_find_the_same_and_tell_bounds_that_hold(tmp_path):
    rng = np.random.default_rng(37)
    model = random_model(rng, (1, 4, 4), levels=3, hidden=2)
    images = random_pixels(rng, model, 8)
    labels = predict(model, images).tolist()
    subjects = [
        Subject(i, image, Keeps(label), label) for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    alone, told = [], []
    one = minimise_many(
        [model], subjects, "l1", tmp_path / "one.jsonl", workers=1, bounds=lambda *bounds: alone.append(bounds)
    )
    two = minimise_many(
        [model], subjects, "l1", tmp_path / "two.jsonl", workers=2, bounds=lambda *bounds: told.append(bounds)
    )
    least = [(r.query, r.status, r.data["lower"], r.data["upper"]) for r in one]
    assert least == [(r.query, r.status, r.data["lower"], r.data["upper"]) for r in two]
    assert any(record.status == "minimal" for record in one)
    assert len(alone) > len(subjects)
    for subject, lower, upper in alone + told:
        final = one[subject.name].data
        assert lower <= final["lower"]
        assert upper is None or upper >= final["upper"]


def test_conditions_of_several_models_are_searched_too(tmp_path):
    rng = np.random.default_rng(5)
    models = [random_model(rng, (1, 3, 3), levels=2, hidden=2) for _ in "ab"]
    subjects = [Subject(i, image, Agree()) for i, image in enumerate(random_pixels(rng, models[0], 6))]
    found = minimise_many(models, subjects, "l0", tmp_path / "r.jsonl", workers=1)
    assert len(read(tmp_path / "r.jsonl")) == 6
    for record in found:
        if record.status == "minimal":
            with np.load(tmp_path / "counterexamples" / f"{record.data['counterexample']}.npz") as saved:
                changed = saved["image"]
            assert (changed != subjects[record.data["index"]].image).sum() == record.data["lower"]
            assert predict(models[0], changed[None])[0] != predict(models[1], changed[None])[0]
