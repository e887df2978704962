"""cocotb's side of the accelerator's test bench: drives the block's ports as a processor and two DMA engines would.

`test_cocotb.py` builds the block and starts a simulator, which runs the tests in here; HARDWARE names the export. The
bus models are cocotbext-axi's. A second set of counters follows the block's ports clock by clock, so what the registers
say is compared exactly.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from random_models import random_pixels

from bnnhw.hw_export.accelerator import REGISTERS
from bnnhw.hw_export.emit import stream_values, verify_manifest
from bnnhw.model import reference

FOLDER = Path(os.environ["HARDWARE"])
MODEL, MANIFEST = verify_manifest(FOLDER)
LANE = MANIFEST["lane"] // 8
BEAT = LANE * MANIFEST["values"]
SOON = (50, "us")


def pauses(seed: int):
    """True in about half of the clocks."""
    random = Random(seed)
    while True:
        yield random.random() < 0.5


class Bench:
    """The block, its bus models, and counters of what passes at its ports."""

    def __init__(self, dut, seed: int) -> None:
        self.dut = dut
        aligned = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), **aligned)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **aligned)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **aligned)
        self.rng = np.random.default_rng(seed)
        self.counted = dict.fromkeys(("TAKEN", "GIVEN", "CLOCKS", "STALLED"), 0)
        self.at_read: dict[str, int] = {}
        if seed:
            channels = [self.source, self.sink, self.lite.write_if.aw_channel, self.lite.write_if.w_channel]
            channels += [self.lite.write_if.b_channel, self.lite.read_if.ar_channel, self.lite.read_if.r_channel]
            for number, channel in enumerate(channels):
                channel.set_pause_generator(pauses(seed + number))

    async def start(self) -> None:
        cocotb.start_soon(Clock(self.dut.aclk, 10, unit="ns").start())
        cocotb.start_soon(self.count())
        await self.reset()

    async def reset(self) -> None:
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 5)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def count(self) -> None:
        """What the counters of the register map should be, from the ports alone."""
        streams = [f"{side}_axis_t{name}" for side in "sm" for name in ("valid", "ready", "last")]
        lite = ["arvalid", "arready", "araddr", "awvalid", "awready", "awaddr", "wdata", "wstrb"]
        names = ["aresetn", *streams, *(f"s_axi_{name}" for name in lite)]
        held = False
        while True:
            await RisingEdge(self.dut.aclk)
            # What stood there when the clock rose.
            seen = {name: getattr(self.dut, name).value for name in names}
            if seen["aresetn"] != 1:
                held, self.counted = False, dict.fromkeys(self.counted, 0)
                continue
            if seen["s_axi_arvalid"] == 1 and seen["s_axi_arready"] == 1:
                for name in self.counted:
                    if seen["s_axi_araddr"] == REGISTERS[name]:
                        self.at_read[name] = self.counted[name]
            if held:
                self.counted = dict.fromkeys(self.counted, 0)
            else:
                waits = seen["m_axis_tvalid"] == 1 and seen["m_axis_tready"] != 1
                taken, given = (all(seen[name] == 1 for name in side) for side in (streams[:3], streams[3:]))
                for name, one_more in zip(self.counted, (taken, given, True, waits), strict=True):
                    self.counted[name] += one_more
            written = seen["s_axi_awvalid"] == 1 and seen["s_axi_awready"] == 1 and int(seen["s_axi_wstrb"]) & 1
            if written and seen["s_axi_awaddr"] == REGISTERS["CONTROL"]:
                held = bool(int(seen["s_axi_wdata"]) & 1)

    async def read(self, name: str, word: int = 0) -> int:
        return await with_timeout(self.lite.read_dword(REGISTERS[name] + 4 * word), *SOON)

    async def write(self, name: str, value: int) -> None:
        await with_timeout(self.lite.write_dword(REGISTERS[name], value), *SOON)

    async def counters_agree(self) -> dict[str, int]:
        """Read every counter; each must be what the ports have shown up to the clock in which it was read."""
        found = {}
        for name in self.counted:
            found[name] = await self.read(name)
            assert found[name] == self.at_read[name], name
        return found

    def images(self, number: int) -> np.ndarray:
        return random_pixels(self.rng, MODEL, number)

    def frame(self, image: np.ndarray) -> bytes:
        return b"".join(int(v).to_bytes(LANE, "little") for v in stream_values(MODEL, image[np.newaxis])[0])

    async def send(self, data: bytes) -> None:
        """A frame that no answer is expected for; returns when it was taken."""
        await self.source.send(AxiStreamFrame(data))
        await with_timeout(self.source.wait(), *SOON)
        await ClockCycles(self.dut.aclk, 4)

    async def answers(self, images: np.ndarray) -> None:
        """Send images, and demand the reference's scores and classes."""
        for image in images:
            await self.source.send(AxiStreamFrame(self.frame(image)))
        scores = reference.scores(MODEL, images)
        for row, label in zip(scores, reference.classify(scores), strict=True):
            got = await with_timeout(self.sink.recv(), *SOON)
            assert np.frombuffer(bytes(got.tdata), "<i4").tolist() == [*row.tolist(), int(label)]


