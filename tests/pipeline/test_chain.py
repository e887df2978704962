"""The chain on digits, trained for a moment: every link agrees, a run resumes, and a broken link is not hidden."""

import dataclasses
import json

import pytest

import bnnhw.inference
from bnnhw.model import digest, load
from bnnhw.pipeline import Settings, run, write_report
from bnnhw.train import recipe_for


@pytest.fixture(scope="module")
def recipe():
    return dataclasses.replace(recipe_for("digits", "conv-small", 0.1), epochs=2, width=0.25)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, recipe):
    out = tmp_path_factory.mktemp("chain") / "run"
    settings = Settings(
        "digits", "conv-small", ("0.1", "1/8"), out, verify_images=10, simulate_images=12, seconds=20.0, workers=1
    )
    return run(settings, recipe, lambda _: None)


def test_every_link_agrees_and_every_file_is_there(finished):
    out = finished.settings.out
    assert finished.sound
    assert [link.name for link in finished.links] == ["torch vs integer", "integer vs kernel", "integer vs RTL"]
    assert finished.links[2].compared == 12
    assert [row.images for row in finished.robustness] == [10, 10]
    assert finished.robustness[0].robust >= finished.robustness[1].robust
    name = digest(load(out / "model.bnn"))
    assert set(finished.digests.values()) == {name}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["sound"] is True
    assert summary["digests"]["model"] == name


def test_the_report_is_self_contained(finished):
    page = write_report(finished).read_text()
    assert finished.digests["model"] in page
    assert "Every link of the chain agrees" in page
    for outside in ("http://", "https://", "<script", "<link"):
        assert outside not in page
    if any(row.falsified > row.misclassified for row in finished.robustness):
        assert "data:image/png;base64," in page


def test_a_second_run_finds_everything_again(finished, recipe):
    results = finished.settings.out / "verify" / "results.jsonl"
    text = results.read_text()
    again = run(finished.settings, recipe, lambda _: None)
    assert results.read_text() == text
    assert again.digests == finished.digests
    assert again.sound


def test_a_broken_link_makes_the_chain_unsound(finished, recipe, monkeypatch):
    compiled = bnnhw.inference.compile

    def one_off(model):
        program = compiled(model)

        def scores(pixels):
            wrong = program(pixels).copy()
            wrong[3, 0] += 1
            return wrong

        return scores

    monkeypatch.setattr(bnnhw.inference, "compile", one_off)
    broken = run(finished.settings, recipe, lambda _: None)
    assert not broken.sound
    assert [link.mismatches for link in broken.links] == [0, 1, 0]
    assert "disagrees" in write_report(broken).read_text()
