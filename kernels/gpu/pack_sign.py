"""Sign, pack and count in one pass over floats: ``bit = x >= 0``, so a bit of 1 is +1.

-0.0 becomes +1 and NaN -1: comparisons say so. Optionally also the clip mask ``|x| <= 1``, which is all that the
straight-through estimator's backward pass needs of x (Hubara et al., "Binarized Neural Networks", NeurIPS 2016), in a
bit instead of 16 or 32. A program packs whole rows, so that a row's popcount needs no second pass. Memory-bound: reads
x once. Oracle: `pack_sign_oracle`.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, from_packed_bits, word_count
from bnnhw.kernels.gpu.popcount import popcount
from bnnhw.kernels.packed_bits import pack

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ROWS = 4
STEP = 16
WARPS = 4
"""A program packs ROWS rows, STEP words of each at a time."""


@triton.jit
def pack_sign_kernel(
    x: tl.tensor,  # float[rows, count], any strides
    out: tl.tensor,  # int32 words [rows, words]
    out_popcounts: tl.tensor,  # int32[rows]
    clip: tl.tensor,  # int32 words [rows, words] with CLIP, else None
    clip_popcounts: tl.tensor,  # int32[rows] with CLIP, else None
    rows: tl.tensor,
    count: tl.tensor,
    words: tl.tensor,
    row_stride: tl.tensor,
    column_stride: tl.tensor,
    ROWS: tl.constexpr,
    STEP: tl.constexpr,
    CLIP: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    x_rows = x + row.to(tl.int64)[:, None, None] * row_stride
    out_rows = row.to(tl.int64)[:, None] * words
    bit = tl.arange(0, 32)
    ones = tl.zeros([ROWS], tl.int32)
    unclipped = tl.zeros([ROWS], tl.int32)
    for start in range(0, words, STEP):
        word = start + tl.arange(0, STEP)
        k = word[:, None] * 32 + bit[None, :]
        inside = (row < rows)[:, None, None] & (k < count)[None, :, :]
        # The interpreter computes on bfloat16 as if its bits were an integer; float32 holds every value exactly.
        values = tl.load(x_rows + k.to(tl.int64)[None, :, :] * column_stride, mask=inside, other=0).to(tl.float32)
        place = out_rows + word[None, :]
        stored = (row < rows)[:, None] & (word < words)[None, :]
        signs = tl.sum((inside & (values >= 0)).to(tl.int32) << bit[None, None, :], axis=2)
        tl.store(out + place, signs, mask=stored)
        ones += tl.sum(popcount(signs.to(tl.uint32, bitcast=True)).to(tl.int32), axis=1)
        if CLIP:
            kept = tl.sum((inside & (tl.abs(values) <= 1)).to(tl.int32) << bit[None, None, :], axis=2)
            tl.store(clip + place, kept, mask=stored)
            unclipped += tl.sum(popcount(kept.to(tl.uint32, bitcast=True)).to(tl.int32), axis=1)
    tl.store(out_popcounts + row, ones, mask=row < rows)
    if CLIP:
        tl.store(clip_popcounts + row, unclipped, mask=row < rows)


def pack_sign(x: torch.Tensor) -> PackedTensor:
    """Signs of x float32, float16 or bfloat16 [R, K], any strides; ValueError for other dtypes and shapes."""
    return _pack(x, clip_mask=False)[0]


def pack_sign_and_clip_mask(x: torch.Tensor) -> tuple[PackedTensor, PackedTensor]:
    """Signs of x as `pack_sign`, and where ``|x| <= 1``, which NaN is not."""
    signs, mask = _pack(x, clip_mask=True)
    assert mask is not None
    return signs, mask


def pack_sign_oracle(x: torch.Tensor) -> tuple[PackedTensor, PackedTensor]:
    """Both results on the host, by the comparisons that define them."""
    values = x.detach().cpu().to(torch.float32).numpy()
    return from_packed_bits(pack(values >= 0)), from_packed_bits(pack(np.abs(values) <= 1))


def _pack(x: torch.Tensor, clip_mask: bool) -> tuple[PackedTensor, PackedTensor | None]:
    if x.dtype not in DTYPES or x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"x must be a non-empty float32, float16 or bfloat16 [R, K], not {x.dtype} {tuple(x.shape)}")
    rows, count = x.shape
    shape = (rows, word_count(count))
    planes = [
        PackedTensor(
            torch.empty(shape, dtype=torch.int32, device=x.device),
            torch.empty(rows, dtype=torch.int32, device=x.device),
            rows,
            count,
            Layout.ROWS,
        )
        for _ in range(1 + clip_mask)
    ]
    signs, mask = planes[0], planes[1] if clip_mask else None
    pack_sign_kernel[(-(-rows // ROWS),)](
        x,
        signs.words,
        signs.popcounts,
        None if mask is None else mask.words,
        None if mask is None else mask.popcounts,
        rows,
        count,
        shape[1],
        x.stride(0),
        x.stride(1),
        ROWS=ROWS,
        STEP=STEP,
        CLIP=clip_mask,
        num_warps=WARPS,
    )
    return signs, mask
