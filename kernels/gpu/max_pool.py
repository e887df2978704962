"""Max pooling of packed bits on a GPU: OR of the words under a window, AND where the comparison was turned around.

A word is 32 channels at once. Windows that would cross the border are dropped, as in the integer model.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.packed_images import PackedImages, empty_images, pack_images

WORDS = 256
WARPS = 4


@triton.jit
def max_pool_kernel(
    images: tl.tensor,  # int32 words [N, height, width, words]
    conjunctive: tl.tensor,  # int32 words [words]: ones where channels are joined by AND
    out: tl.tensor,  # int32 words [N, out_height, out_width, words]
    count: tl.tensor,  # of words in `out`
    height: tl.tensor,
    width: tl.tensor,
    words: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    kernel_h: tl.tensor,
    kernel_w: tl.tensor,
    stride_h: tl.tensor,
    stride_w: tl.tensor,
    WORDS: tl.constexpr,
) -> None:
    index = tl.program_id(0).to(tl.int64) * WORDS + tl.arange(0, WORDS)
    inside = index < count
    word = index % words
    column = index // words % out_width
    row = index // words // out_width % out_height
    image = index // words // out_width // out_height
    corner = images + ((image * height + row * stride_h) * width + column * stride_w) * words + word
    any_one = tl.zeros([WORDS], tl.int32)
    all_ones = tl.full([WORDS], -1, tl.int32)
    for y in range(0, kernel_h):
        for x in range(0, kernel_w):
            bits = tl.load(corner + (tl.cast(y, tl.int64) * width + x) * words, mask=inside, other=0)
            any_one |= bits
            all_ones &= bits
    joined = tl.load(conjunctive + word, mask=inside, other=0)
    tl.store(out + index, (all_ones & joined) | (any_one & ~joined), mask=inside)


def max_pool(
    images: PackedImages,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    conjunctive: torch.Tensor,
    out: PackedImages | None = None,
) -> PackedImages:
    """Pooled images, in ``out`` if given. conjunctive: contiguous int32 words [ceil(C / 32)], ones where channels
    are joined by AND.

    ValueError if the window, the words or ``out`` do not fit.
    """
    height, width = _check(images, kernel, stride, conjunctive)
    pooled = empty_images(images.count, height, width, images.channels, images.device) if out is None else out
    shape = (images.count, height, width, images.words.shape[-1])
    if tuple(pooled.words.shape) != shape or pooled.channels != images.channels or pooled.device != images.device:
        raise ValueError(f"the pooled words must be {list(shape)} on {images.device}, not {list(pooled.words.shape)}")
    max_pool_kernel[(triton.cdiv(pooled.words.numel(), WORDS),)](
        images.words,
        conjunctive,
        pooled.words,
        pooled.words.numel(),
        images.height,
        images.width,
        images.words.shape[-1],
        height,
        width,
        *kernel,
        *stride,
        WORDS=WORDS,
        num_warps=WARPS,
    )
    return pooled


def max_pool_oracle(
    images: PackedImages, kernel: tuple[int, int], stride: tuple[int, int], conjunctive: torch.Tensor
) -> PackedImages:
    """The same on the host, bit by bit."""
    height, width = _check(images, kernel, stride, conjunctive)
    bits = images.unpack()
    under = [
        bits[:, :, y :: stride[0], x :: stride[1]][:, :, :height, :width]
        for y in range(kernel[0])
        for x in range(kernel[1])
    ]
    windows = np.stack(under)
    octets = np.ascontiguousarray(conjunctive.cpu().numpy()).view(np.uint8)
    joined = np.unpackbits(octets, count=images.channels, bitorder="little").astype(bool)[:, None, None]
    return pack_images(np.where(joined, windows.all(axis=0), windows.any(axis=0)))


def _check(
    images: PackedImages, kernel: tuple[int, int], stride: tuple[int, int], conjunctive: torch.Tensor
) -> tuple[int, int]:
    """Height and width of what is made."""
    words = images.words.shape[-1]
    fits = tuple(conjunctive.shape) == (words,) and conjunctive.is_contiguous()
    if conjunctive.dtype != torch.int32 or not fits or conjunctive.device != images.device:
        raise ValueError(
            f"the directions must be contiguous int32 words [{words}] on {images.device}, not {conjunctive.dtype} "
            f"{tuple(conjunctive.shape)}, strides {conjunctive.stride()} on {conjunctive.device}"
        )
    if min(*kernel, *stride) < 1 or kernel[0] > images.height or kernel[1] > images.width:
        raise ValueError(f"a window {kernel} with stride {stride} does not fit images {images.height}x{images.width}")
    return (images.height - kernel[0]) // stride[0] + 1, (images.width - kernel[1]) // stride[1] + 1
