"""Run images on the accelerator from Python, on a board with PYNQ. Needs NumPy, Python 3.10 and
the manifest beside this file.

    overlay = pynq.Overlay("design.bit")
    network = Accelerator(overlay.bnn_accelerator_0.mmio, overlay.axi_dma_0, pynq.allocate)
    scores, classes = network.predict(images)        # integers [N, C, H, W]

Refuses to start on hardware of another model than the manifest's, and raises where an answer is missing.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

ID = 0x424E4E48
STATUS, TAKEN, GIVEN, CLOCKS, STALLED, DIGEST = 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20
CONTROL = 0x08


class Accelerator:
    """registers: has read(offset) and write(offset, value), as pynq.MMIO. dma: has sendchannel and recvchannel, as
    pynq's DMA. allocate: makes a buffer that the DMA reaches, as pynq.allocate."""

    def __init__(self, registers: Any, dma: Any, allocate: Any, manifest: dict[str, Any] | None = None):
        self.registers, self.dma, self.allocate = registers, dma, allocate
        path = Path(__file__).with_name("manifest.json")
        self.manifest = json.loads(path.read_text()) if manifest is None else manifest
        if registers.read(0) != ID:
            raise RuntimeError("there is no accelerator of bnnhw at this address")
        if self.digest() != self.manifest["model_digest"]:
            raise RuntimeError(f"the hardware is of model {self.digest()}, the manifest of another")
        self.reset()

    def digest(self) -> str:
        """SHA-256 of the model that the hardware states, in hexadecimal."""
        return "".join(f"{self.registers.read(DIGEST + 4 * i):08x}" for i in range(8))

    def reset(self) -> None:
        """Forget images on their way and count from 0."""
        self.registers.write(CONTROL, 1)
        self.registers.write(CONTROL, 0)

    def counters(self) -> dict[str, int]:
        """Images taken and given, clocks, and clocks in which an answer waited; they wrap at 2^32."""
        names = {"taken": TAKEN, "given": GIVEN, "clocks": CLOCKS, "stalled": STALLED}
        return {name: self.registers.read(offset) for name, offset in names.items()}

    def predict(self, images: Any) -> tuple[Any, Any]:
        """Scores int32[N, classes] and classes int32[N] of images, integers [N, C, H, W] in the model's pixel range."""
        shape, low, high = tuple(self.manifest["shape"]), self.manifest["pixel_min"], self.manifest["pixel_max"]
        images = np.asarray(images)
        if images.shape[1:] != shape or images.dtype.kind not in "iu":
            raise ValueError(f"images are integers [N, {', '.join(map(str, shape))}], not {images.dtype}{images.shape}")
        if images.size and (images.min() < low or images.max() > high):
            raise ValueError(f"pixels lie in {low}..{high}, not {images.min()}..{images.max()}")
        count, beats = len(images), self.manifest["classes"] + 1
        answers = np.empty((count, beats), np.int32)
        lane = np.dtype(f"<u{self.manifest['lane'] // 8}")
        values = (images.astype(np.int64) - low).transpose(0, 2, 3, 1).reshape(count, -1).astype(lane)
        sent = self.allocate(values.shape[1:], lane)
        given = self.allocate((beats,), np.int32)
        # TLAST ends a transfer, so images go one by one.
        for i in range(count):
            sent[:] = values[i]
            self.dma.recvchannel.transfer(given)
            self.dma.sendchannel.transfer(sent)
            self.dma.sendchannel.wait()
            self.dma.recvchannel.wait()
            answers[i] = given
        if self.registers.read(STATUS) & 1:
            raise RuntimeError("an image of the wrong length reached the hardware: reset it")
        return answers[:, :-1], answers[:, -1]
