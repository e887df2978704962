"""The command line: honest exit codes, one clear sentence for bad input, JSON that parses."""

import json

import numpy as np
import pytest
from random_models import random_model

import bnnhw.data
from bnnhw.model import digest, save


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


def test_evaluate_with_an_epsilon(call, digits_model):
    path, model = digits_model
    arguments = ("evaluate", path, "--eps", "1/16", "--count", 12, "--steps", 3, "--workers", 1)
    code, out, _ = call(*arguments, "--json")
    result = json.loads(out)
    (row,) = result["robustness"]
    assert code == 0
    assert (result["digest"], result["images"], row["radius"]) == (digest(model), 12, 1)
    assert row["verified"] <= row["pgd"] <= result["natural"]
    assert row["verified"] + row["falsified"] + row["unknown"] == 12
    code, out, _ = call(*arguments)
    assert code == 0
    for name in ("natural", "PGD-3", "verified", "unknown", "solving", "sparsity", "cardinality bound"):
        assert name in out


def test_a_verdict_that_the_attack_refutes_is_an_internal_error(call, digits_model):
    path, _ = digits_model
    arguments = ("evaluate", path, "--eps", "8/16", "--count", 40, "--steps", 3, "--workers", 1)
    assert call(*arguments)[0] == 0
    results = path.with_suffix(".verify") / "results.jsonl"
    (attack,) = (json.loads(line) for line in (results.parent / "attacks.jsonl").read_text().splitlines())
    records = [json.loads(line) for line in results.read_text().splitlines()]
    lie = next(one for one in records if one["index"] in attack["broken"] and one["stage"] != "clean")
    lie["status"] = "robust"
    results.write_text("".join(json.dumps(one) + "\n" for one in records))
    code, out, err = call(*arguments)
    assert (code, out) == (70, "")
    assert f"image {lie['index']} is proven robust, but the attack" in err.replace("\n", " ")


def test_unknown_architectures_and_recipes_are_refused(call, tmp_path):
    code, _, err = call("train", "--arch", "resnet", "--out", tmp_path / "t")
    assert code == 2
    assert "resnet" in err
    (tmp_path / "recipe.toml").write_text("epochs = 0")
    code, _, err = call("train", "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "t")
    assert code == 2
    assert "epochs" in err
    code, _, err = call("train", "--recipe", tmp_path / "absent.toml", "--out", tmp_path / "t")
    assert code == 2
    assert "absent.toml" in err


def test_recipes_are_listed_and_trained_by_name_or_file(call, tmp_path):
    code, out, _ = call("train", "--recipe", "list")
    assert code == 0
    assert "eev/mnist-l-adv0.3-cbd3-vrf" in out.split()
    small = 'arch = "mnist-mlp"\nwidth = 0.05\nquantizer = [4, 9]\nepochs = 1\nadversary.steps = 1\n'
    (tmp_path / "mine.toml").write_text(small + 'choice = {by = "exact", images = 20}\n')
    code, out, err = call("train", "--recipe", tmp_path / "mine.toml", "--out", tmp_path / "t", "--curves", "--json")
    assert code == 0, err
    assert json.loads(out)["torch_mismatches"] == 0
    metrics = json.loads((tmp_path / "t" / "metrics.jsonl").read_text())
    assert 0 <= metrics["choice_exact"] <= metrics["choice_clean"]
    assert any((tmp_path / "t" / "curves").iterdir())
    (tmp_path / "real.toml").write_text(small + 'weights.kind = "real"\n')
    code, _, err = call("train", "--recipe", tmp_path / "real.toml", "--out", tmp_path / "r")
    assert code == 0
    assert "without an integer model" in err
    assert not (tmp_path / "r" / "model.bnn").exists()
    code, _, err = call("train", "--recipe", "eev/mnist-xl", "--out", tmp_path / "x")
    assert code == 2
    assert "eev/mnist-mlp" in err
