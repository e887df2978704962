"""Compile the kernels for a GPU that is not there, and count the instructions that came out.

A kernel's speed stands and falls with a few facts that its machine code shows: the matrix instruction is the one meant
and native, nothing spilled to memory, registers leave room for enough warps. Triton compiles for any target without a
driver, and its wheel brings NVIDIA's disassemblers, so these facts are tests that run anywhere. Sources: Triton's
`triton.compile` and `GPUTarget`; CUDA Binary Utilities (nvdisasm, cuobjdump); LLVM's AMDGPU user guide (metadata keys).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.experimental.gluon._runtime import GluonASTSource

from bnnhw.kernels.gpu.batch_norm_statistics import COLUMNS as BATCH_NORM_STATISTICS_COLUMNS
from bnnhw.kernels.gpu.batch_norm_statistics import ROWS as BATCH_NORM_STATISTICS_ROWS
from bnnhw.kernels.gpu.batch_norm_statistics import WARPS as BATCH_NORM_STATISTICS_WARPS
from bnnhw.kernels.gpu.batch_norm_statistics import batch_norm_statistics_kernel
from bnnhw.kernels.gpu.conv_popcount import CONFIGURATIONS as CONV_POPCOUNT
from bnnhw.kernels.gpu.conv_popcount import conv_popcount_kernel
from bnnhw.kernels.gpu.conv_tensor_core import CONFIGURATIONS as CONV_TENSOR_CORE
from bnnhw.kernels.gpu.conv_tensor_core import conv_tensor_core_kernel
from bnnhw.kernels.gpu.conv_weight_gradient import OUTPUTS as CONV_WEIGHT_GRADIENT_OUTPUTS
from bnnhw.kernels.gpu.conv_weight_gradient import ROWS as CONV_WEIGHT_GRADIENT_ROWS
from bnnhw.kernels.gpu.conv_weight_gradient import WARPS as CONV_WEIGHT_GRADIENT_WARPS
from bnnhw.kernels.gpu.conv_weight_gradient import WORDS as CONV_WEIGHT_GRADIENT_WORDS
from bnnhw.kernels.gpu.conv_weight_gradient import conv_weight_gradient_kernel
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8_kernel
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount_kernel
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core_kernel
from bnnhw.kernels.gpu.gemv import CONFIGURATIONS as GEMV
from bnnhw.kernels.gpu.gemv import gemv_kernel
from bnnhw.kernels.gpu.max_pool import WARPS as MAX_POOL_WARPS
from bnnhw.kernels.gpu.max_pool import WORDS as MAX_POOL_WORDS
from bnnhw.kernels.gpu.max_pool import max_pool_kernel
from bnnhw.kernels.gpu.norm_backward import COLUMNS as NORM_BACKWARD_COLUMNS
from bnnhw.kernels.gpu.norm_backward import ROWS as NORM_BACKWARD_ROWS
from bnnhw.kernels.gpu.norm_backward import WARPS as NORM_BACKWARD_WARPS
from bnnhw.kernels.gpu.norm_backward import norm_backward_kernel, norm_backward_sums_kernel
from bnnhw.kernels.gpu.pack_sign import ROWS, STEP, WARPS, pack_sign_kernel
from bnnhw.kernels.gpu.pack_threshold import COLUMNS as PACK_THRESHOLD_COLUMNS
from bnnhw.kernels.gpu.pack_threshold import ROWS as PACK_THRESHOLD_ROWS
from bnnhw.kernels.gpu.pack_threshold import WARPS as PACK_THRESHOLD_WARPS
from bnnhw.kernels.gpu.pack_threshold import pack_threshold_kernel
from bnnhw.kernels.gpu.quantize_pack import CHUNK as QUANTIZE_PACK_CHUNK
from bnnhw.kernels.gpu.quantize_pack import PIXELS as QUANTIZE_PACK_PIXELS
from bnnhw.kernels.gpu.quantize_pack import WARPS as QUANTIZE_PACK_WARPS
from bnnhw.kernels.gpu.quantize_pack import quantize_pack_kernel
from bnnhw.kernels.gpu.scores_argmax import WARPS as SCORES_ARGMAX_WARPS
from bnnhw.kernels.gpu.scores_argmax import scores_argmax_kernel

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
"""A100, H100 and H200, B200, MI300."""

ALIGNED = [["tt.divisibility", 16]]
"""What the launcher finds out of an argument divisible by 16, and specialises on; addresses of tensors are."""


@dataclass(frozen=True)
class Variant:
    """A kernel in one of the forms that are launched.

    arguments: the types of the arguments that are passed; every other one is in ``constants``. multiples_of_16: integer
    arguments that are compiled as such, in addition to all pointers.
    """

    name: str
    kernel: Any
    arguments: Mapping[str, str]
    constants: Mapping[str, Any]
    warps: int
    multiples_of_16: tuple[str, ...] = ()

    def compile(self, target: str) -> Any:
        """Triton's compiled kernel for one of TARGETS, its stages in ``asm``."""
        names: list[str] = self.kernel.arg_names
        missing = set(names) ^ (set(self.arguments) | set(self.constants))
        if missing:
            raise ValueError(f"{self.name}: arguments {sorted(missing)} are neither typed nor constant, or unknown")
        signature = {name: self.arguments.get(name, "constexpr") for name in names}
        aligned = [n for n, kind in self.arguments.items() if kind.startswith("*") or n in self.multiples_of_16]
        source = (GluonASTSource if self.kernel.is_gluon() else ASTSource)(
            self.kernel, signature, dict(self.constants), {(names.index(name),): ALIGNED for name in aligned}
        )
        return triton.compile(source, target=TARGETS[target], options={"num_warps": self.warps})