@cocotb.test()
async def registers_say_what_it_is(dut):
    bench = Bench(dut, 0)
    await bench.start()
    assert await bench.read("ID") == 0x424E4E48
    assert await bench.read("VERSION") == 1
    digest = "".join([f"{await bench.read('DIGEST', word):08x}" for word in range(8)])
    assert digest == MANIFEST["model_digest"]
    # Nothing but CONTROL can be written.
    for name in REGISTERS:
        if name != "CONTROL":
            await bench.write(name, 0xFFFFFFFF)
    assert await bench.read("ID") == 0x424E4E48
    assert await bench.read("CONTROL") == 0
    found = await bench.counters_agree()
    assert (found["TAKEN"], found["GIVEN"], found["STALLED"]) == (0, 0, 0)
    assert found["CLOCKS"] > 0


@cocotb.test()
async def images_without_stalls(dut):
    bench = Bench(dut, 0)
    await bench.start()
    await bench.answers(bench.images(6))
    found = await bench.counters_agree()
    assert (found["TAKEN"], found["GIVEN"], found["STALLED"]) == (6, 6, 0)


@cocotb.test()
async def images_with_stalls_while_registers_are_read(dut):
    bench = Bench(dut, 11)
    await bench.start()
    running = cocotb.start_soon(bench.answers(bench.images(15)))
    while not running.done():
        await bench.counters_agree()
    await running
    found = await bench.counters_agree()
    assert (found["TAKEN"], found["GIVEN"]) == (15, 15)
    assert found["STALLED"] > 0
    assert await bench.read("STATUS") == 0


@cocotb.test()
@cocotb.parametrize(seed=[0, 5], longer=[False, True])
async def frames_of_a_wrong_length_are_told(dut, seed, longer):
    bench = Bench(dut, seed)
    await bench.start()
    await bench.answers(bench.images(1))
    assert await bench.read("STATUS") == 0
    data = bench.frame(bench.images(1)[0])
    await bench.send(data + data[:BEAT] if longer else data[:-BEAT])
    assert await bench.read("STATUS") == 1
    # It stays until reset, which software can do.
    await bench.write("CONTROL", 1)
    assert await bench.read("CONTROL") == 1
    assert await bench.counters_agree() == dict.fromkeys(bench.counted, 0)
    await bench.write("CONTROL", 0)
    assert await bench.read("STATUS") == 0
    bench.sink.clear()
    await bench.answers(bench.images(2))
    assert await bench.read("STATUS") == 0
    await bench.counters_agree()


@cocotb.test()
@cocotb.parametrize(beats=[1, 3, 4], by_software=[False, True])
async def reset_in_the_middle_of_an_image(dut, beats, by_software):
    """Nothing of an image is left whose end never comes."""
    bench = Bench(dut, 3 * beats)
    await bench.start()
    await bench.answers(bench.images(2))
    await bench.send(bench.frame(bench.images(1)[0])[: beats * BEAT])
    if by_software:
        await bench.write("CONTROL", 1)
        await ClockCycles(dut.aclk, 3)
        await bench.write("CONTROL", 0)
    else:
        await bench.reset()
    bench.sink.clear()
    await bench.answers(bench.images(3))
    found = await bench.counters_agree()
    assert (found["TAKEN"], found["GIVEN"]) == (3, 3)
    assert await bench.read("STATUS") == 0
