"""The block with registers under cocotb, driven by bus models that others wrote (cocotbext-axi); mutants must fail."""

import shutil
from contextlib import suppress
from xml.etree import ElementTree

import numpy as np
import pytest
from cocotb_tools.runner import get_runner
from find_libpython import find_libpython
from hardware_models import QUICK, forge

from bnnhw.hw_export import export
from bnnhw.hw_export.sim.verilator import PRECOMPILED_HEADER_FLAG, environment
from bnnhw.model import Conv, IntegerModel, Output, Quantizer

TESTS = 13
pytestmark = pytest.mark.skipif(find_libpython() is None, reason="cocotb needs Python as a shared library")
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (Debian: iverilog) is not installed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two pixels of two bytes each a beat, pixels below 0, a window; a few clocks an image."""
    for name in ("PATH", "VERILATOR_ROOT"):
        monkeypatch.setenv(name, environment()[name])
    monkeypatch.setenv("MAKEFLAGS", " ".join([*QUICK, PRECOMPILED_HEADER_FLAG]))
    rng = np.random.default_rng(3)
    conv = Conv(rng.integers(-1, 2, (4, 2, 2, 2)), [1, 0, 2, -1], [False, True, False, True], padding=(1, 0))
    output = Output(rng.integers(-1, 2, (3, 32)), [0, 2, -1], 1)
    export(IntegerModel(Quantizer((2, 3, 3), [60, 200], -3, 300), (conv,), output), tmp_path / "hw", target_cycles=12)
    return tmp_path / "hw"


def failures(folder, simulator):
    """The tests that fail, of those in cocotb_accelerator.py."""
    work = folder.parent / simulator
    runner = get_runner(simulator)
    runner.build(
        sources=sorted(folder.glob("*.sv")),
        hdl_toplevel="bnn_accelerator",
        build_dir=work,
        build_args=["-Wno-fatal"] if simulator == "verilator" else ["-g2012"],
        timescale=("1ns", "1ns"),
    )
    # The runner leaves Python where a test fails.
    with suppress(SystemExit):
        runner.test(
            test_module="cocotb_accelerator",
            hdl_toplevel="bnn_accelerator",
            test_dir=folder,
            results_xml=str(work / "results.xml"),
            extra_env={"HARDWARE": str(folder)},
            seed=1,
        )
    cases = list(ElementTree.parse(work / "results.xml").iter("testcase"))
    assert len(cases) == TESTS
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return {case.get("name").split("/")[0] for case in wrong}


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])
def test_the_block_does_what_its_registers_and_streams_promise(folder, simulator):
    assert failures(folder, simulator) == set()


def test_a_part_that_software_cannot_reset_is_found(folder):
    """Two-valued, so that the hardware starts all the same."""
    forge(folder, "bnn_rows.sv", lambda text: text.replace("held_count <= 0", "held_count <= held_count"))
    assert failures(folder, "verilator") == {"frames_of_a_wrong_length_are_told", "reset_in_the_middle_of_an_image"}


@needs_icarus
@pytest.mark.parametrize(
    ("name", "before", "after", "failing"),
    [
        ("bnn_registers.sv", "(15-word)*32", "(word-8)*32", "registers_say_what_it_is"),
        ("bnn_registers.sv", "taken + 32'd1", "taken + 32'd2", "images_without_stalls"),
        ("bnn_registers.sv", "if (answer_waits) stalled", "stalled", "registers_say_what_it_is"),
        ("bnn_registers.sv", "if (read) s_axi_rdata", "s_axi_rdata", "images_with_stalls_while_registers_are_read"),
        ("bnn_registers.sv", "if (rst || held) begin", "if (rst) begin", "reset_in_the_middle_of_an_image"),
        ("bnn_accelerator.sv", "reset || held", "reset", "reset_in_the_middle_of_an_image"),
        ("bnn_quantize.sv", "s_last != beat_last", "!s_last && beat_last", "frames_of_a_wrong_length_are_told"),
        ("bnn_scores.sv", "m_last && m_ready", "m_last", "images_with_stalls_while_registers_are_read"),
        ("bias.mem", "\n", "1\n", "images_without_stalls"),
    ],
)
def test_mutants_fail(folder, name, before, after, failing):
    forge(folder, name, lambda text: text.replace(before, after, 1))
    assert failing in failures(folder, "icarus")