@dataclass(frozen=True)
class Census:
    """What a compiled kernel consists of. registers: per thread (vector registers on AMD). Bytes are per thread, shared
    ones per program. opcodes: how often each instruction occurs, without its modifiers; loops: the same for each loop,
    in order of its last instruction, so inner before outer (NVIDIA only)."""

    registers: int
    stack_bytes: int
    spilled_bytes: int
    shared_bytes: int
    opcodes: Counter[str] = field(repr=False)
    loops: tuple[Counter[str], ...] = field(repr=False, default=())

    def loop_with(self, opcode: str) -> Counter[str]:
        """The loop in which ``opcode`` occurs most; of equals, the shortest. ValueError if it is in none."""
        candidates = [loop for loop in self.loops if loop[opcode]]
        if not candidates:
            raise ValueError(f"no loop has {opcode}")
        return max(candidates, key=lambda loop: (loop[opcode], -loop.total()))


def census(variant: Variant, target: str) -> Census:
    """Compile ``variant`` for ``target`` and count; RuntimeError if the disassembler's output is not understood."""
    compiled = variant.compile(target)
    if TARGETS[target].backend == "hip":
        return _amd_census(compiled.asm["amdgcn"], compiled.metadata.shared)
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "kernel.cubin")
        binary.write_bytes(compiled.asm["cubin"])
        usage = _run(triton.knobs.nvidia.cuobjdump.path, "-res-usage", str(binary))
        listing = _run(triton.knobs.nvidia.nvdisasm.path, "-c", str(binary))
    resources = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
    if resources is None:
        raise RuntimeError(f"cuobjdump says nothing of registers: {usage!r}")
    opcodes, loops = _nvidia_instructions(listing)
    registers, stack, local = (int(number) for number in resources.groups())
    return Census(registers, stack, local, compiled.metadata.shared, opcodes, loops)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


_LABEL = re.compile(r"^(\.L\w+):")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)")
_JUMP = re.compile(r"\bBRA\b.*`\((\.L\w+)\)")


def _nvidia_instructions(listing: str) -> tuple[Counter[str], tuple[Counter[str], ...]]:
    opcodes: list[str] = []
    starts: dict[str, int] = {}
    loops = []
    for line in listing.splitlines():
        if label := _LABEL.match(line):
            starts[label[1]] = len(opcodes)
        elif instruction := _INSTRUCTION.match(line):
            jump = _JUMP.search(line)
            # A jump back is a loop, but for the kernel's end, where an instruction jumps to itself.
            if jump and starts.get(jump[1], len(opcodes)) < len(opcodes):
                loops.append(Counter([*opcodes[starts[jump[1]] :], "BRA"]))
            opcodes.append(instruction[1])
    if not opcodes:
        raise RuntimeError(f"nvdisasm lists no instructions: {listing[:200]!r}")
    return Counter(opcodes), tuple(loops)


def _amd_census(listing: str, shared: int) -> Census:
    def metadata(key: str) -> int:
        found = re.search(rf"^\s*\.{key}:\s+(\d+)", listing, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"the assembly has no .{key}")
        return int(found[1])

    return Census(
        registers=metadata("vgpr_count"),
        stack_bytes=metadata("private_segment_fixed_size"),
        spilled_bytes=4 * (metadata("vgpr_spill_count") + metadata("sgpr_spill_count")),
        shared_bytes=shared,
        opcodes=Counter(re.findall(r"^\s+([sv]_\w+|global_\w+|buffer_\w+|ds_\w+)", listing, re.MULTILINE)),
    )


