"""``bnnhw import``: a checked model file, or one sentence and no file."""

from __future__ import annotations

import gzip
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import published_networks
import pytest
from PIL import Image

from bnnhw.cli import main
from bnnhw.importers import load as load_published
from bnnhw.importers import read_image
from bnnhw.model import digest, load
from bnnhw.model.reference import predict

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``bnnhw import`` with arguments: (exit code, stdout, stderr in one line)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bnnhw", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, " ".join(printed.err.split())

    return run


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A random network of the collection's kind for pictures of 28x28."""
    path = tmp_path / "net.npz"
    arrays = published_networks.bnn_verification(np.random.default_rng(1), pixels=784, widths=(20, 12), classes=10)
    np.savez(path, **arrays)
    return path


def pictures(folder: Path, network: Path, wrong: int = 0) -> None:
    """Eight pictures in ``folder``, named with the class that the network gives them, the first ``wrong`` not."""
    folder.mkdir()
    rng = np.random.default_rng(2)
    model = load_published(network).model
    for number in range(8):
        plain = folder / f"bnn_mnist_rot_{number}_label0.png"
        Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(plain)
        label = int(predict(model, read_image(plain).pixels[None])[0])
        plain.rename(folder / f"bnn_mnist_rot_{number}_label{(label + (number < wrong)) % 10}.png")


def test_a_network_becomes_a_model_file(call: Call, network: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.bnn"
    code, printed, _ = call(network, "--out", out, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result == {"model": str(out), "digest": digest(load(out)), "format": "bnn-verification"}
    assert load(out) == load_published(network).model
    code, printed, _ = call(network, "--out", out, "--format", "bnn-verification")
    assert code == 0
    assert result["digest"] in printed


def test_pictures_check_the_labels_in_their_names(call: Call, network: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "good", network)
    code, printed, _ = call(network, "--out", tmp_path / "a.bnn", "--check", tmp_path / "good", "--json")
    assert code == 0
    assert json.loads(printed)["checked"] == 8
    assert json.loads(printed)["mismatches"] == 0
    one = next((tmp_path / "good").iterdir())
    code, printed, _ = call(network, "--out", tmp_path / "b.bnn", "--check", one, "--check", one, "--json")
    assert code == 0
    assert json.loads(printed)["checked"] == 2


def test_a_differing_prediction_writes_nothing(call: Call, network: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "bad", network, wrong=3)
    code, printed, err = call(network, "--out", tmp_path / "a.bnn", "--check", tmp_path / "bad", "--json")
    assert code == 1
    assert json.loads(printed)["mismatches"] == 3
    assert "was not written" in err
    assert not (tmp_path / "a.bnn").exists()


def test_stored_predictions_are_checked_against_test_images(call: Call, tmp_path: Path) -> None:
    arrays = published_networks.eev(np.random.default_rng(3))
    images = np.random.default_rng(4).integers(0, 256, (9, 28, 28), np.uint8)
    idx = tmp_path / "images.gz"
    idx.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 9, 28, 28) + images.tobytes()))
    np.savez(tmp_path / "net.npz", **arrays)
    classes = predict(load_published(tmp_path / "net.npz").model, images[:, None])
    for count, code in ((9, 0), (7, 0), (10, 2)):
        arrays["test_pred_first1000"] = np.resize(classes, count).astype(np.int8)
        np.savez(tmp_path / "net.npz", **arrays)
        found, printed, err = call(tmp_path / "net.npz", "--out", tmp_path / "a.bnn", "--check", idx, "--json")
        assert found == code
        if code:
            assert "holds 9 images of the 10" in err
        else:
            assert json.loads(printed)["checked"] == count
    arrays["test_pred_first1000"] = (classes + np.eye(9, dtype=int)[4]).astype(np.int8)
    np.savez(tmp_path / "net.npz", **arrays)
    found, printed, _ = call(tmp_path / "net.npz", "--out", tmp_path / "b.bnn", "--check", idx, "--json")
    assert found == 1
    assert json.loads(printed)["mismatches"] == 1
    found, _, err = call(tmp_path / "net.npz", "--out", tmp_path / "b.bnn", "--check", tmp_path)
    assert found == 2
    assert "one IDX file" in err


def test_bad_input_is_one_sentence_and_exit_code_2(call: Call, network: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("hello")
    out = tmp_path / "a.bnn"
    for arguments, message in (
        ((tmp_path / "missing.npz", "--out", out), "missing.npz cannot be read"),
        ((tmp_path / "text.npz", "--out", out), "is not an .npz file"),
        ((network, "--out", out, "--format", "onnx"), "unknown format 'onnx'"),
        ((network, "--out", tmp_path / "nowhere" / "a.bnn"), "is not a folder"),
        ((network, "--out", out, "--check", tmp_path / "empty"), "no *.png"),
        ((network, "--out", out, "--check", tmp_path / "text.npz"), "name must read"),
    ):
        code, printed, err = call(*arguments)
        assert (code, printed) == (2, "")
        assert message in err
        assert "Traceback" not in err
        assert not out.exists()


def test_pictures_of_another_size_than_the_network_are_refused(call: Call, network: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "good", network)
    np.savez(tmp_path / "small.npz", **published_networks.bnn_verification(np.random.default_rng(5)))
    code, _, err = call(tmp_path / "small.npz", "--out", tmp_path / "a.bnn", "--check", tmp_path / "good")
    assert code == 2
    assert "pixels must have shape" in err
