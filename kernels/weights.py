"""Ternary weights as the kernels read them: eight output channels side by side, so that one register holds eight sums.

On bits, weights are two bit planes and a sum is ``popcount(a & positive) - popcount(a & negative)``, which is
``2 * popcount(a & positive) - popcount(a)`` if no weight is zero. On levels they are
small integers, two inputs next to each other because processors multiply and add 16-bit pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu
from bnnhw.kernels.packed_bits import PackedBits, pack

LANES = 8
"""Output channels that a kernel handles side by side; arrays below are padded to a multiple with zeros."""


MOST_DIGIT_INPUTS = 16131
"""Inputs other than zero of an output, up to which the sums of several outputs can be told apart in 32 bits."""
MOST_LOOKUP_INPUTS = 65535
"""Inputs of an output up to which its sum can be looked up and counted in 16 bits."""


def lane_count(outputs: int) -> int:
    """``outputs`` rounded up to whole blocks of lanes."""
    return -(-outputs // LANES) * LANES


def _ternary(weights: npt.ArrayLike) -> npt.NDArray[np.int8]:
    given = np.asarray(weights)
    if given.ndim != 2 or given.size == 0 or given.dtype.kind not in "iu":
        raise ValueError(
            f"weights must be a non-empty integer array [outputs, inputs], not {given.dtype} of shape {given.shape}"
        )
    if given.min() < -1 or given.max() > 1:
        raise ValueError("weights must be -1, 0 or +1")
    return given.astype(np.int8)


def window_order(weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Convolution weights [out, channels, kernel_h, kernel_w] as [out, kernel_h * kernel_w * channels].

    That is the order in which kernels gather the values under a window.
    """
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1))


@dataclass(frozen=True, eq=False)
class TernaryWeights:
    """Weights of a layer on bits, one bit string an output: where they are +1 and where they are -1.

    positive, negative: PackedBits of shape [outputs] and equal counts; ValueError if a weight is in both.
    """

    positive: PackedBits
    negative: PackedBits
    planes: npt.NDArray[np.uint64] = field(init=False, repr=False)
    """uint64[blocks, words, 2, LANES]: per block of outputs and word, the positive and then the negative words.

    Where no weight is zero, uint64[blocks, words, 1, LANES], the positive words alone: the others follow from them.
    """

    def __post_init__(self) -> None:
        p, n = self.positive, self.negative
        if len(p.shape) != 1 or p.shape[0] < 1 or p.shape != n.shape or p.count != n.count:
            raise ValueError(
                f"both weight planes must have one string an output, not shapes {p.shape} and {n.shape} of "
                f"{p.count} and {n.count} bits"
            )
        if np.any(p.words & n.words):
            raise ValueError("a weight cannot be in both planes: it is +1, 0 or -1")
        outputs, words = p.words.shape
        planes = [p.words] if self.binary else [p.words, n.words]
        padded = np.zeros((len(planes), lane_count(outputs), words), np.uint64)
        padded[:, :outputs] = planes
        blocks = padded.reshape(len(planes), -1, LANES, words).transpose(1, 3, 0, 2)
        object.__setattr__(self, "planes", np.ascontiguousarray(blocks))

    @property
    def binary(self) -> bool:
        """Whether no weight is zero."""
        ones = np.bitwise_count(self.positive.words).sum() + np.bitwise_count(self.negative.words).sum()
        return bool(ones == self.outputs * self.inputs)

    @property
    def outputs(self) -> int:
        return self.positive.shape[0]

    @property
    def inputs(self) -> int:
        return self.positive.count

    @cached_property
    def digits(self) -> _cpu.DigitWeights | None:
        """The same for the matrix unit, several weights a byte; made at its first use. None for too many inputs."""
        weights = self.unpack()
        return None if np.count_nonzero(weights, axis=1).max() > MOST_DIGIT_INPUTS else _cpu.DigitWeights(weights)

    @cached_property
    def lookup(self) -> _cpu.LookupWeights | None:
        """The same as codes whose sums are looked up; made at its first use. None for zeros or too many inputs."""
        return _cpu.LookupWeights(self.unpack()) if self.binary and self.inputs <= MOST_LOOKUP_INPUTS else None

    def unpack(self) -> npt.NDArray[np.int8]:
        """int8[outputs, inputs]."""
        return self.positive.unpack().astype(np.int8) - self.negative.unpack().astype(np.int8)


def pack_ternary(weights: npt.ArrayLike) -> TernaryWeights:
    """Pack integers [outputs, inputs] in {-1, 0, +1}; ValueError for anything else."""
    ternary = _ternary(weights)
    return TernaryWeights(pack(ternary > 0), pack(ternary < 0))


@dataclass(frozen=True, eq=False)
class LevelWeights:
    """Weights of a layer on levels: integers [outputs, inputs] in {-1, 0, +1}; ValueError for anything else."""

    weights: npt.NDArray[np.int8]
    pairs: npt.NDArray[np.int16] = field(init=False, repr=False)
    """int16[blocks, ceil(inputs / 2), LANES, 2]: per block of outputs and pair of inputs, two weights an output."""

    def __post_init__(self) -> None:
        ternary = _ternary(self.weights)
        outputs, inputs = ternary.shape
        padded = np.zeros((lane_count(outputs), inputs + inputs % 2), np.int16)
        padded[:outputs, :inputs] = ternary
        blocks = padded.reshape(-1, LANES, padded.shape[1] // 2, 2).transpose(0, 2, 1, 3)
        object.__setattr__(self, "weights", ternary)
        object.__setattr__(self, "pairs", np.ascontiguousarray(blocks))

    @property
    def fan_in(self) -> int:
        """The most weights other than 0 that an output has."""
        return int(np.count_nonzero(self.weights, axis=1).max())

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])
