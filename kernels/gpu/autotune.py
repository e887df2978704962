"""Measure which kernel and tile is fastest for each shape on this GPU, and write them down as a table (`tuned`).

    python -m bnnhw.kernels.gpu.autotune --out kernels/gpu/tables/nvidia-h200.json

A candidate may win only after its result has been compared, bit for bit, with a product of plain integers: exactness is
what makes that possible. Everything that the next layer reads is compared, bits past the last and row popcounts too,
and memory is overwritten first, so that what a candidate does not write shows. One that differs is named with its first
wrong element, one that cannot run with its error; neither can be chosen, and both end the run with exit code 1. Clock
and candidates are arguments, so that tests can bring wrong candidates and clocks of their own.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import triton

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.conv_popcount import CONFIGURATIONS as CONV_POPCOUNT
from bnnhw.kernels.gpu.conv_popcount import conv_popcount, conv_popcount_threshold
from bnnhw.kernels.gpu.conv_tensor_core import CONFIGURATIONS as CONV_TENSOR_CORE
from bnnhw.kernels.gpu.conv_tensor_core import conv_tensor_core, conv_tensor_core_threshold
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.dispatch import BACKENDS, capability_of, compiles
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import LARGEST_ROWS, gemv
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_layer import filters_of
from bnnhw.kernels.gpu.packed_tensor import WORD_BITS, Layout, PackedTensor, from_words, word_count
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds
from bnnhw.kernels.gpu.tuned import Choice, Table, key, write

Clock = Callable[[Callable[[], object]], float]
"""Microseconds that a call takes."""

GEMMS = (
    *((m, n, k) for m in (1, 16, 256, 4096) for n, k in ((1024, 1024), (4096, 4096))),
    (8192, 8192, 8192),
)
CONVS = (
    (4096, 28, 1, 16, 4, 2, 1),
    (4096, 13, 16, 32, 4, 2, 1),
    (1024, 32, 64, 64, 3, 1, 1),
    (256, 16, 256, 256, 3, 1, 1),
)
"""Images, side, channels, outputs, kernel, stride, padding."""
TINY_GEMMS = ((2, 40, 70), (33, 40, 70))
TINY_CONVS = ((1, 5, 3, 10, 2, 1, 1),)
POISON = -(2**31)
"""What shared outputs hold before a candidate runs; no sum is equal to it."""


@dataclass(frozen=True)
class Candidate:
    """A way to compute something: what a table would say of it, a call that computes it, and how to read the result as
    integers, which takes no part in the time. out: where the call writes to, if not to memory that it takes anew."""

    backend: str
    tile: str
    run: Callable[[], Any]
    integers: Callable[[Any], torch.Tensor] = lambda made: made
    out: torch.Tensor | None = None


@dataclass(frozen=True)
class Wrong:
    """A candidate that computed something else or nothing. fault: what it did, with the first wrong element."""

    shape: str
    candidate: Candidate
    fault: str

    def __str__(self) -> str:
        return f"{self.shape}: {f'{self.candidate.backend} {self.candidate.tile}'.strip()} {self.fault}"


def best(
    shape: str, expected: torch.Tensor, candidates: Iterable[Candidate], clock: Clock
) -> tuple[Choice | None, list[Wrong]]:
    """The fastest of the candidates that compute ``expected``, and those that do not."""
    chosen: Choice | None = None
    wrong = []
    for candidate in candidates:
        try:
            fault = _fault(candidate, expected)
            microseconds = clock(candidate.run) if fault is None else 0.0
        except Exception as error:
            # Of any kind: compilers, launchers and the driver each have their own.
            fault = f"cannot run: {type(error).__name__}: {f'{error}'.strip().partition(chr(10))[0]}"
        if fault is not None:
            wrong.append(Wrong(shape, candidate, fault))
            continue
        if chosen is None or microseconds < chosen.microseconds:
            chosen = Choice(candidate.backend, candidate.tile, microseconds)
    return chosen, wrong


def _fault(candidate: Candidate, expected: torch.Tensor) -> str | None:
    """How a candidate's result differs, if it does."""
    if candidate.out is not None:
        candidate.out.fill_(POISON)
    with _new_memory_is_filled():
        made = candidate.run()
    found = candidate.integers(made)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"makes {found.dtype} {list(found.shape)}, not {expected.dtype} {list(expected.shape)}"
    if torch.equal(found, expected):
        return None
    index = tuple(int(i) for i in (found != expected).nonzero()[0])
    return f"is wrong at {list(index)}: {int(found[index])}, not {int(expected[index])}"


