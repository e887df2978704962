"""``bnnhw verify`` and ``bnnhw compare``: every kind of question, answered, kept apart and continued."""

import json

import numpy as np
import published_networks
import pytest
from PIL import Image
from random_models import random_model

import bnnhw.data
from bnnhw.importers import load as load_published
from bnnhw.importers import read_image
from bnnhw.model import Dense, IntegerModel, digest, save
from bnnhw.model.reference import predict
from bnnhw.verify.record import read

ONE = ("--count", 12, "--workers", 1, "--json")


@pytest.fixture
def other(tmp_path, digits_model):
    """The digits model with the thresholds of its dense layer moved: close to it, and not the same."""
    conv, dense = digits_model[1].hidden
    moved = Dense(dense.weights, dense.threshold + 1, dense.less_equal)
    model = IntegerModel(digits_model[1].quantizer, (conv, moved), digits_model[1].output)
    path = tmp_path / "other.bnn"
    save(model, path)
    return path, model


def lines(path):
    return read(path.with_suffix(".verify") / "results.jsonl")


def counterexamples(path, records):
    """The saved pixels of each falsified record."""
    folder = path.with_suffix(".verify") / "counterexamples"
    for record in records:
        if record.data["counterexample"] is not None:
            with np.load(folder / f"{record.data['counterexample']}.npz") as saved:
                yield record.data, saved["image"], saved["original"]


