"""Max pooling of bits: the OR of each window, or its AND for channels marked conjunctive.

A channel whose bit means ``sum <= t`` pools to ``max(sum) <= t``, which is the AND of its bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnnhw.kernels import _cpu
from bnnhw.kernels.packed_bits import PackedBits, empty_bits, images_of, pack
from bnnhw.kernels.threads import check_threads
from bnnhw.kernels.window import Window


def max_pool(bits: PackedBits, conjunctive: npt.NDArray[np.bool_], window: Window, threads: int = 1) -> PackedBits:
    """Bits [N] of rows * columns * channels.

    bits: [N] strings of ``window.image`` bits. conjunctive: bool[channels], True for AND. ValueError for padding and
    for shapes that do not fit.
    """
    if window.padding != (0, 0):
        raise ValueError(f"pooling windows lie inside the image: padding must be (0, 0), not {window.padding}")
    if conjunctive.dtype != np.bool_ or conjunctive.shape != (window.channels,):
        raise ValueError(
            f"pooling directions must be bool [{window.channels}], not {conjunctive.dtype} of {conjunctive.shape}"
        )
    images = images_of(bits, window.image, "bits")
    count = window.positions * window.channels
    pooled = empty_bits(images, count)
    _cpu.max_pool(bits.words, images, window.geometry, pack(conjunctive).words, pooled, check_threads(threads))
    return PackedBits(pooled, count)


def max_pool_oracle(bits: PackedBits, conjunctive: npt.NDArray[np.bool_], window: Window) -> PackedBits:
    """`max_pool` on unpacked windows."""
    images = bits.unpack().reshape(-1, window.height, window.width, window.channels)
    (down, right), (rows, columns) = window.stride, (window.rows, window.columns)
    taps = np.stack(
        [
            images[:, y : y + down * (rows - 1) + 1 : down, x : x + right * (columns - 1) + 1 : right]
            for y in range(window.kernel[0])
            for x in range(window.kernel[1])
        ]
    )
    pooled = np.where(conjunctive, taps.all(axis=0), taps.any(axis=0))
    return pack(pooled.reshape(len(pooled), window.positions * window.channels))
