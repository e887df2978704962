"""Waves hold every stream of the hardware, and each stream as many handshakes as it has words."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import pywellen
from hardware_models import conv_net, forge
from random_models import random_pixels

from bnnhw.hw_export import HardwareError, export, simulate
from bnnhw.hw_export.sim.verilator import can_write_fst
from bnnhw.hw_export.taps import streams

IMAGES = 2
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (Debian: iverilog) is not installed")
needs_headers = pytest.mark.skipif(
    not can_write_fst(), reason="lz4.h and zlib.h (Debian: liblz4-dev) are not installed"
)


pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    rng = np.random.default_rng(8)
    model = conv_net(rng)
    folder = tmp_path_factory.mktemp("waves") / "hw"
    made = export(model, folder, target_cycles=1, style="folded")
    return folder, made.plan, random_pixels(rng, model, IMAGES)


def handshakes(path, names):
    """How often valid and ready of each stream were both high when the clock rose."""
    inside = {
        variable.name: variable
        for variable in pywellen.Waveform(str(path)).all_vars()
        if variable.full_name.split(".")[-2:-1] == ["bnn_top"]
    }
    rises = [time for time, level in inside["clk"].tv if level == 1 and time > 0]
    return {
        name: sum(
            all(inside[f"{name}_{way}"].signal.value_at(time - 1) == 1 for way in ("valid", "ready")) for time in rises
        )
        for name in names
    }


@pytest.mark.parametrize(
    ("simulator", "kind"),
    [
        ("verilator", "vcd"),
        pytest.param("verilator", "fst", marks=needs_headers),
        pytest.param("icarus", "vcd", marks=needs_icarus),
        pytest.param("icarus", "fst", marks=needs_icarus),
        ("cxxrtl", "vcd"),
    ],
)
def test_waves_show_every_word(exported, tmp_path, simulator, kind):
    folder, folded, pixels = exported
    expected = {stream.name: IMAGES * stream.beats for stream in streams(folded)}
    path = tmp_path / f"waves.{kind}"
    waved = simulate(folder, pixels, 3, simulator=simulator, waves=path)
    assert handshakes(path, expected) == expected
    assert replace(waved, simulator="verilator") == simulate(folder, pixels, 3)


@pytest.mark.parametrize(
    ("simulator", "kind"), [("verilator", "vcd"), pytest.param("icarus", "fst", marks=needs_icarus)]
)
def test_waves_of_hardware_that_hangs_can_be_looked_at(exported, tmp_path, simulator, kind):
    folder, pixels = tmp_path / "hw", exported[2]
    shutil.copytree(exported[0], folder)
    forge(folder, "bnn_pool.sv", lambda text: text.replace("m_valid <= take && last", "m_valid <= 1'b0"))
    with pytest.raises(HardwareError, match="makes no progress"):
        simulate(folder, pixels, simulator=simulator, waves=tmp_path / f"waves.{kind}")
    found = handshakes(tmp_path / f"waves.{kind}", ["level", "layer0", "layer1"])
    assert found["level"] > 0
    assert found["layer0"] > 0
    assert found["layer1"] == 0


def test_waves_that_cannot_be_had_are_refused(exported, tmp_path, monkeypatch):
    folder, pixels = tmp_path / "hw", exported[2]
    shutil.copytree(exported[0], folder)
    with pytest.raises(HardwareError, match="cxxrtl cannot write"):
        simulate(folder, pixels, simulator="cxxrtl", waves=tmp_path / "waves.fst")
    with pytest.raises(HardwareError, match=r"\*\.vcd or \*\.fst"):
        simulate(folder, pixels, waves=tmp_path / "waves.png")
    with pytest.raises(HardwareError, match="there is no folder"):
        simulate(folder, pixels, waves=tmp_path / "nowhere" / "waves.vcd")
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(HardwareError, match="apt install liblz4-dev"):
        simulate(folder, pixels, waves=tmp_path / "waves.fst")