def test_verdicts_are_written_and_continued(call, digits_model):
    path, model = digits_model
    arguments = ("verify", path, "--count", 12, "--eps", "0", "--eps", "1/16", "--workers", 1)
    code, out, _ = call(*arguments, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["digest"] == digest(model)
    assert [(row["eps"], row["radius"]) for row in result["robustness"]] == [("0", 0), ("1/16", 1)]
    results = path.with_suffix(".verify") / "results.jsonl"
    text = results.read_text()
    assert len(text.splitlines()) == 24
    code, out, _ = call(*arguments)
    assert code == 0
    assert results.read_text() == text
    assert "robust" in out


@pytest.mark.parametrize("budget", ["l0=2", "l1=6", "l2=2.5", "l2_squared=6"])
def test_budgets_are_kept_and_counterexamples_stay_within_them(call, digits_model, budget):
    path, model = digits_model
    code, out, _ = call("verify", path, "--budget", budget, *ONE)
    assert code == 0
    norm, limit = ("l2_squared", 6) if budget == "l2=2.5" else (budget.split("=")[0], int(budget.split("=")[1]))
    (row,) = json.loads(out)["robustness"]
    assert (row["distance"], row["limit"], row["images"]) == (norm, limit, 12)
    assert row["robust"] + row["falsified"] == 12
    for record, image, original in counterexamples(path, lines(path)):
        apart = np.abs(image - original)
        assert {"l0": (apart > 0).sum(), "l1": apart.sum(), "l2_squared": (apart**2).sum()}[norm] <= limit
        assert predict(model, image[None])[0] == record["predicted"] != record["label"]


def test_euclidean_budgets_are_squared_exactly(call, digits_model):
    code, out, _ = call("verify", digits_model[0], "--budget", "l2=2.5", "--budget", "l2_squared=6", *ONE)
    assert code == 0
    assert len(json.loads(out)["robustness"]) == 1


def test_questions_that_differ_in_anything_have_their_own_records(call, digits_model, other):
    path = digits_model[0]
    arguments = ("--count", 3, "--workers", 1, "--eps", "1/16")
    kinds = ((), ("--strictly",), ("--target", 0), ("--with", other[0]), ("--budget", "l1=1"))
    for kind in kinds:
        assert call("verify", path, *arguments, *kind)[0] == 0
    assert call("compare", path, other[0], *arguments)[0] == 0
    assert call("verify", path, *arguments[:4], "--minimal", "linf")[0] == 0
    written = lines(path)
    labels = bnnhw.data.load("digits").test_labels[:3]
    assert len(written) == len({record.query for record in written}) == 3 * 7 - int((labels == 0).sum())
    stems = [record.data["counterexample"] for record in written if record.data["counterexample"]]
    assert len(stems) == len(set(stems)) > 0
    before = (path.with_suffix(".verify") / "results.jsonl").read_text()
    assert call("verify", path, *arguments, "--target", 0)[0] == 0
    assert (path.with_suffix(".verify") / "results.jsonl").read_text() == before


@pytest.mark.parametrize("distance", ["l0", "l1", "l2", "linf"])
def test_minimal_distortions_have_both_sides(call, digits_model, distance):
    path, model = digits_model
    code, out, _ = call("verify", path, "--minimal", distance, "--count", 5, "--workers", 1, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["distance"] == ("l2_squared" if distance == "l2" else distance)
    seen = 0
    for one in found["minimal"]:
        assert one["status"] in ("minimal", "unreachable")
        assert one["status"] == "unreachable" or one["lower"] == one["upper"]
    for record, image, original in counterexamples(path, lines(path)):
        apart = np.abs(image - original)
        cost = {"l0": (apart > 0).sum(), "l1": apart.sum(), "l2": (apart**2).sum(), "linf": apart.max()}[distance]
        assert cost == record["upper"]
        assert predict(model, image[None])[0] == record["predicted"] != record["label"]
        seen += 1
    assert seen
    code, out, _ = call("verify", path, "--minimal", distance, "--count", 5)
    assert code == 0
    assert "proven from below" in " ".join(out.split())
    assert len(lines(path)) == 5


def test_minimal_distortion_agrees_with_the_verdicts_around_it(call, digits_model):
    path = digits_model[0]
    call("verify", path, "--minimal", "linf", *ONE)
    least = {one.data["index"]: one.data["upper"] for one in lines(path)}
    call("verify", path, *(word for radius in (0, 1, 2) for word in ("--eps", f"{radius}/16")), *ONE)
    for one in lines(path)[12:]:
        reached = least[one.data["index"]]
        assert one.status == (
            "falsified" if reached is not None and reached <= one.data["property"]["limit"] else "robust"
        )


def test_a_search_without_time_is_unknown_and_goes_on_from_its_bound(call, digits_model):
    path = digits_model[0]
    arguments = ("verify", path, "--minimal", "l1", "--count", 1, "--workers", 1)
    assert call(*arguments, "--time-limit", 0)[0] == 3
    (unknown,) = lines(path)
    assert (unknown.status, unknown.data["reason"]) == ("unknown", "time")
    # A bound that no search has proven shows that it is taken over.
    results = path.with_suffix(".verify") / "results.jsonl"
    results.write_text(json.dumps({**unknown.data, "lower": 10**6}) + "\n")
    assert call(*arguments)[0] == 0
    assert lines(path)[-1].data["lower"] == 10**6


def test_pictures_are_asked_about_under_their_names(call, tmp_path):
    network = tmp_path / "net.npz"
    arrays = published_networks.bnn_verification(np.random.default_rng(1), pixels=784, widths=(20, 12), classes=10)
    np.savez(network, **arrays)
    model = load_published(network).model
    save(model, tmp_path / "net.bnn")
    picture = tmp_path / "bnn_mnist_rot_3_label0.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (28, 28), np.uint8)).save(picture)
    label = int(predict(model, read_image(picture).pixels[None])[0])
    picture = picture.rename(tmp_path / f"bnn_mnist_rot_3_label{label}.png")
    code, out, _ = call("verify", tmp_path / "net.bnn", "--image", picture, "--eps", "0", *ONE[2:])
    assert code == 0
    assert json.loads(out)["robustness"][0]["robust"] == 1
    assert lines(tmp_path / "net.bnn")[0].data["index"] == picture.name
    code, _, err = call("verify", tmp_path / "net.bnn", "--image", tmp_path / "cat.png")
    assert code == 2
    assert "picture's name must read" in " ".join(err.split())


def test_a_target_leaves_out_its_own_class(call, digits_model):
    path = digits_model[0]
    labels = bnnhw.data.load("digits").test_labels[:12]
    target = int(labels[0])
    code, out, _ = call("verify", path, "--target", target, "--eps", "1/16", *ONE)
    assert code == 0
    assert json.loads(out)["robustness"][0]["images"] == int((labels != target).sum())
    for record, image, _ in counterexamples(path, lines(path)):
        assert predict(digits_model[1], image[None])[0] == record["predicted"] == target


def test_compare_finds_images_that_tell_two_models_apart(call, digits_model, other):
    path, model = digits_model
    code, out, _ = call("compare", path, other[0], "--eps", "2/16", *ONE)
    assert code == 0
    result = json.loads(out)
    assert result["digests"] == [digest(model), digest(other[1])]
    assert result["robustness"][0]["falsified"] > 0
    for _, image, _ in counterexamples(path, lines(path)):
        assert predict(model, image[None])[0] != predict(other[1], image[None])[0]
    code, out, _ = call("compare", path, path, "--eps", "1/16", *ONE)
    assert code == 0
    assert json.loads(out)["robustness"][0]["robust"] == 12


def test_an_ensemble_errs_only_together(call, digits_model, other):
    path, model = digits_model
    assert call("verify", path, "--with", other[0], "--eps", "1/16", *ONE)[0] == 0
    for record, image, _ in counterexamples(path, lines(path)):
        given = {int(predict(one, image[None])[0]) for one in (model, other[1])}
        assert given == {record["predicted"]}
        assert record["label"] not in given


def test_verdicts_are_confirmed_by_another_solver(call, digits_model):
    pytest.importorskip("pysat")
    path = digits_model[0]
    code, out, _ = call("verify", path, "--eps", "1/16", "--cross-check", "cadical", *ONE)
    assert code == 0
    assert json.loads(out)["unconfirmed"] == 0
    assert {record.confirmed_by for record in lines(path)} == {("cadical",)}
    # A false record is met by a true verdict.
    results = path.with_suffix(".verify") / "results.jsonl"
    results.write_text(results.read_text().replace('"falsified"', '"robust"').replace('["cadical"]', "[]"))
    before = results.read_text()
    code, _, err = call("verify", path, "--eps", "1/16", "--cross-check", "cadical", *ONE)
    assert code == 70
    assert "recorded as robust before" in " ".join(err.split())
    assert results.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--first", 10_000), "past the last"),
        (("--eps", "2"), "between 0 and 1"),
        (("--eps", "a lot"), "not a number"),
        (("--dataset", "imagenet"), "imagenet"),
        (("--budget", "l1"), "is not NAME=NUMBER"),
        (("--budget", "l1=few"), "is not NAME=NUMBER"),
        (("--budget", "l3=1"), "no known norm"),
        (("--budget", "l0=-1"), "must not be negative"),
        (("--budget", "l1=99999999999"), "a budget must lie between"),
        (("--minimal", "l7"), "no known distance"),
        (("--minimal", "l0", "--eps", "0.1"), "leave out --eps"),
        (("--cross-check", "minisat"), "choose one of cadical, cp-sat"),
        (("--minimal", "l0", "--cross-check", "cadical"), "--cross-check is for verdicts"),
        (("--target", 3, "--strictly"), "leave out --strictly"),
        (("--target", 10), "must be a class"),
        (("--target", 3, "--with", "net.bnn"), "leave out --strictly and --with"),
    ],
)
def test_bad_questions_are_refused(call, digits_model, arguments, message, monkeypatch):
    monkeypatch.chdir(digits_model[0].parent)
    code, _, err = call("verify", digits_model[0], *arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not digits_model[0].with_suffix(".verify").exists()


def test_models_of_other_images_are_not_compared(call, digits_model, tmp_path):
    save(random_model(np.random.default_rng(0), (1, 4, 4)), tmp_path / "small.bnn")
    code, _, err = call("compare", digits_model[0], tmp_path / "small.bnn")
    assert code == 2
    assert "Traceback" not in err
