"""What an export holds: memories that give the model back, the reference's vectors, nothing half-written."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_model, random_pixels

from bnnhw.hw_export import HardwareError, export, resources, stages, verify_manifest
from bnnhw.hw_export.memory import quantizer_words, threshold_words, weight_words
from bnnhw.model import MaxPool, Output, digest
from bnnhw.model.reference import classify, scores


@settings(derandomize=True, deadline=None, max_examples=100)
@given(models(), st.sampled_from([1, 30, 4096]))
def test_memories_give_the_model_back(model, target):
    """Read every weight and threshold out of the words, by the layout that the RTL's comments state."""
    span = model.quantizer.pixel_max - model.quantizer.pixel_min
    width = span.bit_length() + 1
    places = quantizer_words(model.quantizer)
    channels, height, columns = model.quantizer.shape
    thresholds = np.broadcast_to(model.quantizer.thresholds, (model.quantizer.levels, channels, height, columns))
    for place, word in enumerate(places):
        position, channel = divmod(place, channels)
        y, x = divmod(position, columns)
        for level in range(model.quantizer.levels):
            stored = (word >> (level * width)) & ((1 << width) - 1)
            wanted = int(thresholds[level, channel, y, x]) - model.quantizer.pixel_min
            assert stored == min(max(wanted, 0), span + 1)
    highest = model.quantizer.levels
    for stage in stages(model, target):
        layer = stage.layer
        if isinstance(layer, MaxPool):
            continue
        in_c = stage.source[0]
        words = weight_words(stage)
        shaped = layer.weights.reshape(stage.made[0], in_c, stage.taps)
        for out in range(stage.made[0]):
            group, lane = divmod(out, stage.lanes)
            for tap in range(stage.taps):
                word = words[group * stage.taps + tap]
                for c in range(in_c):
                    plus = (word >> (lane * in_c + c)) & 1
                    minus = (word >> ((stage.lanes + lane) * in_c + c)) & 1
                    assert plus - minus == shaped[out, c, tap]
                    assert plus + minus <= 1
        if isinstance(layer, Output):
            continue
        by_place = layer.threshold.reshape(stage.made[0], -1)
        for number, word in enumerate(threshold_words(stage)):
            place, group = divmod(number, stage.groups)
            for lane in range(stage.lanes):
                entry = word >> (lane * (stage.acc_width + 1))
                value = entry & ((1 << stage.acc_width) - 1)
                value -= (value >> (stage.acc_width - 1)) << stage.acc_width
                channel = group * stage.lanes + lane
                assert (entry >> stage.acc_width) & 1 == layer.less_equal[channel]
                # A threshold beyond every sum is stored as the nearest one that is still beyond.
                reach = highest * int(np.abs(layer.weights[channel]).sum())
                wanted = int(by_place[channel, place])
                assert value == wanted or (value * wanted > 0 and min(abs(value), abs(wanted)) > reach)
        highest = 1


def test_lanes_divide_the_channels_and_meet_the_target():
    rng = np.random.default_rng(0)
    for _ in range(50):
        model = random_model(rng, (2, 6, 6), hidden=3)
        slowest = max(stage.cycles for stage in stages(model, 1))
        for stage in stages(model, slowest):
            assert stage.made[0] % stage.lanes == 0
            assert stage.cycles <= slowest
        assert len(resources(model)) == len(model.layers) + 1


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(3)
    model = random_model(rng, (2, 4, 4))
    pixels = random_pixels(rng, model, 5)
    export(model, tmp_path / "hw", pixels)
    return model, pixels, tmp_path / "hw"


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_equal_exports_are_equal_bytes(made, tmp_path):
    model, pixels, folder = made
    export(model, tmp_path / "again", pixels)
    assert contents(folder) == contents(tmp_path / "again")
    verified, manifest = verify_manifest(folder)
    assert verified == model
    assert manifest["model_digest"] == digest(model)


def test_vectors_are_the_reference(made):
    model, pixels, folder = made
    words = [int(line, 16) for line in (folder / "vectors" / "response.mem").read_text().split()]
    expected = scores(model, pixels)
    beats = np.concatenate([expected, classify(expected)[:, None]], axis=1)
    assert words == (beats.ravel() & 0xFFFFFFFF).tolist()
    stimulus = [int(line, 16) for line in (folder / "vectors" / "stimulus.mem").read_text().split()]
    assert stimulus == (pixels.transpose(0, 2, 3, 1).ravel() - model.quantizer.pixel_min).tolist()


def test_an_export_replaces_only_an_export(made, tmp_path):
    model, pixels, folder = made
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep me")
    with pytest.raises(HardwareError, match="holds no export"):
        export(model, tmp_path / "mine", pixels)
    assert contents(tmp_path / "mine") == {"thesis.txt": b"keep me"}
    other = random_model(np.random.default_rng(4), (2, 4, 4))
    export(other, folder)
    assert verify_manifest(folder)[0] == other


def test_a_failed_export_leaves_the_earlier_one(made, tmp_path, monkeypatch):
    _, pixels, folder = made
    before = contents(folder)
    monkeypatch.setattr("json.dumps", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export(random_model(np.random.default_rng(4), (2, 4, 4)), folder, pixels)
    assert contents(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["hw"]


def test_a_manifest_of_another_model_is_refused(made):
    _, _, folder = made
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"model_digest": "0" * 64}))
    with pytest.raises(HardwareError, match="another model"):
        verify_manifest(folder)
    for text, message in (("{", "not JSON"), ("[]", "not a manifest"), ('{"format": "x"}', "not a manifest")):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(HardwareError, match=message):
            verify_manifest(folder)
    with pytest.raises(HardwareError, match="an export of bnnhw"):
        verify_manifest(folder / "nowhere")
