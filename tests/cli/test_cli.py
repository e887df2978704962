"""The command line: honest exit codes, one clear sentence for bad input, JSON that parses."""

import json
import sys

import numpy as np
import pytest
from random_models import random_model

import bnnhw.data
from bnnhw.cli import main
from bnnhw.model import Conv, Dense, IntegerModel, Output, Quantizer, digest, save


@pytest.fixture
def call(monkeypatch, capsys):
    """Run ``bnnhw`` with arguments: (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def digits_model(tmp_path):
    """A random model of the digits' shape, saved."""
    rng = np.random.default_rng(1)
    conv = Conv(rng.integers(-1, 2, (4, 1, 3, 3)), rng.integers(-1, 2, 4), [False, True, False, False], (2, 2), (1, 1))
    dense = Dense(rng.integers(-1, 2, (12, 64)), rng.integers(-2, 3, 12), rng.random(12) < 0.5)
    output = Output(rng.integers(-1, 2, (10, 12)), rng.integers(-9, 10, 10), 2)
    path = tmp_path / "net.bnn"
    model = IntegerModel(Quantizer((1, 8, 8), [4, 9], 0, 16), (conv, dense), output)
    save(model, path)
    return path, model


def test_info(call, digits_model):
    path, model = digits_model
    code, out, _ = call("info", path)
    assert code == 0
    assert digest(model) in out
    assert "Conv 3x3/2" in out
    code, out, _ = call("info", path, "--json")
    assert json.loads(out)["digest"] == digest(model)


@pytest.mark.parametrize("command", ["info", "verify", "evaluate", "predict", "export"])
def test_a_damaged_model_is_one_sentence_and_exit_code_2(call, digits_model, command, tmp_path):
    path, _ = digits_model
    path.write_bytes(path.read_bytes()[:-3])
    code, out, err = call(command, path)
    assert code == 2
    assert out == ""
    assert "net.bnn is not a usable model" in err
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.bnn"]


def test_missing_data_says_what_to_put_where(call, digits_model, tmp_path):
    code, _, err = call("evaluate", digits_model[0], "--dataset", "mnist", "--data", tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in err
    assert "Traceback" not in err


def test_images_of_another_shape_are_refused(call, tmp_path):
    path = tmp_path / "small.bnn"
    save(random_model(np.random.default_rng(0), (1, 4, 4)), path)
    code, _, err = call("evaluate", path)
    assert code == 2
    assert "pixels must have shape" in err


def test_evaluate_and_predict(call, digits_model):
    path, _ = digits_model
    code, out, _ = call("evaluate", path, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["kernel_mismatches"] == 0
    assert result["images"] == len(bnnhw.data.load("digits").test_images)
    code, out, _ = call("predict", path, "--first", 5, "--count", 3, "--json")
    predictions = json.loads(out)["predictions"]
    assert [p["image"] for p in predictions] == [5, 6, 7]
    assert all(p["class"] == int(np.argmax(p["scores"])) for p in predictions)


def test_verify_writes_verdicts_and_continues(call, digits_model):
    path, model = digits_model
    arguments = ("verify", path, "--count", 12, "--eps", "0", "--eps", "1/16", "--workers", 1)
    code, out, _ = call(*arguments, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["digest"] == digest(model)
    assert [row["radius"] for row in result["robustness"]] == [0, 1]
    results = path.with_suffix(".verify") / "results.jsonl"
    text = results.read_text()
    assert len(text.splitlines()) == 24
    code, out, _ = call(*arguments)
    assert code == 0
    assert results.read_text() == text
    assert "robust" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--first", 10_000), "past the last"),
        (("--eps", "2"), "between 0 and 1"),
        (("--eps", "a lot"), "not a number"),
        (("--dataset", "imagenet"), "imagenet"),
    ],
)
def test_bad_questions_are_refused(call, digits_model, arguments, message):
    code, _, err = call("verify", digits_model[0], *arguments)
    assert code == 2
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err


def test_unknown_architectures_and_recipes_are_refused(call, tmp_path):
    code, _, err = call("train", "--arch", "resnet", "--out", tmp_path / "t")
    assert code == 2
    assert "resnet" in err
    (tmp_path / "recipe.json").write_text('{"epochs": 0}')
    code, _, err = call("train", "--recipe", tmp_path / "recipe.json", "--out", tmp_path / "t")
    assert code == 2
    assert "epochs" in err
    code, _, err = call("train", "--recipe", tmp_path / "absent.json", "--out", tmp_path / "t")
    assert code == 2
    assert "absent.json" in err
