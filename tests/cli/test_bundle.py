"""A bundle is checked from nothing but itself, and whatever is changed in it is found."""

import hashlib
import io
import json
import shutil
import sys
import zipfile
from contextlib import redirect_stdout

import numpy as np
import pytest
from random_models import random_digits_model

from bnnhw.cli import main
from bnnhw.model import save


def succeed(*arguments):
    """What ``bnnhw`` with arguments prints; outside of a test, where nothing captures."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    return out.getvalue()


pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with hardware, verdicts and their bundle, and the bundle's index: most of this file's time."""
    folder = tmp_path_factory.mktemp("made")
    model, results = folder / "net.bnn", folder / "verified" / "results.jsonl"
    save(random_digits_model(1), model)
    succeed("export", model, "--out", folder / "hw", "--target-cycles", 64, "--vectors", 3)
    succeed("verify", model, "--dataset", "digits", "--count", 12, "--eps", "0.2", "--results", results)
    options = ("--verdicts", results, "--family", "none", "--json")
    return folder, json.loads(succeed("bundle", "make", folder / "hw", "--out", folder / "net.zip", *options))


@pytest.fixture
def bundle(made, tmp_path):
    """A copy of it, to change."""
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "net.zip", made[1]


def test_a_bundle_is_checked_alone_and_is_the_same_each_time(call, bundle, tmp_path):
    path, index = bundle
    first = path.read_bytes()
    options = ("--verdicts", tmp_path / "verified" / "results.jsonl", "--family", "none")
    assert call("bundle", "make", tmp_path / "hw", "--out", path, *options)[0] == 0
    assert path.read_bytes() == first
    for folder in ("hw", "verified"):
        shutil.rmtree(tmp_path / folder)
    code, out, _ = call("bundle", "check", path, "--json")
    found = {one["what"]: one for one in json.loads(out)}
    assert code == 0
    assert found["model"]["detail"].endswith(index["model_digest"])
    assert found["simulation"]["detail"] == "3 images with stalls, 0 mismatches"
    assert found["counterexamples"]["holds"]
    assert int(found["counterexamples"]["detail"].split()[0]) > 0
    # What carries no certificate is not said to hold.
    assert found["robustness"]["holds"] is None


def changed(path, name, change, honest):
    """Change a file of the archive; `honest` states its new hash in the index."""
    with zipfile.ZipFile(path) as archive:
        contents = {one: archive.read(one) for one in archive.namelist()}
    contents[name] = change(contents[name])
    if honest:
        index = json.loads(contents["bundle.json"])
        index["files"][name] = hashlib.sha256(contents[name]).hexdigest()
        contents["bundle.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in contents.items():
            archive.writestr(one, data)


def test_a_damaged_bundle_is_one_sentence(call, bundle, tmp_path):
    path, _ = bundle
    changed(path, "hardware/bias.mem", lambda data: data + b"\n", honest=False)
    code, out, err = call("bundle", "check", path)
    assert (code, out) == (2, "")
    assert "bias.mem" in err
    path.write_bytes(path.read_bytes()[:-40])
    assert call("bundle", "check", path)[0] == 2
    assert call("bundle", "check", tmp_path / "none.zip")[0] == 2


def test_forged_counterexamples_and_verdicts_are_found(call, bundle):
    path, index = bundle
    name = next(one for one in index["files"] if one.endswith(".npz"))

    def forge(data):
        with np.load(io.BytesIO(data)) as saved:
            arrays = dict(saved)
        arrays["image"] = 16 - arrays["original"]
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    changed(path, name, forge, honest=True)
    code, out, _ = call("bundle", "check", path, "--json")
    assert code == 1
    assert [one["what"] for one in json.loads(out) if one["holds"] is False] == ["counterexamples"]


def test_verdicts_about_another_model_do_not_go_in(call, bundle, tmp_path):
    results = tmp_path / "verified" / "results.jsonl"
    lines = results.read_text().splitlines()
    first = json.loads(lines[0]) | {"model": "0" * 64}
    results.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    options = ("--verdicts", results, "--family", "none")
    code, _, err = call("bundle", "make", tmp_path / "hw", "--out", tmp_path / "other.zip", *options)
    assert code == 2
    assert "another model" in err
    assert not (tmp_path / "other.zip").exists()
