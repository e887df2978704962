"""Certificates as a user meets them: written by verify, compare and solve, checked alone, refused when damaged."""

import json
import random
import shutil
from pathlib import Path

import pytest
import veripb_replay
from certified import question_certificates
from random_formulas import layered_formula

from bnnhw.cli.certify import FORMATS
from bnnhw.model import load, save
from bnnhw.verify import formula
from bnnhw.verify.certificate import read


@pytest.fixture
def certified(call, digits_model, tmp_path):
    """A folder of certificates and what the command printed about it."""
    path, _ = digits_model
    folder = tmp_path / "certificates"
    asked = ("verify", path, "--count", 4, "--eps", "0.07", "--workers", 1, "--certify", folder, "--json")
    code, out, _ = call(*asked)
    assert code == 0
    return folder, json.loads(out), asked


def test_a_folder_of_certificates_is_checked_on_its_own(call, certified, tmp_path):
    folder, said, _ = certified
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    code, out, _ = call("certify", "check", elsewhere, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["certificates"] == found["hold"] == 4
    row = said["robustness"][0]
    verdicts = [one["verdict"] for one in found["checked"]]
    assert (verdicts.count("robust"), verdicts.count("falsified")) == (row["robust"], row["falsified"])


def test_a_verdict_whose_certificate_is_gone_is_asked_again(call, certified):
    folder, _, asked = certified
    first = sorted(folder.glob("*.cert"))[0]
    first.unlink()
    assert call(*asked)[0] == 0
    assert first.exists()


def test_a_certificate_is_refused_for_another_model_and_when_cut_off(call, certified, digits_model, tmp_path):
    folder, _, _ = certified
    _, model = digits_model
    other = tmp_path / "other.bnn"
    save(
        type(model)(model.quantizer, model.hidden, type(model.output)(model.output.weights, model.output.bias + 1)),
        other,
    )
    code, out, _ = call("certify", "check", folder, "--model", other, "--json")
    assert code == 1
    assert all("another model" in one["refusal"] for one in json.loads(out)["checked"])
    cut = sorted(folder.glob("*.cert"))[0]
    cut.write_bytes(cut.read_bytes()[:-40])
    assert call("certify", "check", folder)[0] == 1
    assert load(next(folder.glob("*.bnn"))) == model


def test_both_sides_of_a_smallest_distortion_are_certified(call, digits_model, tmp_path):
    path, _ = digits_model
    folder = tmp_path / "certificates"
    asked = ("verify", path, "--count", 2, "--minimal", "l1", "--workers", 1, "--certify", folder, "--json")
    code, out, _ = call(*asked)
    assert code == 0
    sides = sum(1 if one["upper"] == 0 else 2 for one in json.loads(out)["minimal"])
    code, out, _ = call("certify", "check", folder, "--json")
    found = json.loads(out)
    assert (code, found["certificates"], found["hold"]) == (0, sides, sides)


def test_a_formula_without_a_model_is_certified(call, tmp_path):
    text, proof = tmp_path / "one.knf", tmp_path / "one.cert"
    text.write_text("p rknf 4 5\nr 3 >= 2 1 2 0\nr 4 <= 1 1 2 0\n3 4 0\n-3 -4 0\nr 0 >= 2 3 4 0\n")
    assert call("solve", text, "--proof", proof)[0] == 0
    assert call("certify", "check", proof, "--formula", text)[0] == 0
    other = tmp_path / "other.knf"
    other.write_text("p rknf 1 1\n1 0\n")
    assert call("certify", "check", proof, "--formula", other)[0] == 1
    assert call("solve", other, "--proof", tmp_path / "none.cert")[0] == 0
    assert not (tmp_path / "none.cert").exists()


def test_trimmed_certificates_are_certificates_and_no_larger(call, certified, tmp_path):
    folder, _, _ = certified
    elsewhere = tmp_path / "trimmed"
    before = {path.name: path.read_bytes() for path in folder.glob("*.cert")}
    code, out, _ = call("certify", "trim", folder, "--out", elsewhere, "--json")
    said = json.loads(out)
    assert (code, said["certificates"]) == (0, 4)
    assert {path.name: path.read_bytes() for path in folder.glob("*.cert")} == before
    assert {path.name for path in elsewhere.glob("*.cert")} == set(before)
    assert call("certify", "trim", folder)[0] == 0
    for path in folder.glob("*.cert"):
        assert path.read_bytes() == (elsewhere / path.name).read_bytes()
        assert len(path.read_bytes()) <= len(before[path.name])
    assert said["after"] == sum(path.stat().st_size for path in folder.glob("*.cert")) <= said["before"]
    assert call("certify", "check", folder)[0] == 0
    code, out, _ = call("certify", "trim", folder, "--json")
    assert json.loads(out)["after"] == json.loads(out)["before"] == said["after"]


def test_a_proof_about_a_formula_gets_smaller(call, tmp_path):
    """A search of some conflicts learns more than it needs."""
    text, proof = tmp_path / "one.knf", tmp_path / "one.cert"
    for seed in range(1, 100):
        formula.write(layered_formula(random.Random(seed)), text)
        call("solve", text, "--proof", proof)
        if proof.exists() and json.loads(call("solve", text, "--json")[1])["conflicts"] > 5:
            break
    code, out, _ = call("certify", "trim", proof, "--formula", text, "--json")
    said = json.loads(out)
    assert (code, said["smaller"], said["after"]) == (0, 1, proof.stat().st_size)
    assert said["after"] < said["before"]
    assert call("certify", "check", proof, "--formula", text)[0] == 0


def test_a_certificate_that_does_not_hold_is_not_trimmed(call, certified):
    folder, _, _ = certified
    cut = sorted(folder.glob("*.cert"))[0]
    cut.write_bytes(cut.read_bytes()[:-40])
    left = cut.read_bytes()
    code, out, _ = call("certify", "trim", folder, "--json")
    assert code == 1
    assert sum(one["refusal"] is not None for one in json.loads(out)["trimmed"]) == 1
    assert cut.read_bytes() == left


def test_certificates_of_one_name_do_not_overwrite_each_other(call, certified, tmp_path):
    folder, _, _ = certified
    shutil.copytree(folder, tmp_path / "copy")
    code, _, error = call("certify", "trim", folder, tmp_path / "copy", "--out", tmp_path / "one")
    assert (code, error.count("\n")) == (2, 1)
    assert not (tmp_path / "one").exists()


def test_an_export_is_a_formula_and_a_proof_of_it(call, tmp_path):
    path = tmp_path / "robust.cert"
    models, _, _ = next(
        made for made in question_certificates(range(100), path) if made[1].manifest["proof"]["bytes"] > 9
    )
    for number, model in enumerate(models):
        save(model, tmp_path / f"{number}.bnn")
    code, out, _ = call("certify", "export", path, "--format", "veripb", "--json")
    names = [made["path"] for made in json.loads(out)["files"]]
    assert (code, names) == (0, [str(tmp_path / "robust.opb"), str(tmp_path / "robust.pbp")])
    veripb_replay.check(*(Path(name).read_text() for name in names))
    assert call("certify", "export", path, "--format", "drat")[0] == 2
    damaged = tmp_path / "damaged.cert"
    damaged.write_bytes(path.read_bytes()[:-4])
    assert call("certify", "export", damaged, "--format", "veripb")[0] == 1
    assert not (tmp_path / "damaged.opb").exists()


def test_a_proof_that_turns_out_to_have_no_translation_leaves_no_file(call, certified, monkeypatch):
    def broken():
        yield "the first line"
        raise ValueError("step 2 has no translation")

    folder, _, _ = certified
    monkeypatch.setitem(FORMATS, "veripb", lambda *_: {".opb": iter(["* a formula"]), ".pbp": broken()})
    before = sorted(folder.iterdir())
    code, _, error = call("certify", "export", before[0], "--format", "veripb")
    assert (code, error.count("\n")) == (2, 1)
    assert sorted(folder.iterdir()) == before


def test_a_counterexample_has_no_proof_to_export(call, certified):
    folder, _, _ = certified
    falsified = next(path for path in folder.glob("*.cert") if read(path).verdict == "falsified")
    code, _, error = call("certify", "export", falsified, "--format", "veripb")
    assert (code, error.count("\n")) == (2, 1)


@pytest.mark.parametrize("arguments", [("nothing.cert",), (".",)])
def test_what_is_not_there_is_said_in_one_sentence(call, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, error = call("certify", "check", *arguments)
    assert (code, error.count("\n")) == (2, 1)
