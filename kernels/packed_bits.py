"""Packed bits: arrays of bit strings in 64-bit words, the currency between binarized layers.

Bit k of a string is bit ``k % 64`` of word ``k // 64`` (least significant bit first). The count of bits is explicit
and the bits past it in the last word are 0, so equal strings have equal words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WORD_BITS = 64


def word_count(count: int) -> int:
    """How many words hold ``count`` bits."""
    return -(-count // WORD_BITS)


@dataclass(frozen=True, eq=False)
class PackedBits:
    """An array of bit strings of ``count`` >= 1 bits each.

    words: uint64[..., ceil(count / 64)], C-contiguous. ValueError for other dtypes, a wrong number of words or a one
    past the last bit.
    """

    words: npt.NDArray[np.uint64]
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a bit string needs at least one bit, not {self.count}")
        if self.words.dtype != np.uint64 or self.words.ndim < 1 or self.words.shape[-1] != word_count(self.count):
            raise ValueError(
                f"{self.count} bits need uint64 words of shape [..., {word_count(self.count)}], "
                f"not {self.words.dtype} of shape {self.words.shape}"
            )
        if not self.words.flags.c_contiguous:
            object.__setattr__(self, "words", np.ascontiguousarray(self.words))
        used = self.count % WORD_BITS
        if used and np.any(self.words[..., -1] >> np.uint64(used)):
            raise ValueError(f"the last word has ones past bit {self.count - 1}: clear them")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of strings: ``words.shape`` without its last axis."""
        return self.words.shape[:-1]

    def unpack(self) -> npt.NDArray[np.bool_]:
        """bool[..., count]."""
        octets = self.words.astype("<u8", copy=False).view(np.uint8)
        return np.unpackbits(octets, axis=-1, count=self.count, bitorder="little").view(np.bool_)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedBits) and self.count == other.count and np.array_equal(self.words, other.words)


def pack(bits: npt.ArrayLike) -> PackedBits:
    """Pack bool or 0/1 integers [..., count] along the last axis; ValueError for any other value."""
    given = np.asarray(bits)
    if given.ndim < 1 or given.dtype.kind not in "biu":
        raise ValueError(f"bits must be an array of booleans or integers, not {given.dtype} of shape {given.shape}")
    if given.dtype.kind != "b" and np.any((given != 0) & (given != 1)):
        raise ValueError("bits must be 0 or 1")
    count = given.shape[-1]
    octets = np.packbits(given.astype(np.bool_, copy=False), axis=-1, bitorder="little")
    padded = np.zeros((*octets.shape[:-1], word_count(count) * 8), np.uint8)
    padded[..., : octets.shape[-1]] = octets
    return PackedBits(padded.view("<u8").astype(np.uint64, copy=False), count)


def images_of(bits: PackedBits, count: int, what: str) -> int:
    """How many images a one-dimensional array of strings holds; ValueError unless each has ``count`` bits."""
    if len(bits.shape) != 1 or bits.count != count:
        raise ValueError(
            f"{what} must be a one-dimensional array of {count}-bit strings, "
            f"not of shape {bits.shape} and {bits.count} bits"
        )
    return bits.shape[0]


def empty_bits(images: int, count: int) -> npt.NDArray[np.uint64]:
    """Words of ``images`` strings of ``count`` zeros, for a kernel to fill."""
    return np.zeros((images, word_count(count)), np.uint64)
