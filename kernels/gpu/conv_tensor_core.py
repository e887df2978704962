"""Ternary convolution of bits on 1-bit tensor cores: an implicit matrix product, exact in int32.

As `gemm_tensor_core`, whose instruction and register layout this uses, with two differences. The left operand is not
stored in fragments: each thread gathers the words that it holds of a fragment from the packed images, by a table that
says for each word of the window its row, column and channels. Sums do not care about the order of words, so weights are
stored in one that makes a thread's two words of a row neighbours (`filter_fragments`): one load, where a pixel has an
even number of them. And the activations are 0 or 1, the weights -1, 0 or +1: with p where a weight is +1 and q where it
is not -1, a sum is ``popcount(a & p) + popcount(a & q) - popcount(a)``, or ``2 popcount(a & p) - popcount(a)`` where no
weight is 0, so that one set of sums only grows. popcount(a), one number a row, is a product with ones: one more
instruction for each fragment of rows, which leaves it in the very registers where it is subtracted. Oracle:
`conv_oracle`; the tests execute this kernel on NumPy. It has not run on a GPU yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from bnnhw.kernels.gpu.conv_oracle import NO_PADDING
from bnnhw.kernels.gpu.conv_window import Padding, Window, bits_of, by_position, sums_of, window_over
from bnnhw.kernels.gpu.gemm_tensor_core import load_tiles, multiply_accumulate
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_tensor import FRAGMENT_ROWS
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters


@dataclass(frozen=True)
class Configuration:
    """A program's tile: warps_m x warps_n warps, each with tiles_m x tiles_n tiles of 16 x 16 sums.

    tiles_n is even, so that a warp's columns fill whole words of packed output.
    """

    warps_m: int
    warps_n: int
    tiles_m: int
    tiles_n: int

    @property
    def rows(self) -> int:
        return self.warps_m * self.tiles_m * FRAGMENT_ROWS

    @property
    def columns(self) -> int:
        return self.warps_n * self.tiles_n * FRAGMENT_ROWS

    @property
    def warps(self) -> int:
        return self.warps_m * self.warps_n


CONFIGURATIONS = (
    Configuration(2, 1, 1, 2),
    Configuration(4, 1, 2, 2),
    Configuration(4, 1, 2, 4),
    Configuration(4, 2, 2, 4),
)
"""32 x 32 for few rows, 128 x 32, 128 x 64 and 128 x 128: gathering the left operand pays for many columns."""

_ROW_POPCOUNTS: gl.constexpr = gl.constexpr("""{
.reg .b32 ones;
mov.b32 ones, 0xffffffff;
mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {$0,$1,$2,$3}, {$4,$5,$6,$7}, {ones,ones}, {$8,$9,$10,$11};
}""")
_REGISTERS: gl.constexpr = gl.constexpr(",".join(["=r"] * 4 + ["r"] * 8))


@gluon.jit
def add_row_popcounts(a: gl.tensor, counts: gl.tensor) -> gl.tensor:
    """16 rows' popcounts over 256 bits, added to ``counts``, which have them in every column; [warps, 32, 4] each."""
    return gl.inline_asm_elementwise(_ROW_POPCOUNTS, _REGISTERS, [a, counts], dtype=gl.int32, is_pure=True, pack=4)


