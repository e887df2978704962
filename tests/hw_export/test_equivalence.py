"""What the files say is the model: whole networks are proven from their text, and every mutant of a part is refuted."""

import hashlib
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import models

from bnnhw.hw_export import HardwareError, export, prove_equivalence
from bnnhw.hw_export.extraction import NotUnderstood, at_least, modules
from bnnhw.hw_export.unrolled import AtLeast, module
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer


def refuted(obligations):
    return [one.part for one in obligations if not one.holds]


@settings(derandomize=True, deadline=None, max_examples=12)
@given(model=models(), target=st.sampled_from([1, 100, 4096]), style=st.sampled_from(["auto", "folded", "unrolled"]))
def test_every_export_is_proven(tmp_path_factory, model, target, style):
    folder = tmp_path_factory.mktemp("proven") / "hw"
    export(model, folder, target_cycles=target, style=style)
    obligations = prove_equivalence(folder)
    assert refuted(obligations) == []
    # Every layer is stated by its files and, but for unrolled ones, by its gates.
    shown = [one.part for one in obligations]
    weighted = [i for i, layer in enumerate(model.layers) if not isinstance(layer, MaxPool)]
    assert [part for part in shown if part.startswith("layer ")] == [f"layer {i}" for i in weighted]
    gates = {f"layer{i}" for i in range(len(model.layers)) if not (folder / f"bnn_layer{i}.sv").exists()}
    assert gates <= set(shown)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 100))
def test_comparisons_are_proven_with_their_clocks(bits, threshold):
    total = sum(n << k for k, n in enumerate(bits))
    wanted = AtLeast(tuple(bits), min(threshold, total))
    text, clocks = module(wanted)
    (name, body), *rest = modules(text).items()
    assert not rest
    assert at_least(name, body) == clocks


def once(pattern, made):
    """Replace the first match only; it has to be there."""

    def change(text):
        changed, count = re.subn(pattern, made, text, count=1)
        assert count == 1
        return changed

    return change


@pytest.mark.parametrize(
    "change",
    [
        once(r"x\[0\]", "x[1]"),
        once(r"x\[0\]", "1'b0"),
        once(r"n1_0\[0\]", "n1_0[1]"),
        once(r">= (\d+)'d20", r">= \1'd21"),
        once(r">= (\d+)'d20", r"> \1'd20"),
        once(r"bits\[5\]", "bits[4]"),
        once(r"bits\[5\]};", "bits[5]} + {2'd0, bits[0]};"),
        once(r"first \+ second", "first - second"),
        once(r"if \(go\) y", "if (!go) y"),
        once(r"posedge", "negedge"),
        once(r"r2\[0\]", "n1_0[0]"),
        once(r"wire \[6:0\] total", "wire [5:0] total"),
        once(r"endmodule", "  assign y = 1'b0;\nendmodule"),
        once(r"output reg y", "output reg y,\n    input wire z"),
        once(r"of_94", "of_95"),
    ],
)
def test_every_mutant_of_a_comparison_is_refuted(change):
    text, _ = module(AtLeast((94,), 20))
    (name, body) = next(iter(modules(change(text)).items()))
    with pytest.raises(NotUnderstood):
        at_least(name, body)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A folded layer with levels, an unrolled one, and scores."""
    rng = np.random.default_rng(1)
    conv = Conv(rng.integers(-1, 2, (4, 1, 3, 3)), rng.integers(-2, 4, (4, 4, 4)), [False, True] * 2, padding=(1, 1))
    dense = Dense(rng.integers(-1, 2, (6, 64)), rng.integers(-2, 4, 6), [False, True, False] * 2)
    model = IntegerModel(
        Quantizer((1, 4, 4), [3, 8, 9], 0, 15), (conv, dense), Output(rng.integers(-1, 2, (3, 6)), [5, 0, -2], 1)
    )
    folder = tmp_path_factory.mktemp("mutants") / "hw"
    export(model, folder, style="unrolled")
    assert refuted(prove_equivalence(folder)) == []
    return folder


def flip(line, bit):
    """Flip a bit of a word of a memory file."""

    def change(text):
        words = text.split("\n")
        words[line] = f"{int(words[line], 16) ^ (1 << bit):0{len(words[line])}x}"
        return "\n".join(words)

    return change


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("layer0_weights.mem", flip(1, 0), "layer 0"),
        ("layer0_thresholds.mem", flip(5, 0), "layer 0"),
        ("layer0_thresholds.mem", flip(5, 4), "layer 0"),
        ("layer2_weights.mem", flip(0, 0), "layer 2"),
        ("bias.mem", flip(1, 0), "layer 2"),
        ("bias.mem", flip(1, 31), "layer 2"),
        ("quantizer.mem", flip(0, 0), "quantizer.mem"),
        ("bnn_top.sv", once(r"\.PAD_H\(1\)", ".PAD_H(0)"), "window0"),
        ("bnn_top.sv", once(r"\.s_valid\(window0_valid\)", ".s_valid(1'b1)"), "bnn_top"),
        ("bnn_delay.sv", once(r"passed\[CLOCKS\]", "passed[1]"), "bnn_delay.sv"),
        ("bnn_layer1.sv", once(r"~s_data", "s_data"), "layer 1"),
        ("bnn_layer1.sv", once(r"m_data\[0\] = ", "m_data[0] = ~"), "layer 1"),
        ("bnn_layer1.sv", once(r"m_data\[1\] = (~?)(y|late)1", r"m_data[1] = \1\g<2>0"), "layer 1"),
        ("bnn_layer1.sv", once(r"assign s_ready = go", "assign s_ready = 1'b1"), "layer 1"),
    ],
)
def test_every_mutant_of_a_file_is_refuted(healthy, name, change, part):
    file, manifest = healthy / name, healthy / "manifest.json"
    before, stated = file.read_text(), manifest.read_text()
    forged = json.loads(stated)
    file.write_text(change(before))
    assert file.read_text() != before
    forged["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(forged))
    try:
        assert part in refuted(prove_equivalence(healthy))
    finally:
        file.write_text(before)
        manifest.write_text(stated)


@pytest.mark.parametrize(("changes", "refused"), [({"pe": 2}, False), ({"pe": 3}, True), ({"unrolled": "yes"}, True)])
def test_the_folding_that_is_stated_is_the_one_that_is_proven(healthy, changes, refused):
    """Layer 0 has four channels and one neuron at once."""
    manifest = healthy / "manifest.json"
    before = manifest.read_text()
    forged = json.loads(before)
    assert forged["stages"][0]["pe"] == 1
    forged["stages"][0] |= changes
    manifest.write_text(json.dumps(forged))
    try:
        if refused:
            with pytest.raises(HardwareError, match="folding"):
                prove_equivalence(healthy)
        else:
            assert "layer0" in refuted(prove_equivalence(healthy))
    finally:
        manifest.write_text(before)
