"""Packed images: bits [N, C, H, W] with each pixel's channels in 32-bit words, one pixel after the other.

Channel c of a pixel is bit ``c % 32`` of its word ``c // 32``, and bits past the last channel are 0. In this order
(NHWC) the values under a convolution's window are runs of whole words, so that a kernel gathers them without shifting a
bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.kernels.gpu.packed_tensor import WORD_BITS, word_count


@dataclass(frozen=True, eq=False)
class PackedImages:
    """words: contiguous int32[N, H, W, ceil(channels / 32)]; ValueError for other shapes and dtypes, and without
    values.

    The words' bits past the last channel must be 0; that is not looked at, because it would wait for the device.
    """

    words: torch.Tensor
    channels: int

    def __post_init__(self) -> None:
        w = self.words
        fits = w.ndim == 4 and self.channels >= 1 and w.shape[-1] == word_count(self.channels) and w.numel() > 0
        if w.dtype != torch.int32 or not fits or not w.is_contiguous():
            raise ValueError(
                f"images of {self.channels} channels need contiguous int32 words [N, H, W, "
                f"{word_count(self.channels)}], not {w.dtype} of shape {tuple(w.shape)}, strides {w.stride()}"
            )

    @property
    def count(self) -> int:
        return self.words.shape[0]

    @property
    def height(self) -> int:
        return self.words.shape[1]

    @property
    def width(self) -> int:
        return self.words.shape[2]

    @property
    def device(self) -> torch.device:
        return self.words.device

    def to(self, device: torch.device | str) -> PackedImages:
        """A copy on ``device``, or this one if it is there."""
        return PackedImages(self.words.to(device), self.channels)

    def unpack(self) -> npt.NDArray[np.bool_]:
        """bool[N, C, H, W], on the host."""
        octets = np.ascontiguousarray(self.words.cpu().numpy()).view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, count=self.channels, bitorder="little").view(np.bool_)
        return np.ascontiguousarray(bits.transpose(0, 3, 1, 2))


def pack_images(bits: npt.ArrayLike | torch.Tensor) -> PackedImages:
    """On the host, from bool or 0/1 integers [N, C, H, W] of any device; ValueError for any other value or shape."""
    given = np.asarray(bits.cpu() if isinstance(bits, torch.Tensor) else bits)
    if given.ndim != 4 or given.size == 0 or given.dtype.kind not in "biu":
        raise ValueError(f"bits must be a non-empty array [N, C, H, W], not {given.dtype} of shape {given.shape}")
    if given.dtype.kind != "b" and np.any((given != 0) & (given != 1)):
        raise ValueError("bits must be 0 or 1")
    return PackedImages(torch.from_numpy(channel_words(given.astype(np.bool_).transpose(0, 2, 3, 1))), given.shape[1])


def channel_words(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """int32[..., words] of bits [..., channels]."""
    octets = np.packbits(bits, axis=-1, bitorder="little")
    padded = np.zeros((*octets.shape[:-1], word_count(bits.shape[-1]) * (WORD_BITS // 8)), np.uint8)
    padded[..., : octets.shape[-1]] = octets
    return padded.view("<i4").astype(np.int32, copy=False)


def empty_images(count: int, height: int, width: int, channels: int, device: torch.device) -> PackedImages:
    """Words that a kernel fills; their values are arbitrary until then."""
    shape = (count, height, width, word_count(channels))
    return PackedImages(torch.empty(shape, dtype=torch.int32, device=device), channels)