def tensor_core_variants() -> tuple[Variant, ...]:
    """Every configuration of `gemm_tensor_core`, for sums, for bits in rows and for bits in fragments."""
    variants = []
    for c in TENSOR_CORE:
        for threshold, fragments in ((False, False), (True, False), (True, True)):
            constants = {
                "WARPS_M": c.warps_m,
                "WARPS_N": c.warps_n,
                "TILES_M": c.tiles_m,
                "TILES_N": c.tiles_n,
                "GROUP_M": c.group_m,
                "FRAGMENTS": fragments,
            }
            name = f"{c.rows}x{c.columns}{' to fragments' * fragments}"
            arguments = {"a_popcounts": "*i32", "b_popcounts": "*i32", "blocks": "i32"}
            variants.append(_gemm(gemm_tensor_core_kernel, name, arguments, constants, c.warps, threshold))
    return tuple(variants)


CONV_INTEGERS = (
    "m",
    "n",
    "height",
    "width",
    "words",
    "out_height",
    "out_width",
    "stride_h",
    "stride_w",
    "pad_h",
    "pad_w",
)
CONV_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()),
    (" of -1 and +1 by position", ("BIPOLAR", "POSITIONS")),
    ("_threshold", ("THRESHOLD",)),
    ("_threshold binary", ("THRESHOLD", "BINARY")),
    ("_threshold by position, padded with ones", ("THRESHOLD", "POSITIONS", "PAD_ONES")),
)


def conv_tensor_core_variants() -> tuple[Variant, ...]:
    """Every configuration of `conv_tensor_core`: sums of ternary weights, sums of -1 and +1, bits of ternary and of
    binary weights, and bits by position with ones around the image; of pixels with an even number of words, and bits
    with one number of limits also with an odd one."""
    odd = tuple((f"{form}, odd words", set_) for form, set_ in CONV_FORMS[2:4])
    return tuple(
        _conv(
            conv_tensor_core_kernel,
            f"{form} {c.rows}x{c.columns}",
            ("filters", "taps"),
            ("blocks",),
            {"WARPS_M": c.warps_m, "WARPS_N": c.warps_n, "TILES_M": c.tiles_m, "TILES_N": c.tiles_n}
            | {"PAIRS": "odd" not in form},
            c.warps,
            set_,
        )
        for c in CONV_TENSOR_CORE
        for form, set_ in (*CONV_FORMS, *odd)
    )


def conv_popcount_variants() -> tuple[Variant, ...]:
    """Every configuration of `conv_popcount`, in the forms of `conv_tensor_core_variants`."""
    return tuple(
        _conv(
            conv_popcount_kernel,
            f"{form} {c.rows}x{c.columns}",
            ("planes", *(("pads",) if "PAD_ONES" in set_ else ())),
            ("kernel_h", "kernel_w"),
            {"ROWS": c.rows, "COLUMNS": c.columns} | ({} if "PAD_ONES" in set_ else {"pads": None}),
            c.warps,
            set_,
        )
        for c in CONV_POPCOUNT
        for form, set_ in CONV_FORMS
    )


def _conv(
    kernel: Any,
    name: str,
    pointers: tuple[str, ...],
    integers: tuple[str, ...],
    constants: Mapping[str, Any],
    warps: int,
    flags: tuple[str, ...],
) -> Variant:
    """What the kernels of convolutions have in common: images, output, sizes, and what only some forms need."""
    needed = {"limits": "THRESHOLD", "flips": "THRESHOLD", "counted": "BIPOLAR"}
    given = ("images", "out", *pointers, *(pointer for pointer, flag in needed.items() if flag in flags))
    names = ("BINARY", "PAD_ONES", "THRESHOLD", "BIPOLAR", "POSITIONS")
    return Variant(
        f"{kernel.fn.__name__.removesuffix('_kernel')}{name}",
        kernel,
        dict.fromkeys(given, "*i32") | dict.fromkeys((*CONV_INTEGERS, *integers), "i32"),
        {**constants, **dict.fromkeys(set(needed) - set(given)), **{flag: flag in flags for flag in names}},
        warps,
        ("n",),
    )


