"""What a warp's 32 threads hold of the operands of ``mma.m16n8k256``, and what the instruction does, in NumPy.

Written from the PTX ISA's figures, thread by thread and independently of `PackedTensor.relayout` and of the kernel in
`gemm_tensor_core`, as the oracle of both: Triton's interpreter cannot run the latter.

Thread 4g + t, with g in 0..7 and t in 0..3, holds words t and t + 4 of rows g and g + 8 of the left operand (16 rows of
8 words), words t and t + 4 of row g of the right operand (8 rows of 8 words), and the sums of rows g and g + 8 in
columns 2t and 2t + 1.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Word = TypeVar("Word", np.int32, np.uint32)

LANE = np.arange(32)
GROUP = LANE // 4
THREAD = LANE % 4


def a_fragment(words: npt.NDArray[Word]) -> npt.NDArray[Word]:
    """[32 threads, 4] of the left operand [16, 8]."""
    g, t = GROUP, THREAD
    return np.stack([words[g, t], words[g + 8, t], words[g, t + 4], words[g + 8, t + 4]], axis=-1)


def b_fragments(words: npt.NDArray[Word]) -> npt.NDArray[Word]:
    """[32 threads, 4] of two right operands, rows 0..7 and 8..15 of [16, 8]: two words of each."""
    g, t = GROUP, THREAD
    return np.stack([words[g, t], words[g, t + 4], words[g + 8, t], words[g + 8, t + 4]], axis=-1)


def multiply_accumulate(
    a: npt.NDArray[np.int32], b: npt.NDArray[np.int32], sums: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """``mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc`` of fragments a [32, 4], b [32, 2], sums [32, 4]."""
    g, t = GROUP, THREAD
    left, right = np.empty((16, 8), np.int32), np.empty((8, 8), np.int32)
    left[g, t], left[g + 8, t], left[g, t + 4], left[g + 8, t + 4] = a.T
    right[g, t], right[g, t + 4] = b.T
    both = (left[:, None] & right).view(np.uint32)
    products = np.bitwise_count(both).sum(axis=-1, dtype=np.int32)
    corners = [products[g, 2 * t], products[g, 2 * t + 1], products[g + 8, 2 * t], products[g + 8, 2 * t + 1]]
    added: npt.NDArray[np.int32] = sums + np.stack(corners, axis=-1)
    return added
