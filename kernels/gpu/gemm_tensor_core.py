"""Binary GEMM on 1-bit tensor cores: ``C[m, n] = sum_k a[m, k] * b[n, k]`` of +-1 values, exact in int32.

Compute capabilities 8.0 to 9.0 execute ``mma.m16n8k256`` on bits with AND and a population count; the XOR form that
would fit +-1 directly is emulated from Hopper on. AND is enough: with ra and rb the operands' row popcounts, ``C = K -
2 (ra + rb) + 4 popcount(a & b)``, and zeros that pad K add nothing. A warp keeps a tile of sums in registers and loads
operands in fragment order, 512 contiguous bytes at a time, with no shared memory between. Triton's `tl` leaves register
layouts to its compiler, so this kernel is in Gluon, where ``BlockedLayout`` says which thread holds what, and the
instruction comes in by inline assembly. Ordering of tiles: groups of rows, so that running programs share operands in
L2 (Triton's matrix multiplication tutorial).

The threshold variant shares the loop and ends differently: sums become bits ``(sum >= limit) xor flip``, the next
layer's packed rows, and int32 sums never reach memory. Oracles: `gemm_oracle`; the kernel itself is executed on NumPy
by the tests, with `fragments.multiply_accumulate` as the instruction. It has not run on a GPU yet.

Source: PTX ISA 8.x, "mma" and "Matrix Fragments for mma.m16n8k256"; the AND form is that of Li and Su, "Accelerating
Binarized Neural Networks via Bit-Tensor-Cores in Turing GPUs", IEEE TPDS 2021, for Ampere's instruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.gemm_oracle import check_operands, check_thresholds, output_sums
from bnnhw.kernels.gpu.packed_tensor import FRAGMENT_ROWS, Layout, PackedTensor, fragment_shape, word_count
from bnnhw.kernels.gpu.popcount import popcount_gluon


@dataclass(frozen=True)
class Configuration:
    """A program's tile: warps_m x warps_n warps, each with tiles_m x tiles_n tiles of 16 x 16 sums.

    tiles_n is even, so that a warp's columns fill whole words of packed output. group_m: how many tiles below each
    other are computed before the next ones to the right.
    """

    warps_m: int
    warps_n: int
    tiles_m: int
    tiles_n: int
    group_m: int = 8

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
    Configuration(2, 2, 2, 2),
    Configuration(2, 2, 4, 2),
    Configuration(2, 2, 4, 4),
    Configuration(2, 4, 4, 4),
)
"""64 x 64, 128 x 64, 128 x 128 and 128 x 256: from the most programs to the fewest loads."""

_TWO_PRODUCTS: gl.constexpr = gl.constexpr("""{
mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {$0,$1,$2,$3}, {$8,$9,$10,$11}, {$12,$13}, {$16,$17,$18,$19};
mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {$4,$5,$6,$7}, {$8,$9,$10,$11}, {$14,$15}, {$20,$21,$22,$23};
}""")
_REGISTERS: gl.constexpr = gl.constexpr(",".join(["=r"] * 8 + ["r"] * 16))


@gluon.jit
def multiply_accumulate(a: gl.tensor, b: gl.tensor, left: gl.tensor, right: gl.tensor) -> gl.tensor:
    """16 rows times 2 x 8 columns over 256 bits: one fragment of each operand, two of sums, [warps, 32, 4] each."""
    return gl.inline_asm_elementwise(
        _TWO_PRODUCTS, _REGISTERS, [a, b, left, right], dtype=(gl.int32, gl.int32), is_pure=True, pack=4
    )


@gluon.jit
def load_tiles(tiles: gl.tuple, offset: gl.tensor, COUNT: gl.constexpr) -> gl.tuple:
    """The fragments at ``offset`` words from each of COUNT tiles of pointers."""
    words: gl.tuple = ()
    for i in gl.static_range(COUNT):
        words = words + (gl.load(tiles[i] + offset),)
    return words


@gluon.jit
def gemm_tensor_core_kernel(
    a: gl.tensor,  # int32 A fragments [ceil(m / 16), blocks, 32, 4]
    b: gl.tensor,  # int32 B fragments [ceil(n / 16), blocks, 32, 4]
    a_popcounts: gl.tensor,  # int32[m]
    b_popcounts: gl.tensor,  # int32[n]
    out: gl.tensor,  # int32 sums [m, n]; with THRESHOLD words [m, ceil(n / 32)], or A fragments, zero where they pad
    limits: gl.tensor,  # int32[n] with THRESHOLD, else None
    flips: gl.tensor,  # int32[n] with THRESHOLD, else None
    out_popcounts: gl.tensor,  # int32[m] of zeros with THRESHOLD, else None
    m: gl.tensor,
    n: gl.tensor,
    count: gl.tensor,
    blocks: gl.tensor,  # ceil(count / 256)
    out_stride: gl.tensor,  # from a row of `out` to the next, or from a tile of fragments to the next
    WARPS_M: gl.constexpr,
    WARPS_N: gl.constexpr,
    TILES_M: gl.constexpr,
    TILES_N: gl.constexpr,
    GROUP_M: gl.constexpr,
    THRESHOLD: gl.constexpr,
    FRAGMENTS: gl.constexpr,
) -> None:
    WARPS: gl.constexpr = WARPS_M * WARPS_N
    # One fragment a warp: axes are warp, thread of the warp, and the four registers of a thread.
    FRAGMENT: gl.constexpr = gl.BlockedLayout([1, 1, 4], [1, 32, 1], [WARPS, 1, 1], [2, 1, 0])
    warp = gl.arange(0, WARPS, layout=gl.SliceLayout(1, gl.SliceLayout(2, FRAGMENT)))[:, None, None]
    lane = gl.arange(0, 32, layout=gl.SliceLayout(0, gl.SliceLayout(2, FRAGMENT)))[None, :, None]
    register = gl.arange(0, 4, layout=gl.SliceLayout(0, gl.SliceLayout(1, FRAGMENT)))[None, None, :]

    programs_m = gl.cdiv(m, WARPS_M * TILES_M * 16)
    programs_n = gl.cdiv(n, WARPS_N * TILES_N * 16)
    in_group = gl.program_id(0) % (GROUP_M * programs_n)
    first = gl.program_id(0) // (GROUP_M * programs_n) * GROUP_M
    height = gl.minimum(programs_m - first, GROUP_M)
    program_m = first + in_group % height
    program_n = in_group // height
    tile_m = (program_m * WARPS_M + warp // WARPS_N) * TILES_M
    tile_n = (program_n * WARPS_N + warp % WARPS_N) * TILES_N

    # Tiles past the edge read the last one instead; what they compute is not stored. Offsets of tiles can pass 2**31.
    a_tiles: gl.tuple = ()
    for i in gl.static_range(TILES_M):
        tile = gl.minimum(tile_m + i, gl.cdiv(m, 16) - 1)
        a_tiles = a_tiles + (a + gl.cast(tile, gl.int64) * blocks * 128 + (lane * 4 + register),)
    b_tiles: gl.tuple = ()
    for j in gl.static_range(TILES_N):
        tile = gl.minimum(tile_n + j, gl.cdiv(n, 16) - 1)
        b_tiles = b_tiles + (b + gl.cast(tile, gl.int64) * blocks * 128 + (lane * 4 + register),)

    # The next block's words are on their way while this one's are multiplied; after the last, the last again.
    a_words = load_tiles(a_tiles, 0, TILES_M)
    b_words = load_tiles(b_tiles, 0, TILES_N)
    sums: gl.tuple = ()
    for _ in gl.static_range(TILES_M * TILES_N * 2):
        sums = sums + (gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT),)
    for block in range(0, blocks):
        following = gl.minimum(block + 1, blocks - 1) * 128
        next_a_words = load_tiles(a_tiles, following, TILES_M)
        next_b_words = load_tiles(b_tiles, following, TILES_N)
        added: gl.tuple = ()
        for i in gl.static_range(TILES_M):
            for j in gl.static_range(TILES_N):
                added = added + multiply_accumulate(
                    a_words[i], b_words[j], sums[(i * TILES_N + j) * 2], sums[(i * TILES_N + j) * 2 + 1]
                )
        sums = added
        a_words = next_a_words
        b_words = next_b_words

    # Thread 4g + t holds rows g and g + 8 (registers 0, 1 and 2, 3), columns 2t and 2t + 1.
    column_in_tile = lane % 4 * 2 + register % 2
    rows: gl.tuple = ()
    row_terms: gl.tuple = ()
    for i in gl.static_range(TILES_M):
        row = (tile_m + i) * 16 + lane // 4 + register // 2 * 8
        rows = rows + (row,)
        row_terms = row_terms + (2 * gl.load(a_popcounts + row, mask=row < m, other=0),)
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
        ones: gl.tuple = ()
        for _ in gl.static_range(TILES_M):
            ones = ones + (gl.zeros([WARPS, 8, 2], gl.int32, layout=WORDS),)
        for pair in gl.static_range(TILES_N // 2):
            column_terms: gl.tuple = ()
            column_limits: gl.tuple = ()
            flipped = gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT)
            used = gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT)
            for quarter in gl.static_range(4):
                column = (tile_n + pair * 2) * 16 + quarter * 8 + column_in_tile
                inside = column < n
                column_terms = column_terms + (count - 2 * gl.load(b_popcounts + column, mask=inside, other=0),)
                column_limits = column_limits + (gl.load(limits + column, mask=inside, other=0),)
                flipped = flipped | (gl.load(flips + column, mask=inside, other=0) << (quarter * 8))
                used = used | (gl.cast(inside, gl.int32) << (quarter * 8))
            counted: gl.tuple = ()
            for i in gl.static_range(TILES_M):
                bits = gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT)
                for quarter in gl.static_range(4):
                    both = sums[(i * TILES_N + pair * 2) * 2 + quarter]
                    reached = column_terms[quarter] - row_terms[i] + 4 * both >= column_limits[quarter]
                    bits = bits | (gl.cast(reached, gl.int32) << (quarter * 8))
                bits = ((bits ^ flipped) & used) << column_in_tile
                grouped = gl.convert_layout(gl.reshape(bits, [WARPS, 8, 4, 2, 2]), GROUPS, assert_trivial=True)
                words = gl.xor_sum(gl.xor_sum(grouped, axis=4), axis=2)
                word_row = first_row + i * 16
                word = first_word + pair
                if FRAGMENTS:
                    place = out + gl.cast(word_row // 16, gl.int64) * out_stride
                    place += word // 8 * 128 + (group * 4 + word % 4) * 4 + (half + word % 8 // 4 * 2)
                else:
                    place = out + gl.cast(word_row, gl.int64) * out_stride + word
                gl.store(place, words, mask=(word_row < m) & (word * 32 < n))
                counted = counted + (
                    ones[i] + gl.cast(popcount_gluon(gl.cast(words, gl.uint32, bitcast=True)), gl.int32),
                )
            ones = counted
        for i in gl.static_range(TILES_M):
            # Integer addition: the order in which programs come does not matter.
            gl.atomic_add(out_popcounts + first_row + i * 16, ones[i], mask=first_row + i * 16 < m, sem="relaxed")
    else:
        for j in gl.static_range(TILES_N):
            for half in gl.static_range(2):
                column = (tile_n + j) * 16 + half * 8 + column_in_tile
                column_term = count - 2 * gl.load(b_popcounts + column, mask=column < n, other=0)
                for i in gl.static_range(TILES_M):
                    value = column_term - row_terms[i] + 4 * sums[(i * TILES_N + j) * 2 + half]
                    place = out + gl.cast(rows[i], gl.int64) * out_stride + column
                    gl.store(place, value, mask=(rows[i] < m) & (column < n))


def gemm_tensor_core(
    a: PackedTensor,
    b: PackedTensor,
    out: torch.Tensor | None = None,
    configuration: Configuration = CONFIGURATIONS[2],
) -> torch.Tensor:
    """Sums int32[M, N] of a [M] and b [N], in ``out`` if given; operands that are not in fragments are relaid first.

    ValueError if counts, devices or ``out`` do not fit.
    """
    check_operands(a, b)
    sums = output_sums(a, b, out)
    _launch(a, b, sums, None, None, configuration)
    return sums


def gemm_tensor_core_threshold(
    a: PackedTensor,
    b: PackedTensor,
    thresholds: ColumnThresholds,
    configuration: Configuration = CONFIGURATIONS[2],
    layout: Layout = Layout.ROWS,
) -> PackedTensor:
    """M rows of N bits, ``(sum >= limit) xor flip`` of `gemm_tensor_core`'s sums, as rows or as A fragments.

    The latter are what this kernel reads as the next layer's a. ValueError if shapes do not fit or for B fragments.
    """
    check_operands(a, b)
    check_thresholds(b, thresholds)
    if layout is Layout.ROWS:
        words = torch.empty(a.rows, word_count(b.rows), dtype=torch.int32, device=a.device)
    elif layout is Layout.A_FRAGMENTS:
        words = torch.zeros(fragment_shape(a.rows, b.rows), dtype=torch.int32, device=a.device)
    else:
        raise ValueError(f"bits are made as rows or A fragments, not as {layout.value}")
    popcounts = torch.zeros(a.rows, dtype=torch.int32, device=a.device)
    _launch(a, b, words, thresholds, popcounts, configuration)
    return PackedTensor(words, popcounts, a.rows, b.rows, layout)


def _launch(
    a: PackedTensor,
    b: PackedTensor,
    out: torch.Tensor,
    thresholds: ColumnThresholds | None,
    popcounts: torch.Tensor | None,
    configuration: Configuration,
) -> None:
    left, right = a.relayout(Layout.A_FRAGMENTS), b.relayout(Layout.B_FRAGMENTS)
    programs = -(-a.rows // configuration.rows) * -(-b.rows // configuration.columns)
    gemm_tensor_core_kernel[(programs,)](
        left.words,
        right.words,
        left.popcounts,
        right.popcounts,
        out,
        None if thresholds is None else thresholds.limits,
        None if thresholds is None else thresholds.flips,
        popcounts,
        a.rows,
        b.rows,
        a.count,
        fragment_shape(a.rows, a.count)[1],
        out.stride(0),
        WARPS_M=configuration.warps_m,
        WARPS_N=configuration.warps_n,
        TILES_M=configuration.tiles_m,
        TILES_N=configuration.tiles_n,
        GROUP_M=configuration.group_m,
        THRESHOLD=thresholds is not None,
        FRAGMENTS=out.ndim == 4,
        num_warps=configuration.warps,
    )