def quantize_pack_variants() -> tuple[Variant, ...]:
    """`quantize_pack` of bytes and of integers, with a bit a pixel, with some and with whole words."""
    integers = (
        *("count", "channels", "height", "width", "levels", "words"),
        *("level_stride", "channel_stride", "row_stride", "column_stride"),
    )
    return tuple(
        Variant(
            f"quantize_pack {kind} {bits} bits",
            quantize_pack_kernel,
            {"pixels": f"*{kind}", "thresholds": "*i32", "out": "*i32"} | dict.fromkeys(integers, "i32"),
            {"PIXELS": QUANTIZE_PACK_PIXELS, "BITS": bits, "CHUNK": min(bits, QUANTIZE_PACK_CHUNK)},
            QUANTIZE_PACK_WARPS,
        )
        for kind in ("u8", "i32")
        for bits in (1, 16, 32)
    )


def max_pool_variants() -> tuple[Variant, ...]:
    """`max_pool`."""
    sides = ("height", "width", "words", "out_height", "out_width", "kernel_h", "kernel_w", "stride_h", "stride_w")
    return (
        Variant(
            "max_pool",
            max_pool_kernel,
            dict.fromkeys(("images", "conjunctive", "out"), "*i32") | dict.fromkeys(("count", *sides), "i32"),
            {"WORDS": MAX_POOL_WORDS},
            MAX_POOL_WARPS,
        ),
    )


def scores_argmax_variants() -> tuple[Variant, ...]:
    """`scores_argmax` of 10 and of 1,000 classes, with ternary and binary weights."""
    return tuple(
        Variant(
            f"scores_argmax {classes} classes{' binary' * binary}",
            scores_argmax_kernel,
            dict.fromkeys(("images", "planes", "bias"), "*i32")
            | dict.fromkeys(("scores", "winners"), "*i64")
            | dict.fromkeys(("count", "classes", "taps", "shift"), "i32"),
            {"IMAGES": images, "CLASSES": classes, "BINARY": binary},
            SCORES_ARGMAX_WARPS,
        )
        for images, classes in ((32, 16), (2, 1024))
        for binary in (False, True)
    )


def batch_norm_statistics_variants() -> tuple[Variant, ...]:
    """`batch_norm_statistics`."""
    return (
        Variant(
            "batch_norm_statistics",
            batch_norm_statistics_kernel,
            {"accumulators": "*i32", "sums": "*i64"}
            | dict.fromkeys(("rows", "columns", "rows_each", "row_stride"), "i32"),
            {"ROWS": BATCH_NORM_STATISTICS_ROWS, "COLUMNS": BATCH_NORM_STATISTICS_COLUMNS},
            BATCH_NORM_STATISTICS_WARPS,
            ("columns", "rows_each", "row_stride"),
        ),
    )


def pack_threshold_variants() -> tuple[Variant, ...]:
    """`pack_threshold`."""
    return (
        Variant(
            "pack_threshold",
            pack_threshold_kernel,
            dict.fromkeys(("sums", "limits", "flips", "out", "out_popcounts"), "*i32")
            | dict.fromkeys(("rows", "columns", "row_stride", "out_stride"), "i32"),
            {"ROWS": PACK_THRESHOLD_ROWS, "COLUMNS": PACK_THRESHOLD_COLUMNS},
            PACK_THRESHOLD_WARPS,
            ("columns", "row_stride"),
        ),
    )


def norm_backward_variants() -> tuple[Variant, ...]:
    """Both passes of `norm_backward`."""
    floats = dict.fromkeys(("gradients", "mean", "inverse", "scale", "shift", "slope"), "*fp32")
    tile = {"ROWS": NORM_BACKWARD_ROWS, "COLUMNS": NORM_BACKWARD_COLUMNS}
    passes: tuple[tuple[str, Any, tuple[str, ...], tuple[str, ...]], ...] = (
        ("norm_backward_sums", norm_backward_sums_kernel, ("partial",), ("rows_each",)),
        ("norm_backward", norm_backward_kernel, ("means", "out"), ()),
    )
    return tuple(
        Variant(
            name,
            kernel,
            {"accumulators": "*i32"}
            | floats
            | dict.fromkeys(more, "*fp32")
            | dict.fromkeys(("rows", "columns", *integers), "i32"),
            tile,
            NORM_BACKWARD_WARPS,
            ("columns", *integers),
        )
        for name, kernel, more, integers in passes
    )


