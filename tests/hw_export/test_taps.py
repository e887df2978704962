"""Taps name the first wrong bit: the one where the reference of the changed network first differs."""

import hashlib
import json
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hardware_models import conv_net, dense_net, forge
from random_models import random_pixels

from bnnhw.hw_export import WrongValue, export, plan, simulate
from bnnhw.hw_export.emit import contents
from bnnhw.hw_export.taps import first_wrong, streams
from bnnhw.model import Dense, MaxPool, digest, encode
from bnnhw.model.reference import trace

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(8)
    model = conv_net(rng)
    return model, random_pixels(rng, model, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all, so that what is built for it is built once."""
    return tmp_path_factory.mktemp("taps") / "hw"


def bits_apart(model, changed):
    """How many bits of the memories differ, by file."""
    mine, other = (contents(one, plan(one, 1, "folded")) for one in (model, changed))
    apart = {}
    for name in mine:
        if name.endswith(".mem"):
            pairs = zip(mine[name].split(), other[name].split(), strict=True)
            apart[name] = sum((int(a, 16) ^ int(b, 16)).bit_count() for a, b in pairs)
    return {name: number for name, number in apart.items() if number}


def layer_changed(model, index, **fields):
    layers = list(model.layers)
    layers[index] = replace(layers[index], **fields)
    return replace(model, hidden=tuple(layers[:-1]), output=layers[-1])


def one_weight(model, pixels, index):
    """``model`` with one weight of a layer 1 instead of 0, where that is one bit of a memory and changes the layer."""
    layer = model.layers[index]
    rng = np.random.default_rng(index)
    for place in rng.permutation(np.argwhere(layer.weights == 0)):
        weights = layer.weights.copy()
        weights[tuple(place)] = 1
        changed = layer_changed(model, index, weights=weights)
        if bits_apart(model, changed) == {f"layer{index}_weights.mem": 1} and difference(model, changed, pixels):
            return changed, int(place[0])
    raise AssertionError("no weight matters")


def one_threshold(model, pixels, index):
    layer = model.layers[index]
    rng = np.random.default_rng(index)
    for place in rng.permutation(np.argwhere(np.ones(layer.threshold.shape))):
        threshold = layer.threshold.copy()
        threshold[tuple(place)] += 1
        changed = layer_changed(model, index, threshold=threshold)
        if set(bits_apart(model, changed)) == {f"layer{index}_thresholds.mem"} and difference(model, changed, pixels):
            return changed, int(place[0])
    raise AssertionError("no threshold matters")


def difference(model, changed, pixels):
    """The first value, layer by layer and in each as the hardware sends them, that the two references have not in
    common."""
    right, wrong = trace(model, pixels), trace(changed, pixels)
    sums = [one.accumulators[-1] for one in (right, wrong)]
    names = ["level", *(f"layer{i}" for i in range(len(model.layers)))]
    rows = zip(names, [right.levels, *right.bits, sums[0]], [wrong.levels, *wrong.bits, sums[1]], strict=True)
    for name, expected, got in rows:
        for image, row, column, channel in np.argwhere((expected != got).transpose(0, 2, 3, 1)).tolist():
            at = (image, channel, row, column)
            return WrongValue(name, *at, int(expected[at]), int(got[at]))
    return None


def load_memories(folder, model, changed):
    """Hardware of ``model`` with the memories of ``changed``; nothing else may differ."""
    export(model, folder, target_cycles=1, style="folded")
    mine, other = (contents(one, plan(one, 1, "folded")) for one in (model, changed))
    for name in mine:
        if name.endswith(".mem") and mine[name] != other[name]:
            forge(folder, name, lambda _, name=name: other[name].decode())
        elif name.endswith(".sv"):
            assert mine[name].decode().replace(digest(model), digest(changed)) == other[name].decode()


def claim(folder, model):
    """Let the hardware in ``folder`` say that it is ``model``'s."""
    (folder / "model.bnn").write_bytes(encode(model))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model_digest"] = digest(model)
    manifest["files"]["model.bnn"] = hashlib.sha256(encode(model)).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("seed", [None, 5])
def test_right_hardware_has_no_wrong_bit(network, folder, seed):
    model, pixels = network
    export(model, folder, target_cycles=1, style="folded")
    found = simulate(folder, pixels, seed, taps=True)
    assert (found.mismatches, found.first_wrong) == (0, None)
    assert found.tapped == len(pixels) * sum(map(prod, model.shapes))


@pytest.mark.parametrize(
    ("change", "index"),
    [*((one_weight, index) for index in (0, 2, 3, 4)), *((one_threshold, index) for index in (0, 2, 3))],
)
def test_a_changed_memory_is_named(network, folder, change, index):
    model, pixels = network
    changed, channel = change(model, pixels, index)
    load_memories(folder, model, changed)
    found = simulate(folder, pixels, 9, taps=True).first_wrong
    assert found == difference(model, changed, pixels)
    assert (found.layer, found.channel) == (f"layer{index}", channel)


def test_a_changed_pixel_threshold_is_named(network, folder):
    model, pixels = network
    thresholds = model.quantizer.thresholds.copy()
    thresholds[-1] += 1
    changed = replace(model, quantizer=replace(model.quantizer, thresholds=thresholds))
    load_memories(folder, model, changed)
    found = simulate(folder, pixels, taps=True).first_wrong
    assert found == difference(model, changed, pixels)
    assert found.layer == "level"


def test_a_changed_pool_and_an_unrolled_layer_are_named(network, tmp_path):
    model, pixels = network
    pool = next(index for index, layer in enumerate(model.layers) if isinstance(layer, MaxPool))
    conjunctive = ~model.layers[pool].conjunctive
    unrolled = next(index for index, layer in enumerate(model.layers) if isinstance(layer, Dense))
    changed = one_weight(model, pixels, unrolled)[0]
    for index, other in ((pool, layer_changed(model, pool, conjunctive=conjunctive)), (unrolled, changed)):
        export(other, tmp_path / "hw", style="unrolled")
        claim(tmp_path / "hw", model)
        found = simulate(tmp_path / "hw", pixels, 2, taps=True).first_wrong
        assert found == difference(model, other, pixels)
        assert found.layer == f"layer{index}"


def test_a_wrong_score_is_named_without_taps(network, folder):
    """The layers are right, what is made of their sums is not."""
    model, pixels = network
    bias = model.output.bias.copy()
    bias[3] += 1
    load_memories(folder, model, replace(model, output=replace(model.output, bias=bias)))
    found = simulate(folder, pixels)
    scores = trace(model, pixels).scores
    assert found.mismatches == len(pixels)
    assert found.first_wrong == WrongValue("scores", 0, 3, 0, 0, int(scores[0, 3]), int(scores[0, 3]) + 1)


def recordings(folded, pixels):
    """What right hardware would record."""
    made = trace(folded.model, pixels)
    values = [made.levels, *made.bits, made.accumulators[-1]]
    recorded = []
    for stream, activations in zip(streams(folded), values, strict=True):
        channels_last = activations.transpose(0, 2, 3, 1).astype(np.int64) + stream.less
        fields = (channels_last.reshape(-1, stream.values)[:, :, None] >> np.arange(stream.width)) & 1
        bits = np.zeros((len(fields), stream.words * 32), np.uint8)
        bits[:, : stream.values * stream.width] = fields.reshape(len(fields), -1)
        recorded.append(np.packbits(bits, axis=1, bitorder="little").view("<u4").ravel())
    return recorded


@pytest.mark.parametrize("build", [conv_net, dense_net])
@pytest.mark.parametrize("target", [1, 4096])
def test_words_that_are_lost_or_too_many_are_named(build, target):
    rng = np.random.default_rng(1)
    model = build(rng)
    pixels = random_pixels(rng, model, 3)
    folded = plan(model, target)
    right = recordings(folded, pixels)
    assert first_wrong(folded, pixels, right) == (3 * sum(map(prod, model.shapes)), None)
    for number, stream in enumerate(streams(folded)):
        shorter, longer = right.copy(), right.copy()
        shorter[number] = right[number][: -stream.words]
        longer[number] = np.concatenate([right[number], right[number][-stream.words :]])
        _, found = first_wrong(folded, pixels, shorter)
        assert (found.layer, found.image, found.got) == (stream.name, 2, None)
        assert first_wrong(folded, pixels, shorter, ended=False)[1] is None
        _, found = first_wrong(folded, pixels, longer)
        assert (found.layer, found.image, found.channel, found.expected) == (stream.name, 3, 0, None)
