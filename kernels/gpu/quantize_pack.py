"""Pixels to bits on a GPU: one bit for each threshold that a pixel reaches, channels side by side in words.

A quantizer's level is the number of thresholds that a pixel reaches, and a sum of weights times levels is therefore a
sum of weights times bits, each weight repeated for its channel's thresholds. So levels never exist as numbers: L
thresholds make L bits of each channel (a "thermometer"; Buckman et al., "Thermometer encoding", ICLR 2018), and the
first layer is a ternary convolution of bits like all others. Bit ``c * L + j`` of a pixel says whether channel c
reaches threshold j.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import triton
from triton import language as tl

from bnnhw.kernels.gpu.packed_images import PackedImages, empty_images, pack_images
from bnnhw.kernels.gpu.packed_tensor import WORD_BITS

MOST_CHANNELS = 4096
"""Thresholds times channels, beyond which words of bits take more than the pixels' own bytes are worth."""
PIXELS = 128
CHUNK = 8
WARPS = 4


@triton.jit
def quantize_pack_kernel(
    pixels: tl.tensor,  # uint8 or int32 [N, channels, height, width]
    thresholds: tl.tensor,  # int32[levels, 1 or channels, 1 or height, 1 or width]
    out: tl.tensor,  # int32 words [N, height, width, words]
    count: tl.tensor,  # N * height * width
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    levels: tl.tensor,
    words: tl.tensor,
    level_stride: tl.tensor,  # of thresholds, like the others; 0 along axes of which all share one
    channel_stride: tl.tensor,
    row_stride: tl.tensor,
    column_stride: tl.tensor,
    PIXELS: tl.constexpr,
    BITS: tl.constexpr,  # of a word, as many as are used, rounded up to a power of two
    CHUNK: tl.constexpr,
) -> None:
    index = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    word = tl.program_id(1)
    image = index // (height * width)
    row = index // width % height
    column = index % width
    first = pixels + (image.to(tl.int64) * channels * height + row) * width + column
    limit_of_pixel = thresholds + row.to(tl.int64) * row_stride + column.to(tl.int64) * column_stride
    made = tl.zeros([PIXELS], tl.int32)
    # Some bits at a time: each takes two addresses.
    for start in range(0, BITS, CHUNK):
        in_word = start + tl.arange(0, CHUNK)
        bit = word * 32 + in_word
        channel = bit // levels
        inside = (index < count)[None, :] & (bit < channels * levels)[:, None]
        plane = channel.to(tl.int64) * height * width
        pixel = tl.load(first[None, :] + plane[:, None], mask=inside, other=0)
        limit = (bit % levels).to(tl.int64) * level_stride + channel.to(tl.int64) * channel_stride
        limits = tl.load(limit_of_pixel[None, :] + limit[:, None], mask=inside, other=0)
        reached = (inside & (pixel.to(tl.int32) >= limits)).to(tl.int32) << in_word[:, None]
        made |= tl.sum(reached, axis=0)
    tl.store(out + index.to(tl.int64) * words + word, made, mask=index < count)


def quantize_pack(pixels: torch.Tensor, thresholds: torch.Tensor, out: PackedImages | None = None) -> PackedImages:
    """Images of C * L bits of pixels uint8 or int32 [N, C, H, W] and thresholds int32[L, c, h, w], each of c, h, w the
    pixels' size or 1; in ``out`` if given. ValueError for other dtypes and shapes and for more than MOST_CHANNELS
    bits."""
    channels = _check(pixels, thresholds)
    count, _, height, width = pixels.shape
    bits = empty_images(count, height, width, channels, pixels.device) if out is None else out
    shape = (count, height, width)
    if (bits.count, bits.height, bits.width) != shape or bits.channels != channels or bits.device != pixels.device:
        raise ValueError(
            f"the bits must be {list(shape)} of {channels} channels on {pixels.device}, not "
            f"{[bits.count, bits.height, bits.width]} of {bits.channels} on {bits.device}"
        )
    words = bits.words.shape[-1]
    strides = [0 if side == 1 else stride for side, stride in zip(thresholds.shape, thresholds.stride(), strict=True)]
    quantize_pack_kernel[(triton.cdiv(count * height * width, PIXELS), words)](
        pixels,
        thresholds,
        bits.words,
        count * height * width,
        pixels.shape[1],
        height,
        width,
        thresholds.shape[0],
        words,
        *strides,
        PIXELS=PIXELS,
        BITS=(used := min(WORD_BITS, triton.next_power_of_2(channels))),
        CHUNK=min(used, CHUNK),
        num_warps=WARPS,
    )
    return bits


def bits_a_pixel(channels: int, levels: int) -> int:
    """How many bits ``levels`` thresholds make of a pixel; ValueError beyond MOST_CHANNELS."""
    if channels * levels > MOST_CHANNELS:
        raise ValueError(f"{levels} levels of {channels} channels are more than {MOST_CHANNELS} bits a pixel")
    return channels * levels


def repeat_for_levels(weights: npt.NDArray[np.int8], levels: int) -> npt.NDArray[np.int8]:
    """Weights [outputs, C * levels, h, w] on bits that sum what weights [outputs, C, h, w] do on levels."""
    return np.repeat(weights, levels, axis=1)


def quantize_pack_oracle(pixels: torch.Tensor, thresholds: torch.Tensor) -> PackedImages:
    """The same on the host, by the comparison that defines it."""
    channels = _check(pixels, thresholds)
    reached = pixels.cpu().numpy()[:, :, None] >= thresholds.cpu().numpy().transpose(1, 0, 2, 3)[None]
    side = (pixels.shape[1], thresholds.shape[0], *pixels.shape[2:])
    bits = np.broadcast_to(reached, (len(pixels), *side))
    return pack_images(bits.reshape(len(pixels), channels, *pixels.shape[2:]))


def _check(pixels: torch.Tensor, thresholds: torch.Tensor) -> int:
    """How many bits a pixel makes."""
    if pixels.dtype not in (torch.uint8, torch.int32) or pixels.ndim != 4 or not pixels.is_contiguous():
        raise ValueError(
            f"pixels must be contiguous uint8 or int32 [N, C, H, W], not {pixels.dtype} {tuple(pixels.shape)}"
        )
    t = thresholds.shape
    fits = thresholds.ndim == 4 and all(a in (1, b) for a, b in zip(t[1:], pixels.shape[1:], strict=True))
    if thresholds.dtype != torch.int32 or not fits or thresholds.device != pixels.device or pixels.numel() == 0:
        raise ValueError(
            f"thresholds must be int32 [levels, c, h, w] that fit pixels {tuple(pixels.shape)} on {pixels.device}, not "
            f"{thresholds.dtype} {tuple(t)} on {thresholds.device}"
        )
    bits = bits_a_pixel(pixels.shape[1], t[0])
    if pixels.numel() // pixels.shape[1] > 2**31 - 1:
        raise ValueError("more than 2**31 - 1 pixels in one call: split them")
    return bits