def conv_weight_gradient_variants() -> tuple[Variant, ...]:
    """`conv_weight_gradient` of each type of float."""
    integers = (*CONV_INTEGERS, "kernel_w", "taps", "rows_each")
    return tuple(
        Variant(
            f"conv_weight_gradient {kind}",
            conv_weight_gradient_kernel,
            {"images": "*i32", "gradients": f"*{kind}", "partial": "*fp32"} | dict.fromkeys(integers, "i32"),
            {
                "ROWS": CONV_WEIGHT_GRADIENT_ROWS,
                "OUTPUTS": CONV_WEIGHT_GRADIENT_OUTPUTS,
                "WORDS": CONV_WEIGHT_GRADIENT_WORDS,
            },
            CONV_WEIGHT_GRADIENT_WARPS,
            ("n", "rows_each"),
        )
        for kind in ("fp32", "fp16", "bf16")
    )


def popcount_variants() -> tuple[Variant, ...]:
    """Every configuration of `gemm_popcount`, for sums and for bits."""
    return tuple(
        _gemm(
            gemm_popcount_kernel,
            f"{c.rows}x{c.columns}",
            {"words": "i32"},
            {"ROWS": c.rows, "COLUMNS": c.columns},
            c.warps,
            threshold,
        )
        for c in POPCOUNT
        for threshold in (False, True)
    )


def int8_variants() -> tuple[Variant, ...]:
    """Every configuration of `gemm_int8`, for sums and for bits."""
    return tuple(
        _gemm(
            gemm_int8_kernel,
            f"{c.rows}x{c.columns}",
            {"a_popcounts": "*i32", "b_popcounts": "*i32", "words": "i32", "a_stride": "i32", "b_stride": "i32"},
            {"ROWS": c.rows, "COLUMNS": c.columns, "STEP": c.step},
            c.warps,
            threshold,
        )
        for c in INT8
        for threshold in (False, True)
    )


def gemv_variants() -> tuple[Variant, ...]:
    """Every configuration of `gemv`."""
    pointers = dict.fromkeys(("a", "b", "out"), "*i32")
    integers = dict.fromkeys(("m", "n", "count", "words", "words_each", "a_stride", "b_stride", "out_stride"), "i32")
    return tuple(
        Variant(
            f"gemv {c.rows}x{c.columns}",
            gemv_kernel,
            pointers | integers,
            {"ROWS": c.rows, "COLUMNS": c.columns, "STEP": c.step},
            c.warps,
            ("n", "words", "words_each", "a_stride", "b_stride", "out_stride"),
        )
        for c in GEMV
    )


def pack_sign_variants() -> tuple[Variant, ...]:
    """`pack_sign` of each type of float, with the clip mask and without."""
    integers = dict.fromkeys(("rows", "count", "words", "row_stride"), "i32")
    variants = []
    for kind in ("fp32", "fp16", "bf16"):
        for clip in (False, True):
            pointers = {"x": f"*{kind}"} | dict.fromkeys(("out", "out_popcounts"), "*i32")
            # The launcher makes a stride of 1 a constant, and so whole words are loaded at once.
            constants = {"column_stride": 1, "ROWS": ROWS, "STEP": STEP, "CLIP": clip}
            masks = ("clip", "clip_popcounts")
            variants.append(
                Variant(
                    f"pack_sign {kind}{' with clip mask' * clip}",
                    pack_sign_kernel,
                    pointers | integers | (dict.fromkeys(masks, "*i32") if clip else {}),
                    constants | ({} if clip else dict.fromkeys(masks)),
                    WARPS,
                    ("count", "words", "row_stride"),
                )
            )
    return tuple(variants)


def _gemm(
    kernel: Any, name: str, arguments: Mapping[str, str], constants: Mapping[str, Any], warps: int, threshold: bool
) -> Variant:
    """What the kernels of all matrix products have in common: operands, output, and what only bits need."""
    typed = dict.fromkeys(("a", "b", "out"), "*i32") | dict.fromkeys(("m", "n", "count", "out_stride"), "i32")
    only_for_bits = ("limits", "flips", "out_popcounts")
    return Variant(
        f"{kernel.fn.__name__.removesuffix('_kernel')}{'_threshold' * threshold} {name}",
        kernel,
        {**typed, **arguments, **(dict.fromkeys(only_for_bits, "*i32") if threshold else {})},
        {**constants, **({} if threshold else dict.fromkeys(only_for_bits)), "THRESHOLD": threshold},
        warps,
        # Typical shapes; K and the number of blocks or words are not taken to be multiples of anything.
        tuple(name for name in ("m", "n", "a_stride", "b_stride", "out_stride") if name in {**typed, **arguments}),
    )
