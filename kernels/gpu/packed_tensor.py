"""Packed tensors: rows of +1 and -1, one bit a value, as 32-bit words that the GPU kernels read. A 1 stands for +1.

The same bits as `bnnhw.kernels.PackedBits` (bit k of a row is bit ``k % 32`` of word ``k // 32``; bits past the last
are 0), in words half as wide because that is what the processors' registers, popcounts and matrix instructions take; on
a little-endian machine, the only kind that GPUs are plugged into, one is a view of the other. Each row carries its
popcount: kernels that can only AND (`gemm_tensor_core`) need it, and whoever packs a row has it at hand.

Words lie row after row, or in fragments: 16 rows x 256 bits in the order in which the 32 threads of a warp hold an
operand of ``mma.m16n8k256`` (PTX ISA, "Matrix Fragments for mma.m16n8k256"), so that a warp loads one in a single
coalesced access. Left and right operands differ in the order of a thread's four words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.kernels.packed_bits import PackedBits

WORD_BITS = 32
FRAGMENT_ROWS = 16
FRAGMENT_WORDS = 8
FRAGMENT_BITS = FRAGMENT_WORDS * WORD_BITS
LARGEST_COUNT = 2**29 - 1
"""Longest rows: four times a popcount, the largest number that a kernel forms, stays below 2**31."""


class Layout(Enum):
    """How words lie in memory. R rows of W = ceil(count / 32) words; T = ceil(R / 16), B = ceil(count / 256)."""

    ROWS = "rows"
    """int32[R, W]; the last axis is contiguous, rows may be any distance apart."""
    A_FRAGMENTS = "A fragments"
    """int32[T, B, 32, 4], contiguous. Thread 4g + t of a warp has words t and t + 4 of rows g and g + 8, rows first."""
    B_FRAGMENTS = "B fragments"
    """The same words; a thread's four are ordered words first, so that each half is a right operand of 8 rows."""


