"""The simulated hardware equals reference inference, and a gate that could not fail would be no gate: mutants do."""

from pathlib import Path

import numpy as np
import pytest
from hardware_models import conv_net, dense_net, forge, output_only
from random_models import random_model, random_pixels

from bnnhw.hw_export import HardwareError, export, simulate
from bnnhw.hw_export.sim.verilator import run_verilator
from bnnhw.model import Conv, IntegerModel, Output, Quantizer

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize(
    ("build", "target", "style"),
    [
        (conv_net, 4096, "folded"),
        (conv_net, 1, "folded"),
        (conv_net, 4096, "unrolled"),
        (dense_net, 1, "folded"),
        (dense_net, 64, "folded"),
        (dense_net, 64, "unrolled"),
        (dense_net, 1, "unrolled"),
        (output_only, 4096, "auto"),
    ],
)
def test_hardware_equals_the_reference(build, target, style, tmp_path):
    rng = np.random.default_rng(8)
    model = build(rng)
    pixels = random_pixels(rng, model, 150)
    made = export(model, tmp_path / "hw", pixels[:2], target_cycles=target, style=style)
    run_verilator(
        ["--lint-only", "-Wall", "--top-module", "bnn_top", *sorted(map(str, (tmp_path / "hw").glob("*.sv")))], tmp_path
    )
    free = simulate(tmp_path / "hw", pixels)
    stalled = simulate(tmp_path / "hw", pixels, backpressure=7)
    assert (free.images, free.mismatches) == (150, 0)
    assert (stalled.images, stalled.mismatches) == (150, 0)
    assert free.cycles_per_image == made.plan.cycles


@pytest.mark.parametrize(
    ("seed", "style"), [(1, "folded"), (2, "unrolled"), (3, "auto"), (4, "unrolled"), (5, "folded")]
)
def test_random_networks_equal_the_reference(seed, style, tmp_path, monkeypatch):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(3, 7)), int(rng.integers(3, 7)))
    model = random_model(rng, shape, levels=int(rng.integers(1, 8)), hidden=4, classes=int(rng.integers(2, 11)))
    pixels = random_pixels(rng, model, 200)
    monkeypatch.chdir(tmp_path)
    export(model, Path("out/hw"), target_cycles=int(rng.choice([1, 100, 4096])), style=style)
    assert simulate(Path("out/hw"), pixels, backpressure=seed).mismatches == 0


def test_designs_split_over_several_files_build(tmp_path, monkeypatch):
    """What Verilator does by itself to large designs."""
    monkeypatch.setattr("bnnhw.hw_export.sim.verilator.OPTIONS", ("-Wno-fatal", "--output-split", "1"))
    rng = np.random.default_rng(0)
    model = dense_net(rng)
    pixels = random_pixels(rng, model, 20)
    export(model, tmp_path / "hw")
    assert simulate(tmp_path / "hw", pixels).mismatches == 0


def add_to_first_word(text, amount):
    lines = text.split("\n")
    lines[0] = f"{int(lines[0], 16) + amount:0{len(lines[0])}x}"
    return "\n".join(lines)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A convolution with padding whose every part matters to the scores; ties are frequent."""
    conv = Conv(np.ones((2, 1, 3, 3), int), [3, 6], [False, False], padding=(1, 1))
    weights = np.zeros((3, 32), int)
    weights[0, :16], weights[1, 16:], weights[2, ::2] = 1, 1, 1
    model = IntegerModel(Quantizer((1, 4, 4), [8], 0, 15), (conv,), Output(weights, [0, 0, 0], 0))
    pixels = random_pixels(np.random.default_rng(0), model, 100)
    pixels[0] = 0
    folder = tmp_path_factory.mktemp("mutants") / "hw"
    export(model, folder, pixels[:1], style="folded")
    assert simulate(folder, pixels).mismatches == 0
    return model, folder, pixels


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("layer0_thresholds.mem", lambda text: add_to_first_word(text, 1)),
        ("layer0_weights.mem", lambda text: add_to_first_word(text, -1)),
        ("quantizer.mem", lambda text: add_to_first_word(text, 1)),
        ("bias.mem", lambda text: add_to_first_word(text, 1)),
        ("bnn_scores.sv", lambda text: text.replace("score > best_score", "score >= best_score")),
        ("bnn_top.sv", lambda text: text.replace(".PAD_H(1)", ".PAD_H(0)")),
        # A row is taken in where there is no room.
        ("bnn_rows.sv", lambda text: text.replace("(held < ROWS)", "(held <= ROWS)")),
        # A row is used before its last word is there.
        ("bnn_rows.sv", lambda text: text.replace("$signed(held) >= needed", "$signed(held) + 1 >= needed")),
        # A counter stops too early.
        ("bnn_mvtu.sv", lambda text: text.replace("{COUNT_WIDTH{1'b1}}}", "{COUNT_WIDTH{1'b1}} >> 1}")),
    ],
)
def test_every_mutant_is_found(healthy, name, change):
    model, folder, pixels = healthy
    forge(folder, name, change)
    try:
        assert simulate(folder, pixels).mismatches > 0
    finally:
        export(model, folder, pixels[:1], style="folded")


def test_a_changed_file_is_refused(healthy):
    _, folder, pixels = healthy
    for name in ("bnn_mvtu.sv", "layer0_weights.mem", "model.bnn"):
        file = folder / name
        data = file.read_bytes()
        file.write_bytes(data + b"\n")
        with pytest.raises(HardwareError, match="not the file that the manifest states"):
            simulate(folder, pixels)
        file.unlink()
        with pytest.raises(HardwareError, match="missing"):
            simulate(folder, pixels)
        file.write_bytes(data)
    (folder / "extra.sv").write_text("")
    with pytest.raises(HardwareError, match="not in the manifest"):
        simulate(folder, pixels)
    (folder / "extra.sv").unlink()
    assert simulate(folder, pixels).mismatches == 0
