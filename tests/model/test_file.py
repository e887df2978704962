"""The file format: one encoding per model, and one clear error for anything else."""

import hashlib
import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_model

from bnnhw.model import ModelError, Output, decode, digest, encode, load, save


@settings(derandomize=True, deadline=None, max_examples=200)
@given(models())
def test_models_round_trip_and_their_bytes_are_canonical(model):
    data = encode(model)
    again = decode(data)
    assert again == model
    assert encode(again) == data
    assert digest(again) == hashlib.sha256(data).hexdigest()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, 40), st.data())
def test_no_changed_byte_is_read_as_the_same_model(seed, data):
    model = random_model(np.random.default_rng(seed))
    raw = bytearray(encode(model))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(raw))
    except ModelError:
        return
    assert other != model
    assert encode(other) == bytes(raw)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 20), st.data())
def test_truncated_or_extended_files_are_refused(seed, data):
    raw = encode(random_model(np.random.default_rng(seed)))
    with pytest.raises(ModelError):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(ModelError):
        decode(raw + data.draw(st.binary(min_size=1, max_size=9)))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw):
    with pytest.raises(ModelError):
        decode(raw)


@pytest.fixture
def model():
    return random_model(np.random.default_rng(7), hidden=3)


def test_the_file_is_a_safetensors_file_whose_sha256_is_the_digest(model, tmp_path):
    path = tmp_path / "net.bnn"
    assert save(model, path) == hashlib.sha256(path.read_bytes()).hexdigest() == digest(model)
    assert load(path) == model
    assert "input.threshold" in safetensors.numpy.load_file(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.bnn"]


def _with_description(model, change):
    raw = encode(model)
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    description = json.loads(header["__metadata__"]["bnnhw"])
    change(description)
    header["__metadata__"]["bnnhw"] = json.dumps(description, sort_keys=True, separators=(",", ":"))
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + raw[8 + length :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=2), "format version 2"),
        (lambda d: d.update(version="1"), "version"),
        (lambda d: d.update(format="other"), "not of format"),
        (lambda d: d.update(layers=[]), "output layer"),
        (lambda d: d["layers"].pop(), "output layer"),
        (lambda d: d["layers"][0].update(kind="lstm"), "lstm"),
        (lambda d: d["layers"][-1].update(weights=[1 << 30, 1 << 30]), "needs"),
        (lambda d: d["layers"][-1].update(weights=[-1, 3]), "whole numbers"),
        (lambda d: d["layers"][-1].update(weights=[3.0, 3]), "whole numbers"),
        (lambda d: d["layers"][-1].update(shift=60), "shift"),
        (lambda d: d["input"].update(pixel_max=-(10**30)), "largest pixel"),
        (lambda d: d.update(extra=1), "canonical"),
    ],
)
def test_hostile_descriptions_get_one_clear_error(model, change, message):
    with pytest.raises(ModelError, match=message):
        decode(_with_description(model, change))


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.bnn"):
        load(tmp_path / "missing.bnn")
    (tmp_path / "junk.bnn").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelError, match=r"junk\.bnn is not a usable model"):
        load(tmp_path / "junk.bnn")
    safetensors.numpy.save_file({"w": np.zeros(3, np.float32)}, tmp_path / "foreign.bnn")
    with pytest.raises(ModelError, match="not one of bnnhw's"):
        load(tmp_path / "foreign.bnn")


def test_a_failed_save_keeps_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "net.bnn"
    save(model, path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    other = type(model)(model.quantizer, model.hidden, Output(model.output.weights, model.output.bias + 1))
    with pytest.raises(OSError, match="disk full"):
        save(other, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