@contextmanager
def _new_memory_is_filled() -> Iterator[None]:
    """`torch.empty` gives the largest integer everywhere, and not what freed memory holds, perhaps the right result."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def tune(
    device: torch.device,
    clock: Clock,
    gemms: Sequence[tuple[int, int, int]] = GEMMS,
    convs: Sequence[tuple[int, ...]] = CONVS,
) -> tuple[Table, list[Wrong]]:
    """A table for ``device`` of the given shapes, sums and bits, and every candidate that was wrong."""
    generator = torch.Generator(device).manual_seed(1)
    choices: dict[str, Choice] = {}
    wrong: list[Wrong] = []
    problems = (
        *(partial(_gemm, device, generator, *shape) for shape in gemms),
        *(partial(_conv, device, generator, *shape) for shape in convs),
    )
    for problem in problems:
        for name, expected, candidates in problem():
            choice, failed = best(name, expected, candidates, clock)
            wrong += failed
            if choice is not None:
                choices[name] = choice
    on_gpu = device.type == "cuda"
    versions = {"torch": torch.__version__, "triton": triton.__version__, "python": platform.python_version()}
    gpu = torch.cuda.get_device_name(device) if on_gpu else "Triton's interpreter"
    return Table(gpu, versions, choices), wrong


def on_gpu_clock(run: Callable[[], object]) -> float:
    """Median microseconds of a call on the GPU, the second-level cache overwritten before each."""
    return float(triton.testing.do_bench(run, warmup=10, rep=50, return_mode="median")) * 1e3


Problem = tuple[str, torch.Tensor, list[Candidate]]


def _random_words(generator: torch.Generator, shape: tuple[int, ...], count: int, device: torch.device) -> torch.Tensor:
    """int32[*shape, words] with nothing past the last bit."""
    words = torch.randint(-(2**31), 2**31, (*shape, word_count(count)), generator=generator, device=device)
    used = count % 32
    if used:
        words[..., -1] &= (1 << used) - 1
    return words.to(torch.int32)


def _values(words: torch.Tensor, count: int) -> torch.Tensor:
    """float32[..., count] of bits, 0 or 1: products of them are exact below 2^24."""
    bits = (words[..., None] >> torch.arange(32, device=words.device, dtype=torch.int32)) & 1
    return bits.flatten(-2)[..., :count].float()


def _bits(made: PackedTensor | PackedImages) -> torch.Tensor:
    """int32[..., bits of its words, then of a tensor its popcount]."""
    bits = _values(made.words, made.words.shape[-1] * WORD_BITS).to(torch.int32)
    return torch.cat([bits, made.popcounts[:, None]], 1) if isinstance(made, PackedTensor) else bits


def _padded(bits: torch.Tensor) -> torch.Tensor:
    """With the zeros that fill the last word."""
    return torch.nn.functional.pad(bits, (0, -bits.shape[-1] % WORD_BITS))


def _runs_tensor_core(device: torch.device) -> bool:
    """Whether 1-bit instructions are native; later GPUs only emulate them."""
    return device.type == "cuda" and (capability_of(device) or (0, 0))[0] in (8, 9)


def _gemm(device: torch.device, generator: torch.Generator, m: int, n: int, k: int) -> Iterable[Problem]:
    a, b = (from_words(_random_words(generator, (rows,), k, device), k) for rows in (m, n))
    sums = ((2 * _values(a.words, k) - 1) @ (2 * _values(b.words, k) - 1).T).to(torch.int32)
    backends: list[tuple[str, Sequence[object], Callable[..., torch.Tensor], Callable[..., PackedTensor]]] = [
        ("popcount", POPCOUNT, gemm_popcount, gemm_popcount_threshold),
    ]
    if device.type == "cpu" or compiles("int8", capability_of(device)):
        backends.append(("int8", INT8, gemm_int8, gemm_int8_threshold))
    right = b
    if _runs_tensor_core(device):
        backends.append(("tensor_core", TENSOR_CORE, gemm_tensor_core, gemm_tensor_core_threshold))
        # Weights are laid out once, whatever the kernel wants.
        right = b.relayout(Layout.B_FRAGMENTS)
    assert {name for name, *_ in backends} <= set(BACKENDS)
    out = torch.empty_like(sums)
    candidates = [
        Candidate(name, _tile(c), partial(product, a, right if name == "tensor_core" else b, out, c), out=out)
        for name, configurations, product, _ in backends
        for c in configurations
    ]
    if m <= LARGEST_ROWS:
        candidates.append(Candidate("gemv", "", partial(gemv, a, b, out), out=out))
    yield key("gemm", "sums", m, n, k), sums, candidates
    limits = torch.randint(-(k // 8) - 1, k // 8 + 2, (n,), generator=generator, device=device).to(torch.int32)
    thresholds = ColumnThresholds(limits, torch.arange(n, device=device, dtype=torch.int32) & 1)
    bits = ((sums >= limits) ^ thresholds.flips.bool()).to(torch.int32)
    expected = torch.cat([_padded(bits), bits.sum(1, keepdim=True, dtype=torch.int32)], 1)

    made = [
        Candidate(name, _tile(c), partial(make, a, right if name == "tensor_core" else b, thresholds, c), _bits)
        for name, configurations, _, make in backends
        for c in configurations
    ]
    yield key("gemm", "bits", m, n, k), expected, made


def _conv(
    device: torch.device, generator: torch.Generator, images: int, side: int, channels: int, outputs: int, *walk: int
) -> Iterable[Problem]:
    kernel, stride, pad = walk
    bits = PackedImages(_random_words(generator, (images, side, side), channels, device), channels)
    shape = (outputs, channels, kernel, kernel)
    weights = torch.randint(-1, 2, shape, generator=generator, device=device).float()
    filters = filters_of(weights)
    # cuDNN may go by way of fractions (Winograd, Fourier); as doubles they round to the integers that they stand for.
    values = _values(bits.words, channels).permute(0, 3, 1, 2).double()
    sums = torch.nn.functional.conv2d(values, weights.double(), stride=stride, padding=pad)
    expected = sums.permute(0, 2, 3, 1).round().to(torch.int32).contiguous()
    geometry = (stride, stride), Padding(pad, pad)
    backends: list[tuple[str, Sequence[object], Callable[..., torch.Tensor], Callable[..., PackedImages]]] = [
        ("popcount", CONV_POPCOUNT, conv_popcount, conv_popcount_threshold)
    ]
    if _runs_tensor_core(device):
        backends.append(("tensor_core", CONV_TENSOR_CORE, conv_tensor_core, conv_tensor_core_threshold))
    rows, taps = expected.numel() // outputs, filters.planes.shape[1]
    out = torch.empty_like(expected)
    candidates = [
        Candidate(name, _tile(c), partial(product, bits, filters, *geometry, out, c), out=out)
        for name, configurations, product, _ in backends
        for c in configurations
    ]
    yield key("conv", "sums", rows, outputs, taps * 32), expected, candidates
    limits = torch.randint(-3, 4, (1, outputs), generator=generator, device=device).to(torch.int32)
    thresholds = PositionThresholds(limits, torch.arange(outputs, device=device, dtype=torch.int32) & 1)
    reached = ((expected >= limits[0]) ^ thresholds.flips.bool()).to(torch.int32)

    made = [
        Candidate(name, _tile(c), partial(make, bits, filters, thresholds, *geometry, None, c), _bits)
        for name, configurations, _, make in backends
        for c in configurations
    ]
    yield key("conv", "bits", rows, outputs, taps * 32), _padded(reached), made


def _tile(configuration: object) -> str:
    return f"{getattr(configuration, 'rows')}x{getattr(configuration, 'columns')}"  # noqa: B009


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Measure which kernels are fastest on this GPU; see the module's text."
    )
    parser.add_argument("--out", type=Path, required=True, help="the table to write")
    parser.add_argument("--tiny", action="store_true", help="small shapes, without a GPU in Triton's interpreter")
    arguments = parser.parse_args()
    interpreted = bool(triton.knobs.runtime.interpret)
    device = torch.device("cuda" if torch.cuda.is_available() and not interpreted else "cpu")
    if device.type == "cpu" and not (arguments.tiny and interpreted):
        print("there is no GPU: use --tiny with TRITON_INTERPRET=1 to try this out", file=sys.stderr)
        return 2
    if not arguments.out.parent.is_dir():
        print(f"{arguments.out.parent} is not a folder: make it first", file=sys.stderr)
        return 2
    if arguments.out.is_dir():
        print(f"{arguments.out} is a folder: name a file in it", file=sys.stderr)
        return 2
    shapes = (TINY_GEMMS, TINY_CONVS) if arguments.tiny else (GEMMS, CONVS)
    # In the interpreter no time means anything; the first candidate that is right wins.
    table, wrong = tune(device, on_gpu_clock if device.type == "cuda" else lambda run: 0.0, *shapes)
    for one in wrong:
        print(one, file=sys.stderr)
    write(table, arguments.out)
    print(f"{len(table.choices)} shapes on {table.gpu}: {arguments.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
