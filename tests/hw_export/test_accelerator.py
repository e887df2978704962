"""The block with registers: proven as documented, each mutant refuted; the driver sends what the vectors hold."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from random_models import random_model

from bnnhw.hw_export import HardwareError, export, verify_manifest
from bnnhw.hw_export.accelerator import REGISTERS
from bnnhw.hw_export.netlist import Refuted, read_netlist
from bnnhw.hw_export.parts.part import Part
from bnnhw.hw_export.parts.registers import registers
from bnnhw.hw_export.sim.verilator import run_verilator
from bnnhw.model import reference

MUTANTS = [
    ("bnn_registers.sv", "32'd4: value = taken", "32'd4: value = given"),
    ("bnn_registers.sv", "32'd1: value = 32'd1", "32'd1: value = 32'd2"),
    ("bnn_registers.sv", "(15-word)*32", "(word-8)*32"),
    ("bnn_registers.sv", "s_axi_wvalid && !s_axi_bvalid", "s_axi_wvalid"),
    ("bnn_registers.sv", "else if (s_axi_rready) s_axi_rvalid", "else s_axi_rvalid"),
    ("bnn_registers.sv", "s_axi_awaddr[5:2] == 4'd2 && s_axi_wstrb[0]", "s_axi_awaddr[5:2] == 4'd2"),
    ("bnn_registers.sv", "if (read) s_axi_rdata", "s_axi_rdata"),
    ("bnn_registers.sv", "if (rst || held) begin", "if (rst) begin"),
    ("bnn_registers.sv", "taken + 32'd1", "taken + 32'd2"),
    ("bnn_registers.sv", "if (answer_waits) stalled", "stalled"),
    ("bnn_accelerator.sv", "reset || held", "reset"),
    ("bnn_accelerator.sv", ".image_given(m_axis_tvalid && m_axis_tready", ".image_given(m_axis_tvalid"),
    ("bnn_accelerator.sv", ".s_axis_tlast(s_axis_tlast)", ".s_axis_tlast(m_axis_tready)"),
    ("bnn_accelerator.sv", "256'h", "256'h1"),
    ("bnn_accelerator.sv", ".s_axi_araddr(s_axi_araddr)", ".s_axi_araddr(s_axi_awaddr)"),
    ("bnn_accelerator.sv", ".s_axi_bready(s_axi_bready)", ".s_axi_bready(s_axi_rready)"),
    ("bnn_accelerator.sv", "      .frame_error(frame_error),\n", "      .frame_error(held),\n"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    rng = np.random.default_rng(7)
    model = random_model(rng, (2, 3, 3), pixel_range=(-3, 300))
    images = rng.integers(-3, 301, (5, 2, 3, 3))
    folder = tmp_path_factory.mktemp("accelerator") / "hw"
    export(model, folder, images, target_cycles=20)
    return model, images, folder


def show(folder):
    digest = json.loads((folder / "manifest.json").read_text())["model_digest"]
    part = Part(read_netlist(folder, "bnn_accelerator"), "registers")
    registers(part, digest)
    return part.tally[0]


def test_the_registers_are_as_documented(exported):
    _, _, folder = exported
    assert show(folder) > 5000
    run_verilator(["--lint-only", "-Wall", "--top-module", "bnn_accelerator", *map(str, folder.glob("*.sv"))], folder)


@pytest.mark.parametrize(("name", "before", "after"), MUTANTS)
def test_every_mutant_of_the_registers_is_refuted(exported, tmp_path, name, before, after):
    shutil.copytree(exported[2], tmp_path / "hw")
    text = (tmp_path / "hw" / name).read_text()
    assert before in text
    if before == "256'h":
        at = text.index(before) + len(before)
        text = text[:at] + f"{int(text[at], 16) ^ 1:x}" + text[at + 1 :]
    else:
        text = text.replace(before, after, 1)
    (tmp_path / "hw" / name).write_text(text)
    with pytest.raises((Refuted, HardwareError)):
        show(tmp_path / "hw")


class Registers(dict):
    """The register map as it stands after reset."""

    def __init__(self, digest):
        super().__init__({0: 0x424E4E48, REGISTERS["STATUS"]: 0})
        self.update({REGISTERS["DIGEST"] + 4 * i: int(digest[8 * i : 8 * i + 8], 16) for i in range(8)})
        self.read, self.write = self.__getitem__, self.__setitem__


class Channel:
    def __init__(self, act):
        self.transfer, self.wait = act, lambda: None


class Dma:
    """Answers each image from the reference, and keeps the bytes that were sent."""

    def __init__(self, answers):
        self.sent, self.buffer, self.answers = [], None, iter(answers)
        self.recvchannel = Channel(lambda buffer: setattr(self, "buffer", buffer))
        self.sendchannel = Channel(self.send)

    def send(self, buffer):
        self.sent.append(buffer.tobytes())
        self.buffer[:] = next(self.answers)


def driver(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("bnn_driver", None)
    import bnn_driver

    return bnn_driver


def test_the_driver_sends_the_vectors_and_returns_the_answers(exported, monkeypatch):
    model, images, folder = exported
    _, manifest = verify_manifest(folder)
    scores = reference.scores(model, images)
    dma = Dma(np.concatenate([scores, reference.classify(scores)[:, None]], axis=1))
    network = driver(folder, monkeypatch).Accelerator(Registers(manifest["model_digest"]), dma, np.empty)
    found, classes = network.predict(images)
    np.testing.assert_array_equal(found, scores)
    np.testing.assert_array_equal(classes, reference.classify(scores))
    beats = [int(line, 16) for line in (folder / "vectors" / "stimulus.mem").read_text().split()]
    size = manifest["values"] * manifest["lane"] // 8
    assert b"".join(dma.sent) == b"".join(beat.to_bytes(size, "little") for beat in beats)


def test_the_driver_refuses_other_hardware_and_other_images(exported, monkeypatch):
    _, images, folder = exported
    _, manifest = verify_manifest(folder)
    accelerator = driver(folder, monkeypatch).Accelerator
    with pytest.raises(RuntimeError, match="another"):
        accelerator(Registers("0" * 64), None, np.empty)
    with pytest.raises(RuntimeError, match="no accelerator"):
        accelerator(SimpleNamespace(read=lambda offset: 0), None, np.empty)
    network = accelerator(Registers(manifest["model_digest"]), None, np.empty)
    for bad in (images[:, :1], images + 0.5, images + 300):
        with pytest.raises(ValueError):
            network.predict(bad)


def test_the_header_compiles_and_states_the_digest(exported, tmp_path):
    _, _, folder = exported
    _, manifest = verify_manifest(folder)
    program = tmp_path / "print.c"
    body = 'for (int i = 0; i < 8; ++i) printf("%08x", BNN_DIGEST[i]); return BNN_REGISTER_DIGEST != 0x20;'
    program.write_text(f'#include <stdio.h>\n#include "bnn.h"\nint main(void) {{ {body} }}\n')
    compiler = ["cc", "-Wall", "-Wextra", "-Werror", "-I", str(folder), str(program), "-o", str(tmp_path / "print")]
    subprocess.run(compiler, check=True)
    printed = subprocess.run([str(tmp_path / "print")], check=True, capture_output=True, text=True).stdout
    assert printed == manifest["model_digest"]


def test_the_map_is_one_in_all_files(exported):
    """The comment of the RTL, the header and the driver name the same offsets."""
    _, _, folder = exported
    rtl, driver_text = (folder / "bnn_registers.sv").read_text(), (folder / "bnn_driver.py").read_text()
    header = (folder / "bnn.h").read_text()
    for name, offset in REGISTERS.items():
        assert f"// 0x{offset:02X} {name}" in rtl
        assert f"BNN_REGISTER_{name} 0x{offset:02x}" in header
    constants: dict[str, object] = {"__file__": "bnn_driver.py"}
    exec(compile(driver_text, "bnn_driver.py", "exec"), constants)
    shared = {name: constants[name] for name in REGISTERS if name in constants and name != "ID"}
    assert shared == {name: REGISTERS[name] for name in shared}
    assert len(shared) == 7
