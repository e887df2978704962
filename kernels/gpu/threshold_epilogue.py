"""The end of a GEMM whose sums become the next layer's bits: compare, pack 32 columns into a word, count a row's ones.

For kernels in `tl`; `gemm_tensor_core` has its own, since its sums lie in fragments.
"""

from __future__ import annotations

import triton
from triton import language as tl

from bnnhw.kernels.gpu.popcount import popcount


@triton.jit
def store_bits(
    sums: tl.tensor,  # int32[ROWS, COLUMNS]
    limits: tl.tensor,  # int32[n] in memory
    flips: tl.tensor,  # int32[n] in memory
    out: tl.tensor,  # int32 words [m, ceil(n / 32)] in memory
    out_popcounts: tl.tensor,  # int32[m] in memory, of zeros before the first program
    first_row: tl.tensor,
    first_column: tl.tensor,  # a multiple of 32
    m: tl.tensor,
    n: tl.tensor,
    out_stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,  # a multiple of 32
) -> None:
    row = first_row + tl.arange(0, ROWS)
    column = first_column + tl.arange(0, COLUMNS)
    inside = column < n
    limit = tl.load(limits + column, mask=inside, other=0)
    flip = tl.load(flips + column, mask=inside, other=0)
    bits = ((sums >= limit[None, :]).to(tl.int32) ^ flip[None, :]) & inside.to(tl.int32)[None, :]
    placed = tl.reshape(bits, [ROWS, COLUMNS // 32, 32]) << tl.arange(0, 32)[None, None, :]
    words = tl.sum(placed, axis=2)
    word = first_column // 32 + tl.arange(0, COLUMNS // 32)
    place = out + row.to(tl.int64)[:, None] * out_stride + word[None, :]
    tl.store(place, words, mask=(row < m)[:, None] & (word * 32 < n)[None, :])
    ones = tl.sum(popcount(words.to(tl.uint32, bitcast=True)).to(tl.int32), axis=1)
    # Integer addition: the order in which programs come does not matter.
    tl.atomic_add(out_popcounts + row, ones, mask=row < m, sem="relaxed")
