"""What an export holds: memories that give the model back, the reference's vectors, nothing half-written."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models, random_model, random_pixels

from bnnhw.hw_export import HardwareError, export, plan, resources, verify_manifest
from bnnhw.hw_export.memory import quantizer_shared, quantizer_words, threshold_words, weight_words
from bnnhw.model import Output, digest
from bnnhw.model.reference import classify, scores


@settings(derandomize=True, deadline=None, max_examples=100)
@given(models(), st.sampled_from([1, 30, 4096]))
def test_memories_give_the_model_back(model, target):
    """Read every weight and threshold out of the words, by the layout that the RTL's comments state."""
    folded = plan(model, target, "folded")
    span = model.quantizer.pixel_max - model.quantizer.pixel_min
    width = span.bit_length() + 1
    words = quantizer_words(folded, model.quantizer)
    channels, height, columns = model.quantizer.shape
    levels = model.quantizer.levels
    thresholds = np.broadcast_to(model.quantizer.thresholds, (levels, channels, height, columns))
    for value in range(channels * height * columns):
        beat, lane = divmod(value, folded.values)
        first = 0 if quantizer_shared(model.quantizer) else lane * levels
        word = words[0 if quantizer_shared(model.quantizer) else beat]
        y, x, channel = np.unravel_index(value, (height, columns, channels))
        for level in range(levels):
            stored = (word >> ((first + level) * width)) & ((1 << width) - 1)
            wanted = int(thresholds[level, channel, y, x]) - model.quantizer.pixel_min
            assert stored == min(max(wanted, 0), span + 1)
    for stage in folded.stages:
        if stage.counting is None:
            continue
        counts = stage.counting
        words = weight_words(stage)
        in_c, steps = stage.source[0], stage.taps * stage.slices
        shaped = counts.weights.reshape(stage.made[0], in_c, -1)
        for out, position, c in np.ndindex(stage.made[0], shaped.shape[2], in_c):
            group, lane = divmod(out, stage.pe)
            step, place = divmod(position * in_c + c, stage.simd)
            word = words[group * steps + step]
            plus = (word >> (lane * stage.simd + place)) & 1
            minus = (word >> ((stage.pe + lane) * stage.simd + place)) & 1
            assert plus - minus == shaped[out, c, position]
            assert plus + minus <= 1
        if isinstance(stage.layer, Output):
            continue
        for number, word in enumerate(threshold_words(stage)):
            place, group = divmod(number, stage.groups)
            for lane in range(stage.pe):
                entry = (word >> (lane * (counts.width + 1))) & ((1 << (counts.width + 1)) - 1)
                out = group * stage.pe + lane
                assert entry & ((1 << counts.width) - 1) == counts.threshold[out, place]
                assert entry >> counts.width == counts.inverted[out, place]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(models())
def test_plans_divide_their_layers_and_meet_what_can_be_met(model):
    for style in ("folded", "auto"):
        fastest = plan(model, 1, style)
        for target in (fastest.cycles, 3 * fastest.cycles, 10**9):
            folded = plan(model, target, style)
            assert folded.cycles <= target
            assert folded.values * folded.beats == np.prod(model.quantizer.shape)
            for stage in folded.stages:
                if stage.counting is not None and not stage.unrolled:
                    assert stage.groups * stage.pe == stage.made[0]
                    assert stage.slices * stage.simd == stage.channels
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
    values = (pixels.transpose(0, 2, 3, 1).ravel() - model.quantizer.pixel_min).tolist()
    together, lane = plan(model).values, 8
    assert [(beat >> (lane * i)) & 0xFF for beat in stimulus for i in range(together)] == values


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
    (folder / "manifest.json").write_text(json.dumps(manifest | {"style": "baroque"}))
    with pytest.raises(HardwareError, match="how the model was folded"):
        verify_manifest(folder)
    for text, message in (("{", "not JSON"), ("[]", "not a manifest"), ('{"format": "x"}', "not a manifest")):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(HardwareError, match=message):
            verify_manifest(folder)
    with pytest.raises(HardwareError, match="an export of bnnhw"):
        verify_manifest(folder / "nowhere")
