"""A layer's ternary weights as the GPU convolutions read them.

Activations are bits a, weights are -1, 0 or +1, and a sum is ``popcount(a & p) - popcount(a & n)`` where p and n mark
the weights +1 and -1: two conjunctions, no subtraction inside, and what pads an image with zeros adds nothing. Inputs
come in the order in which packed images hold them, kernel row, kernel column, word of channels, here called taps. A
dense layer is a convolution whose kernel is as large as its image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.kernels.gpu.packed_images import channel_words
from bnnhw.kernels.gpu.packed_tensor import FRAGMENT_ROWS, FRAGMENT_WORDS, LARGEST_COUNT, WORD_BITS, word_count

NO_TAP = 2**31 - 1
"""In the first row of ``taps``, a row that no image has: what only fills the last fragment."""


@dataclass(frozen=True, eq=False)
class TernaryFilters:
    """Made by `ternary_filters`; all tensors on one device.

    planes: int32[2, taps, outputs], the words of p and of n; only p, [1, ...], if no weight is 0. fragments:
    int32[planes, tiles, blocks, 32, 4], `filter_fragments` of p and of what n lacks. taps: int32[4, blocks * 8]: for
    each word its kernel row, kernel column, word of channels and the channels that this word has.
    """

    planes: torch.Tensor
    fragments: torch.Tensor
    taps: torch.Tensor
    kernel: tuple[int, int]
    channels: int
    outputs: int

    @property
    def binary(self) -> bool:
        """Whether no weight is 0."""
        return self.planes.shape[0] == 1

    @property
    def device(self) -> torch.device:
        return self.planes.device

    def to(self, device: torch.device | str) -> TernaryFilters:
        """A copy on ``device``, or views of these if they are there."""
        tensors = (self.planes.to(device), self.fragments.to(device), self.taps.to(device))
        return TernaryFilters(*tensors, self.kernel, self.channels, self.outputs)

    def unpack(self) -> npt.NDArray[np.int8]:
        """int8[outputs, channels, kernel_h, kernel_w], on the host."""
        words = np.ascontiguousarray(self.planes.cpu().numpy().transpose(0, 2, 1))
        octets = words.reshape(len(words), self.outputs, *self.kernel, -1).view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, count=self.channels, bitorder="little").view(np.int8)
        weights = 2 * bits[0] - 1 if self.binary else bits[0] - bits[1]
        return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))


def ternary_filters(weights: npt.ArrayLike) -> TernaryFilters:
    """On the host, from integers [outputs, channels, kernel_h, kernel_w] in {-1, 0, +1}; ValueError for anything
    else."""
    given = np.asarray(weights)
    is_kernel = given.ndim == 4 and given.size > 0 and given.dtype.kind in "iu"
    if is_kernel and given[0, 0].size * word_count(given.shape[1]) * WORD_BITS > LARGEST_COUNT:
        raise ValueError(f"a kernel of {given.shape[1:]} weights, with channels padded to 32, is too large: split it")
    if not is_kernel or np.any((given < -1) | (given > 1)):
        raise ValueError(
            f"weights must be integers -1, 0 or +1 [outputs, channels, height, width], not {given.dtype} of shape "
            f"{given.shape}"
        )
    outputs, channels, height, width = given.shape
    words = word_count(channels)
    taps = height * width * words
    last = given.transpose(0, 2, 3, 1)
    binary = bool(np.all(given != 0))
    positive = channel_words(last > 0).reshape(outputs, taps)
    second = [] if binary else [channel_words(last < 0).reshape(outputs, taps)]
    lacking = [] if binary else [channel_words(last >= 0).reshape(outputs, taps)]
    return TernaryFilters(
        torch.from_numpy(np.ascontiguousarray(np.stack([positive, *second]).transpose(0, 2, 1))),
        filter_fragments(torch.from_numpy(np.stack([positive, *lacking]))),
        torch.from_numpy(window_taps(height, width, channels)),
        (height, width),
        channels,
        outputs,
    )


def filter_fragments(words: torch.Tensor) -> torch.Tensor:
    """int32[planes, tiles, blocks, 32, 4] of words int32[planes, outputs, taps], on their device: right operands of
    ``mma.m16n8k256``, zero where they pad.

    Thread 4g + t of a warp has words 2t and 2t + 1 of outputs g and g + 8, not t and t + 4 as in `Layout.B_FRAGMENTS`:
    a sum does not care in which order its words come, and this way whoever gathers the left operand from images finds
    two words side by side.
    """
    planes, outputs, taps = words.shape
    tiles, blocks = -(-outputs // FRAGMENT_ROWS), -(-taps // FRAGMENT_WORDS)
    padded = words.new_zeros(planes, tiles * FRAGMENT_ROWS, blocks * FRAGMENT_WORDS)
    padded[:, :outputs, :taps] = words
    threads = padded.reshape(planes, tiles, 2, 8, blocks, 4, 2).permute(0, 1, 4, 3, 5, 2, 6)
    return threads.reshape(planes, tiles, blocks, 32, 4)


def window_taps(height: int, width: int, channels: int) -> npt.NDArray[np.int32]:
    """The table of `TernaryFilters` for a kernel height x width over so many channels."""
    words = word_count(channels)
    count = height * width * words
    index = np.arange(count)
    table = np.zeros((4, -(-count // FRAGMENT_WORDS) * FRAGMENT_WORDS), np.int32)
    table[0] = NO_TAP
    table[:3, :count] = index // (width * words), index // words % width, index % words
    table[3, :count] = np.tile(channel_words(np.ones(channels, np.bool_)), height * width)
    return table
