"""Dense layer on bits: ``sum[n, o] = popcount(a[n] & positive[o]) - popcount(a[n] & negative[o])``.

That is ``weights @ a`` for weights in {-1, 0, +1} and bits in {0, 1}. With thresholds, the sums become bits without
ever being stored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu, instruction_set
from bnnhw.kernels.packed_bits import PackedBits, empty_bits, images_of, pack
from bnnhw.kernels.threads import check_threads
from bnnhw.kernels.thresholds import Thresholds, thresholds_oracle
from bnnhw.kernels.weights import TernaryWeights

FEWEST_ROWS_FOR_DIGITS = 32
"""With fewer, reading a byte a weight costs more than counting bits."""
FEWEST_ROWS_FOR_LOOKUP = 8
FEWEST_OUTPUTS_FOR_LOOKUP = 192
"""With fewer, making tables costs more than they save."""
CACHE_LINE = 64
FEWEST_SUMS_TO_ALIGN = 1 << 14


def ternary_dense(activations: PackedBits, weights: TernaryWeights, threads: int = 1) -> npt.NDArray[np.int32]:
    """Sums int32[N, outputs] of activations [N] of ``weights.inputs`` bits; ValueError if they do not fit."""
    images = images_of(activations, weights.inputs, "activations")
    sums = _aligned_empty(images, weights.outputs)
    _run(activations, images, weights, sums, None, None, threads)
    return sums


def _aligned_empty(images: int, outputs: int) -> npt.NDArray[np.int32]:
    """Rows that begin with a cache line where they can: vectors that reach over two take a tenth longer to write."""
    count = images * outputs
    if count < FEWEST_SUMS_TO_ALIGN:
        return np.empty((images, outputs), np.int32)
    memory = np.empty(count + CACHE_LINE // 4, np.int32)
    skipped = -memory.__array_interface__["data"][0] % CACHE_LINE // 4
    return memory[skipped : skipped + count].reshape(images, outputs)


def _run(
    activations: PackedBits,
    images: int,
    weights: TernaryWeights,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]] | None,
    threads: int,
) -> None:
    check_threads(threads)
    selected = instruction_set.selected()
    many = images >= FEWEST_ROWS_FOR_LOOKUP and weights.outputs >= FEWEST_OUTPUTS_FOR_LOOKUP
    if selected == "amx" and images >= FEWEST_ROWS_FOR_DIGITS and weights.digits is not None:
        _cpu.digit_dense(activations.words, images, weights.digits, sums, bits, limits, threads)
    elif selected == "vnni" and many and _cpu.looks_up() and weights.lookup is not None:
        _cpu.lookup_dense(activations.words, images, weights.lookup, sums, bits, limits, threads)
    else:
        _cpu.ternary_dense(
            activations.words, images, weights.planes, weights.outputs, weights.inputs, sums, bits, limits, threads
        )


def ternary_dense_oracle(activations: PackedBits, weights: TernaryWeights) -> npt.NDArray[np.int32]:
    """`ternary_dense` as an integer matrix product."""
    sums = activations.unpack().astype(np.int64) @ weights.unpack().astype(np.int64).T
    return sums.astype(np.int32)


def ternary_dense_threshold(
    activations: PackedBits, weights: TernaryWeights, thresholds: Thresholds, threads: int = 1
) -> PackedBits:
    """Bits [N] of ``outputs`` bits: the sums of `ternary_dense`, compared; ValueError if shapes do not fit."""
    images = images_of(activations, weights.inputs, "activations")
    thresholds.check(weights.outputs, 1, 1)
    bits = empty_bits(images, weights.outputs)
    _run(activations, images, weights, None, bits, (thresholds.limits, thresholds.flips), threads)
    return PackedBits(bits, weights.outputs)


def ternary_dense_threshold_oracle(
    activations: PackedBits, weights: TernaryWeights, thresholds: Thresholds
) -> PackedBits:
    """`ternary_dense_threshold` on the oracle's sums."""
    return pack(thresholds_oracle(ternary_dense_oracle(activations, weights), thresholds))