@gluon.jit
def gather_tiles(
    corners: gl.tuple,  # pointers to the words at the windows' first pixels, which may lie outside the image
    first_ys: gl.tuple,
    first_xs: gl.tuple,
    taps: gl.tensor,
    tap: gl.tensor,  # of a thread's first word in a row
    second: gl.tensor,  # 0 and 1, for its two words
    tap_count: gl.tensor,
    height: gl.tensor,
    width: gl.tensor,
    words: gl.tensor,
    FRAGMENT: gl.constexpr,
    COUNT: gl.constexpr,
    PAIRS: gl.constexpr,
    PAD_ONES: gl.constexpr,
) -> gl.tuple:
    """Fragments of the left operand, for COUNT tiles of rows: two neighbouring words under each row's window."""
    each = tap if PAIRS else tap + second
    y = gl.load(taps + each)
    x = gl.load(taps + tap_count + each)
    word = gl.load(taps + 2 * tap_count + each)
    around = gl.load(taps + 3 * tap_count + (tap + second)) if PAD_ONES else 0
    # A pair is in one pixel: one comparison and one load, of whose address the compiler has to see that it is even.
    offset = (y * width + x) * words + (word >> 1 if PAIRS else word)
    offset = offset * 2 + second if PAIRS else offset
    gathered: gl.tuple = ()
    for i in gl.static_range(COUNT):
        # Unsigned, what is below 0 is past the end.
        row = gl.cast(first_ys[i] + y, gl.uint32)
        column = gl.cast(first_xs[i] + x, gl.uint32)
        inside = (row < height) & (column < width)
        loaded = gl.load(corners[i] + offset, mask=inside, other=around)
        # As a left operand, registers are both rows of the first word, then of the second.
        turned = gl.reshape(gl.permute(loaded, (0, 1, 3, 2)), [loaded.shape[0], 32, 4])
        gathered = gathered + (gl.convert_layout(turned, FRAGMENT),)
    return gathered