def word_count(count: int) -> int:
    """How many words hold ``count`` bits."""
    return -(-count // WORD_BITS)


def fragment_shape(rows: int, count: int) -> tuple[int, int, int, int]:
    """Shape of the words of ``rows`` rows in fragments."""
    return -(-rows // FRAGMENT_ROWS), -(-count // FRAGMENT_BITS), 32, 4


@dataclass(frozen=True, eq=False)
class PackedTensor:
    """``rows`` >= 1 rows of 1 <= ``count`` <= LARGEST_COUNT values in {-1, +1}, on any device.

    words: int32, of the shape that `Layout` gives; what pads the rows and the last word is 0. popcounts: int32[rows],
    how many +1 each row has. ValueError for other shapes and dtypes. The words' values are not looked at here, because
    that would wait for the device: `from_words` does.
    """

    words: torch.Tensor
    popcounts: torch.Tensor
    rows: int
    count: int
    layout: Layout

    def __post_init__(self) -> None:
        if self.rows < 1 or not 1 <= self.count <= LARGEST_COUNT:
            raise ValueError(f"need at least one row of 1 to {LARGEST_COUNT} bits, not {self.rows} of {self.count}")
        if self.layout is Layout.ROWS:
            shape: tuple[int, ...] = (self.rows, word_count(self.count))
            dense = self.words.ndim == 2 and (self.words.shape[1] == 1 or self.words.stride(1) == 1)
        else:
            shape = fragment_shape(self.rows, self.count)
            dense = self.words.is_contiguous()
        if self.words.dtype != torch.int32 or tuple(self.words.shape) != shape or not dense:
            raise ValueError(
                f"{self.rows} rows of {self.count} bits as {self.layout.value} need contiguous int32 words of shape "
                f"{shape}, not {self.words.dtype} of shape {tuple(self.words.shape)}, strides {self.words.stride()}"
            )
        if self.popcounts.dtype != torch.int32 or tuple(self.popcounts.shape) != (self.rows,):
            raise ValueError(
                f"popcounts must be int32 [{self.rows}], not {self.popcounts.dtype} of shape "
                f"{tuple(self.popcounts.shape)}"
            )
        if self.popcounts.device != self.words.device or not self.popcounts.is_contiguous():
            raise ValueError("popcounts must be contiguous and on the words' device")

    @property
    def device(self) -> torch.device:
        return self.words.device

    def to(self, device: torch.device | str) -> PackedTensor:
        """A copy on ``device``, or this tensor if it is there."""
        return PackedTensor(self.words.to(device), self.popcounts.to(device), self.rows, self.count, self.layout)

    def relayout(self, layout: Layout) -> PackedTensor:
        """The same rows in another layout; this tensor itself if it has that layout already."""
        if layout is self.layout:
            return self
        words = self.words if self.layout is Layout.ROWS else _rows_of(self.words, self.rows, self.count, self.layout)
        if layout is not Layout.ROWS:
            words = _fragments_of(words, self.count, layout)
        return PackedTensor(words, self.popcounts, self.rows, self.count, layout)

    def unpack(self) -> npt.NDArray[np.int8]:
        """int8[rows, count] of -1 and +1, on the host."""
        words = np.ascontiguousarray(self.relayout(Layout.ROWS).words.cpu().numpy())
        bits = np.unpackbits(words.view(np.uint8), axis=-1, count=self.count, bitorder="little")
        return bits.view(np.int8) * np.int8(2) - np.int8(1)


def from_words(words: torch.Tensor | npt.NDArray[np.int32] | npt.NDArray[np.uint32], count: int) -> PackedTensor:
    """Rows of ``count`` bits over the words of an array int32 or uint32 [R, ceil(count / 32)], which is not copied.

    ValueError for another dtype or shape and for ones past the last bit (on a GPU, the check waits for the device).
    """
    tensor = torch.from_numpy(words) if isinstance(words, np.ndarray) else words
    if tensor.dtype not in (torch.int32, torch.uint32) or tensor.ndim != 2:
        raise ValueError(f"words must be a 32-bit integer array [R, words], not {tensor.dtype} of {tensor.ndim} axes")
    signed = tensor.view(torch.int32)
    packed = PackedTensor(signed, _row_popcounts(signed), signed.shape[0], count, Layout.ROWS)
    used = count % WORD_BITS
    # -1 << used has ones exactly where the last word must have none.
    if used and bool((packed.words[:, -1] & (-1 << used)).any()):
        raise ValueError(f"the last word of a row has ones past bit {count - 1}: clear them")
    return packed


def from_packed_bits(bits: PackedBits) -> PackedTensor:
    """The rows of ``bits``, whose leading axes become one, over the same memory."""
    words = bits.words.reshape(-1, bits.words.shape[-1]).view(np.int32)
    return from_words(words[:, : word_count(bits.count)], bits.count)


def _row_popcounts(words: torch.Tensor) -> torch.Tensor:
    # torch has no popcount: bits are counted in fields of 2, 4 and 8 bits. A right shift of a negative word brings in
    # ones, which each mask removes.
    pairs = words - ((words >> 1) & 0x55555555)
    nibbles = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    octets = (nibbles + (nibbles >> 4)) & 0x0F0F0F0F
    return ((octets * 0x01010101) >> 24).sum(1, dtype=torch.int32)


# Of a fragment's 16 x 8 words, row = 8 * half + g and word = 4 * upper + t; thread 4g + t has the four choices of half
# and upper. Axes of the views: tile, half, g, block, upper, t.
_A_AXES = (0, 3, 2, 5, 4, 1)
_B_AXES = (0, 3, 2, 5, 1, 4)


def _fragments_of(words: torch.Tensor, count: int, layout: Layout) -> torch.Tensor:
    tiles, blocks, _, _ = shape = fragment_shape(words.shape[0], count)
    padded = words.new_zeros(tiles * FRAGMENT_ROWS, blocks * FRAGMENT_WORDS)
    padded[: words.shape[0], : words.shape[1]] = words
    axes = _A_AXES if layout is Layout.A_FRAGMENTS else _B_AXES
    return padded.view(tiles, 2, 8, blocks, 2, 4).permute(axes).reshape(shape)


def _rows_of(fragments: torch.Tensor, rows: int, count: int, layout: Layout) -> torch.Tensor:
    tiles, blocks, _, _ = fragments.shape
    axes = _A_AXES if layout is Layout.A_FRAGMENTS else _B_AXES
    given = fragments.view(tiles, blocks, 8, 4, 2, 2)
    words = given.permute(sorted(range(6), key=axes.__getitem__)).reshape(tiles * FRAGMENT_ROWS, -1)
    return words[:rows, : word_count(count)].contiguous()
