"""Any torch module behind our input quantizer, so that the same trainer and the same adversary work on it.

The module is trained as it stands, with its own layers, gradients and batch norms; whether it has an exact integer
meaning is found out when it is lowered (`bnnhw.train.brevitas` reads networks declared with Brevitas).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from bnnhw.nn.network import Network, Observer
from bnnhw.nn.quantizer import InputQuantizer


class ModuleNetwork(Network):
    """``logits = module(scale * quantizer(pixels) + offset)``, in float32.

    module: takes float32[N, C, H, W] and returns logits float[N, classes]. shape: (C, H, W) of the pixels. scale,
    offset: what the module expects instead of levels, such as 2 / 255 and -1; float32 numbers. ``layers`` is empty:
    nothing in it is ours, so mask decay, bound decay and calibration do not apply. Raises ValueError when the module
    does not make logits of an image of ``shape``. Example: ``ModuleNetwork(module, InputQuantizer((102,), (0, 255)),
    (1, 28, 28))``.
    """

    def __init__(
        self,
        module: nn.Module,
        quantizer: InputQuantizer,
        shape: tuple[int, int, int],
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        nn.Module.__init__(self)
        self.module, self.quantizer, self.shape = module, quantizer, shape
        self.scale, self.offset = float(np.float32(scale)), float(np.float32(offset))
        self.hidden = nn.ModuleList()
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                logits = self.forward(torch.zeros(1, *shape))
        except RuntimeError as error:
            raise ValueError(f"the module does not fit an input of shape {shape}: {error}") from None
        if type(logits) is not Tensor or logits.ndim != 2:
            raise ValueError("the module must end in logits, a plain tensor of shape (N, classes)")
        self._classes = int(logits.shape[1])
        self.train(was_training)

    @property
    def layers(self) -> tuple[()]:
        return ()

    @property
    def classes(self) -> int:
        return self._classes

    def enter(self, pixels: Tensor) -> Tensor:
        """What the module is given."""
        levels: Tensor = self.quantizer(pixels)
        return levels * self.scale + self.offset

    def forward(self, pixels: Tensor, observe: Observer | None = None) -> Tensor:
        if observe is not None:
            raise ValueError("accumulators can be observed in this project's own layers only: leave out bound decay")
        logits: Tensor = self.module(self.enter(pixels))
        return logits

    def trace(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        raise ValueError("bits can be traced in this project's own layers only: compare with bnnhw.train.brevitas")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, parameters get no gradients; afterwards every buffer is what it was."""
        required = [parameter.requires_grad for parameter in self.parameters()]
        kept = [(buffer, buffer.clone()) for buffer in self.buffers()]
        try:
            for parameter in self.parameters():
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter, flag in zip(self.parameters(), required, strict=True):
                parameter.requires_grad_(flag)
            with torch.no_grad():
                for buffer, before in kept:
                    buffer.copy_(before)

    def density(self) -> list[float]:
        return []