@gluon.jit
def conv_tensor_core_kernel(
    images: gl.tensor,  # int32 words [N, height, width, words]
    filters: gl.tensor,  # int32 B fragments [2 or 1, ceil(n / 16), blocks, 32, 4]
    taps: gl.tensor,  # int32[4, blocks * 8], see `TernaryFilters`
    out: gl.tensor,  # int32 sums [m, n], or words [m, ceil(n / 32)] with THRESHOLD
    limits: gl.tensor,  # int32[positions or 1, n] with THRESHOLD, else None
    flips: gl.tensor,  # int32[n] with THRESHOLD, else None
    counted: gl.tensor,  # int32[positions or 1, n] with BIPOLAR, for sums of -1 and +1, else None
    m: gl.tensor,  # N * out_height * out_width
    n: gl.tensor,
    blocks: gl.tensor,
    height: gl.tensor,
    width: gl.tensor,
    words: gl.tensor,  # of a pixel, or with PAIRS pairs of words
    out_height: gl.tensor,
    out_width: gl.tensor,
    stride_h: gl.tensor,
    stride_w: gl.tensor,
    pad_h: gl.tensor,
    pad_w: gl.tensor,
    WARPS_M: gl.constexpr,
    WARPS_N: gl.constexpr,
    TILES_M: gl.constexpr,
    TILES_N: gl.constexpr,
    BINARY: gl.constexpr,
    PAIRS: gl.constexpr,
    PAD_ONES: gl.constexpr,
    THRESHOLD: gl.constexpr,
    BIPOLAR: gl.constexpr,
    POSITIONS: gl.constexpr,
) -> None:
    WARPS: gl.constexpr = WARPS_M * WARPS_N
    # One fragment a warp: axes are warp, thread of the warp, and the four registers of a thread.
    FRAGMENT: gl.constexpr = gl.BlockedLayout([1, 1, 4], [1, 32, 1], [WARPS, 1, 1], [2, 1, 0])
    warp = gl.arange(0, WARPS, layout=gl.SliceLayout(1, gl.SliceLayout(2, FRAGMENT)))[:, None, None]
    lane = gl.arange(0, 32, layout=gl.SliceLayout(0, gl.SliceLayout(2, FRAGMENT)))[None, :, None]
    register = gl.arange(0, 4, layout=gl.SliceLayout(0, gl.SliceLayout(1, FRAGMENT)))[None, None, :]

    # Programs that share rows, whose words are gathered, come one after the other.
    programs_n = gl.cdiv(n, WARPS_N * TILES_N * 16)
    program_m = gl.program_id(0) // programs_n
    program_n = gl.program_id(0) % programs_n
    tile_m = (program_m * WARPS_M + warp // WARPS_N) * TILES_M
    tile_n = (program_n * WARPS_N + warp % WARPS_N) * TILES_N
    tiles_n = gl.cdiv(n, 16)
    positions = out_height * out_width

    # Thread 4g + t gathers words 2t and 2t + 1 of rows g and g + 8; axes are warp, thread, row and word. Rows and tiles
    # past the edge read the last one instead; what they compute is not stored.
    GATHER: gl.constexpr = gl.BlockedLayout([1, 1, 2, 2], [1, 32, 1, 1], [WARPS, 1, 1, 1], [3, 2, 1, 0])
    ROWS: gl.constexpr = gl.SliceLayout(3, GATHER)
    gather_warp = gl.arange(0, WARPS, layout=gl.SliceLayout(1, gl.SliceLayout(2, ROWS)))[:, None, None, None]
    gather_lane = gl.arange(0, 32, layout=gl.SliceLayout(0, gl.SliceLayout(2, ROWS)))[None, :, None, None]
    lower = gl.arange(0, 2, layout=gl.SliceLayout(0, gl.SliceLayout(1, ROWS)))[None, None, :, None]
    second = gl.arange(0, 2, layout=gl.SliceLayout(0, gl.SliceLayout(1, gl.SliceLayout(2, GATHER))))
    second = second[None, None, None, :]
    gather_tile = (program_m * WARPS_M + gather_warp // WARPS_N) * TILES_M
    # Only whole images can pass 2**31 words, see `window_over`.
    STEP: gl.constexpr = 2 if PAIRS else 1
    image_words = height * width * words * STEP
    corners: gl.tuple = ()
    first_ys: gl.tuple = ()
    first_xs: gl.tuple = ()
    for i in gl.static_range(TILES_M):
        row = gl.minimum((gather_tile + i) * 16 + gather_lane // 4 + lower * 8, m - 1)
        # Unsigned division takes fewer instructions.
        image = gl.cast(gl.cast(row, gl.uint32) // gl.cast(positions, gl.uint32), gl.int32)
        position = row - image * positions
        y = gl.cast(gl.cast(position, gl.uint32) // gl.cast(out_width, gl.uint32), gl.int32)
        first_y = y * stride_h - pad_h
        first_x = (position - y * out_width) * stride_w - pad_w
        corner = images + gl.cast(image, gl.int64) * image_words
        corners = corners + (corner + (first_y * width + first_x) * words * STEP,)
        first_ys = first_ys + (first_y,)
        first_xs = first_xs + (first_x,)
    tap = gather_lane % 4 * 2
    tap_count = blocks * 8
    p_tiles: gl.tuple = ()
    q_tiles: gl.tuple = ()
    for j in gl.static_range(TILES_N):
        tile = gl.cast(gl.minimum(tile_n + j, tiles_n - 1), gl.int64)
        p_tiles = p_tiles + (filters + tile * blocks * 128 + (lane * 4 + register),)
        q_tiles = q_tiles + (filters + (tiles_n + tile) * blocks * 128 + (lane * 4 + register),)

    sums: gl.tuple = ()
    for _ in gl.static_range(TILES_M * TILES_N * 2):
        sums = sums + (gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT),)
    counts: gl.tuple = ()
    for _ in gl.static_range(TILES_M):
        counts = counts + (gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT),)
    # The next block's words are on their way while this one's are multiplied; after the last, the last again.
    a_words = gather_tiles(
        *(corners, first_ys, first_xs, taps, tap, second, tap_count, height, width, words),
        *(FRAGMENT, TILES_M, PAIRS, PAD_ONES),
    )
    for block in range(0, blocks):
        following = gl.minimum(block + 1, blocks - 1) * 8
        p_words = load_tiles(p_tiles, block * 128, TILES_N)
        next_words = gather_tiles(
            *(corners, first_ys, first_xs, taps + following, tap, second, tap_count, height, width, words),
            *(FRAGMENT, TILES_M, PAIRS, PAD_ONES),
        )
        added: gl.tuple = ()
        for i in gl.static_range(TILES_M):
            for j in gl.static_range(TILES_N):
                added = added + multiply_accumulate(
                    a_words[i], p_words[j], sums[(i * TILES_N + j) * 2], sums[(i * TILES_N + j) * 2 + 1]
                )
        sums = added
        if not BINARY:
            q_words = load_tiles(q_tiles, block * 128, TILES_N)
            more: gl.tuple = ()
            for i in gl.static_range(TILES_M):
                for j in gl.static_range(TILES_N):
                    more = more + multiply_accumulate(
                        a_words[i], q_words[j], sums[(i * TILES_N + j) * 2], sums[(i * TILES_N + j) * 2 + 1]
                    )
            sums = more
        ones: gl.tuple = ()
        for i in gl.static_range(TILES_M):
            ones = ones + (add_row_popcounts(a_words[i], counts[i]),)
        counts = ones
        a_words = next_words

    # Of sums, thread 4g + t holds rows g and g + 8 (registers 0, 1 and 2, 3), columns 2t and 2t + 1.
    SCALE: gl.constexpr = 2 if BINARY else 1
    column_in_tile = lane % 4 * 2 + register % 2
    if THRESHOLD:
        # A word of output is 32 columns: two tiles of two halves. A thread has 8 of its bits in each of two rows; the
        # four threads of a g, and a thread's two columns, hold disjoint bits, so XOR over those axes joins them.
        GROUPS: gl.constexpr = gl.BlockedLayout([1, 1, 1, 2, 2], [1, 8, 4, 1, 1], [WARPS, 1, 1, 1, 1], [4, 3, 2, 1, 0])
        WORDS: gl.constexpr = gl.SliceLayout(2, gl.SliceLayout(4, GROUPS))
        word_warp = gl.arange(0, WARPS, layout=gl.SliceLayout(1, gl.SliceLayout(2, WORDS)))[:, None, None]
        group = gl.arange(0, 8, layout=gl.SliceLayout(0, gl.SliceLayout(2, WORDS)))[None, :, None]
        half = gl.arange(0, 2, layout=gl.SliceLayout(0, gl.SliceLayout(1, WORDS)))[None, None, :]
        first_row = (program_m * WARPS_M + word_warp // WARPS_N) * (TILES_M * 16) + group + half * 8
        first_word = (program_n * WARPS_N + word_warp % WARPS_N) * (TILES_N // 2)
        out_words = gl.cdiv(n, 32)
        UNREACHED: gl.constexpr = 2**31 - 1
        for pair in gl.static_range(TILES_N // 2):
            # What is the same in all rows comes once; columns past the last have a limit that no sum reaches.
            column = (tile_n + pair * 2) * 16 + column_in_tile
            flipped = gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT)
            column_limits: gl.tuple = ()
            for quarter in gl.static_range(4):
                inside = column + quarter * 8 < n
                flipped = flipped | (gl.load(flips + column + quarter * 8, mask=inside, other=0) << (quarter * 8))
                if not POSITIONS:
                    limit = gl.load(limits + column + quarter * 8, mask=inside, other=UNREACHED)
                    column_limits = column_limits + (limit,)
            for i in gl.static_range(TILES_M):
                bits = flipped
                for quarter in gl.static_range(4):
                    if POSITIONS:
                        row = (tile_m + i) * 16 + lane // 4 + register // 2 * 8
                        inside = (column + quarter * 8 < n) & (row < m)
                        at = gl.cast(row % positions, gl.int64) * n + (column + quarter * 8)
                        limit = gl.load(limits + at, mask=inside, other=UNREACHED)
                    else:
                        limit = column_limits[quarter]
                    value = SCALE * sums[(i * TILES_N + pair * 2) * 2 + quarter] - counts[i]
                    bits = bits ^ (gl.cast(value >= limit, gl.int32) << (quarter * 8))
                bits = bits << column_in_tile
                grouped = gl.convert_layout(gl.reshape(bits, [WARPS, 8, 4, 2, 2]), GROUPS, assert_trivial=True)
                packed = gl.xor_sum(gl.xor_sum(grouped, axis=4), axis=2)
                word_row = first_row + i * 16
                word = first_word + pair
                place = out + gl.cast(word_row, gl.int64) * out_words + word
                gl.store(place, packed, mask=(word_row < m) & (word < out_words))
    else:
        for i in gl.static_range(TILES_M):
            row = (tile_m + i) * 16 + lane // 4 + register // 2 * 8
            for j in gl.static_range(TILES_N):
                for part in gl.static_range(2):
                    column = (tile_n + j) * 16 + part * 8 + column_in_tile
                    value = SCALE * sums[(i * TILES_N + j) * 2 + part] - counts[i]
                    inside = (row < m) & (column < n)
                    if BIPOLAR:
                        at = gl.cast(row % positions, gl.int64) * n + column if POSITIONS else column
                        value = 2 * value - gl.load(counted + at, mask=inside, other=0)
                    gl.store(out + gl.cast(row, gl.int64) * n + column, value, mask=inside)


def conv_tensor_core(
    images: PackedImages,
    filters: TernaryFilters,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    out: torch.Tensor | None = None,
    configuration: Configuration = CONFIGURATIONS[1],
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sums int32[N, H', W', outputs], in ``out`` if given; with ``counted`` as in `ternary_conv`. ValueError if
    anything does not fit."""
    window = window_over(images, filters, stride, padding)
    sums = sums_of(images, filters, window, out, counted)
    _launch(images, filters, window, sums, None, counted, configuration)
    return sums


def conv_tensor_core_threshold(
    images: PackedImages,
    filters: TernaryFilters,
    thresholds: PositionThresholds,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    out: PackedImages | None = None,
    configuration: Configuration = CONFIGURATIONS[1],
) -> PackedImages:
    """Images of ``(sum >= limit) xor flip``, in ``out`` if given; ValueError if anything does not fit."""
    window = window_over(images, filters, stride, padding)
    bits = bits_of(images, filters, window, thresholds, out)
    _launch(images, filters, window, bits.words, thresholds, None, configuration)
    return bits


def _launch(
    images: PackedImages,
    filters: TernaryFilters,
    window: Window,
    out: torch.Tensor,
    thresholds: PositionThresholds | None,
    counted: torch.Tensor | None,
    configuration: Configuration,
) -> None:
    rows = images.count * window.positions
    words = images.words.shape[-1]
    pairs = words % 2 == 0
    c = configuration
    conv_tensor_core_kernel[(-(-rows // c.rows) * -(-filters.outputs // c.columns),)](
        images.words,
        filters.fragments,
        filters.taps,
        out,
        None if thresholds is None else thresholds.limits,
        None if thresholds is None else thresholds.flips,
        counted,
        rows,
        filters.outputs,
        filters.fragments.shape[2],
        images.height,
        images.width,
        words // 2 if pairs else words,
        window.height,
        window.width,
        *window.stride,
        window.padding.vertical,
        window.padding.horizontal,
        WARPS_M=c.warps_m,
        WARPS_N=c.warps_n,
        TILES_M=c.tiles_m,
        TILES_N=c.tiles_n,
        BINARY=filters.binary,
        PAIRS=pairs,
        PAD_ONES=window.padding.bit == 1,
        THRESHOLD=thresholds is not None,
        BIPOLAR=counted is not None,
        POSITIONS=by_position(thresholds, counted),
        num_warps=c.warps,
    )
