"""Gradient of a convolution's weights from packed inputs: ``gw[o, tap] = sum_rows g[row, o] a[row, tap]``, a in {0, 1}.

The activations stay bits: a tile of words is gathered under the windows, as in `conv_popcount`, unpacked in registers
and multiplied on tensor cores, so that what is read for them is a sixteenth or a thirty-second of what floats would be.
Rows are shared out between programs in a fixed way, each with partial sums of its own that are added at the end in a
fixed order: the same gradient every time, which atomic additions of floats would not give. float32 gradients are
multiplied as TF32 (11 bits; activations are exact), bfloat16 and float16 as they are; sums are float32.
"""

from __future__ import annotations

import torch
import triton
from torch.nn.grad import conv2d_weight
from triton import language as tl

from bnnhw.kernels.gpu.conv_oracle import NO_PADDING
from bnnhw.kernels.gpu.conv_window import Padding, window_of
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_tensor import WORD_BITS

ROWS = 32
OUTPUTS = 32
WORDS = 4
PROGRAMS = 264
"""About how many programs the work is shared by: two for each multiprocessor of an H200."""
WARPS = 4
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@triton.jit
def conv_weight_gradient_kernel(
    images: tl.tensor,  # int32 words [N, height, width, words]
    gradients: tl.tensor,  # float[m, n]
    partial: tl.tensor,  # float32[programs, n, taps * 32]
    m: tl.tensor,  # N * out_height * out_width
    n: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    words: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    kernel_w: tl.tensor,
    taps: tl.tensor,  # kernel_h * kernel_w * words
    stride_h: tl.tensor,
    stride_w: tl.tensor,
    pad_h: tl.tensor,
    pad_w: tl.tensor,
    rows_each: tl.tensor,  # of a program, a multiple of ROWS
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WORDS: tl.constexpr,
) -> None:
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    tap = tl.program_id(1) * WORDS + tl.arange(0, WORDS)
    word = tap % words
    x_in_kernel = tap // words % kernel_w
    y_in_kernel = tap // words // kernel_w
    sums = tl.zeros([OUTPUTS, WORDS * 32], tl.float32)
    first = tl.program_id(2) * rows_each
    for start in range(first, tl.minimum(first + rows_each, m), ROWS):
        row = start + tl.arange(0, ROWS)
        position = row % (out_height * out_width)
        y = (position // out_width * stride_h - pad_h)[:, None] + y_in_kernel[None, :]
        x = (position % out_width * stride_w - pad_w)[:, None] + x_in_kernel[None, :]
        image = (row // (out_height * out_width)).to(tl.int64)
        inside = (row < m)[:, None] & (tap < taps)[None, :] & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        place = ((image[:, None] * height + y) * width + x) * words + word[None, :]
        packed = tl.load(images + place, mask=inside, other=0)
        bits = (packed[:, :, None] >> tl.arange(0, 32)[None, None, :]) & 1
        wanted = (row < m)[:, None] & (output < n)[None, :]
        g = tl.load(gradients + row.to(tl.int64)[:, None] * n + output[None, :], mask=wanted, other=0)
        a = tl.reshape(bits, [ROWS, WORDS * 32]).to(g.dtype)
        sums = tl.dot(tl.trans(g), a, sums, input_precision="tf32")
    bit = tl.program_id(1) * (WORDS * 32) + tl.arange(0, WORDS * 32)
    to = partial + (tl.program_id(2).to(tl.int64) * n + output)[:, None] * taps * 32 + bit[None, :]
    tl.store(to, sums, mask=(output < n)[:, None] & (bit < taps * 32)[None, :])


def conv_weight_gradient(
    images: PackedImages,
    gradients: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
) -> torch.Tensor:
    """float32[outputs, channels, kernel_h, kernel_w] of gradients [N, H', W', outputs] of the sums, contiguous and of
    one of DTYPES; ValueError if anything does not fit or pads with ones."""
    rows, outputs = _check(images, gradients, kernel, stride, padding)
    words = images.words.shape[-1]
    taps = kernel[0] * kernel[1] * words
    tiles = triton.cdiv(outputs, OUTPUTS), triton.cdiv(taps, WORDS)
    steps = triton.cdiv(rows, ROWS)
    steps_each = triton.cdiv(steps, min(steps, max(1, PROGRAMS // (tiles[0] * tiles[1]))))
    programs = triton.cdiv(steps, steps_each)
    partial = torch.empty(programs, outputs, taps * WORD_BITS, dtype=torch.float32, device=images.device)
    conv_weight_gradient_kernel[(*tiles, programs)](
        images.words,
        gradients,
        partial,
        rows,
        outputs,
        images.height,
        images.width,
        words,
        gradients.shape[1],
        gradients.shape[2],
        kernel[1],
        taps,
        *stride,
        padding.vertical,
        padding.horizontal,
        steps_each * ROWS,
        ROWS=ROWS,
        OUTPUTS=OUTPUTS,
        WORDS=WORDS,
        num_warps=WARPS,
    )
    by_tap = partial.sum(0).reshape(outputs, *kernel, words * WORD_BITS)[..., : images.channels]
    return by_tap.permute(0, 3, 1, 2).contiguous()


def conv_weight_gradient_oracle(
    images: PackedImages,
    gradients: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
) -> torch.Tensor:
    """The same by torch's own gradient of a convolution of floats, in float64, on the host."""
    _check(images, gradients, kernel, stride, padding)
    bits = torch.from_numpy(images.unpack()).double()
    g = gradients.cpu().double().permute(0, 3, 1, 2)
    shape = (gradients.shape[-1], images.channels, *kernel)
    pads = (padding.vertical, padding.horizontal)
    gradient: torch.Tensor = conv2d_weight(bits, shape, g, stride, pads)  # type: ignore[no-untyped-call]
    return gradient.float()


def _check(
    images: PackedImages,
    gradients: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
) -> tuple[int, int]:
    """Rows and outputs."""
    window = window_of((images.height, images.width), kernel, stride, padding)
    shape = (images.count, window.height, window.width)
    g = gradients
    if padding.bit != 0:
        raise ValueError("gradients are of images padded with zeros")
    if g.dtype not in DTYPES or g.ndim != 4 or tuple(g.shape[:3]) != shape or not g.is_contiguous():
        raise ValueError(
            f"gradients must be contiguous floats [{shape[0]}, {shape[1]}, {shape[2]}, outputs], not {g.dtype} "
            f"{tuple(g.shape)}"
        )
    if g.device != images.device:
        raise ValueError(f"images and gradients must be on one device, not {images.device} and {g.device}")
    return images.count * window.positions, g.shape[3]
