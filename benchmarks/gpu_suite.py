"""One run on one GPU: everything is checked for equality, then timed beside torch and beside its limit.

    python benchmarks/gpu_suite.py --out results/            # on a GPU, under ten minutes
    TRITON_INTERPRET=1 python benchmarks/gpu_suite.py --tiny --out results/   # no GPU: the same code on tiny shapes

Sections run in order, the smallest checks first; ``--sections`` picks some, and none starts after ``--budget`` seconds.
After each, results.json and results.md are written again, so that a run that is cut off loses nothing. Times are
medians of calls measured with CUDA events, the second-level cache overwritten before each call. A section that fails is
named, the others go on, and the exit code is 1. In the interpreter everything is checked and no time is written, since
none would mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import inference_cpu
import numpy as np
import torch
import torch.nn.functional as F
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from bnnhw.inference import compile, first_difference
from bnnhw.inference.gpu_program import compile_gpu
from bnnhw.kernels import Thresholds
from bnnhw.kernels.gpu import (
    Layout,
    PackedTensor,
    Padding,
    batch_norm_statistics,
    binary_gemm,
    binary_gemm_threshold,
    column_thresholds,
    filters_of,
    from_words,
    gemm_oracle,
    gemm_threshold_oracle,
    gemv,
    pack_sign,
    pack_sign_oracle,
    position_thresholds,
    ternary_conv,
    ternary_conv_threshold,
)
from bnnhw.kernels.gpu.conv_oracle import conv_oracle, conv_threshold_oracle
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS, gemm_tensor_core, multiply_accumulate
from bnnhw.kernels.gpu.packed_images import PackedImages
from bnnhw.kernels.gpu.packed_tensor import word_count
from bnnhw.nn import build
from bnnhw.nn.packed import packed_logits

BYTES_A_SECOND = 4.3e12
"""What an H200 reads, measured by others; limits below are in terms of it and of the next."""
ONE_BIT_A_SECOND = 8.6e15
BF16_A_SECOND = 0.79e15


@dataclass
class Report:
    """Rows of a section's table, and what was checked."""

    device: torch.device
    tiny: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    checks: int = 0

    def check(self, right: bool, what: str) -> None:
        """Count a comparison; AssertionError, naming it, if it did not hold."""
        self.checks += 1
        if not right:
            raise AssertionError(f"{what} is wrong")

    def microseconds(self, run: Callable[[], object]) -> float:
        """Median time of a call; in the interpreter the call runs once and the time is 0."""
        if self.device.type != "cuda":
            run()
            return 0.0
        return float(triton.testing.do_bench(run, warmup=5, rep=30, return_mode="median")) * 1e3

    def time(self, what: str, limit: float, runs: dict[str, Callable[[], object]], operations: float) -> None:
        """A row: microseconds of each run, the limit's, and how much of it the first run reaches."""
        row: dict[str, Any] = {"what": what}
        for name, run in runs.items():
            row[f"{name} us"] = self.microseconds(run)
        if self.device.type != "cuda":
            self.rows.append({"what": what, "ran": ", ".join(runs)})
            return
        ours = row[f"{next(iter(runs))} us"]
        row |= {"limit us": limit * 1e6, "of the limit": limit * 1e6 / ours, "TOPS": operations / ours * 1e-6}
        self.rows.append(row)


def random_rows(report: Report, rows: int, count: int, seed: int = 0) -> PackedTensor:
    """Random bits, made on the device."""
    generator = torch.Generator(report.device).manual_seed(seed + rows * 31 + count)
    shape = (rows, word_count(count))
    words = torch.randint(-(2**31), 2**31, shape, generator=generator, device=report.device).to(torch.int32)
    if count % 32:
        words[:, -1] &= (1 << count % 32) - 1
    return from_words(words, count)


def random_images(report: Report, count: int, side: int, channels: int) -> PackedImages:
    rows = random_rows(report, count * side * side, channels)
    return PackedImages(rows.words.reshape(count, side, side, -1).contiguous(), channels)


def backends(report: Report) -> list[str]:
    """What can be launched on this device."""
    if report.device.type != "cuda":
        return ["popcount", "int8"]
    native = torch.version.hip is None and torch.cuda.get_device_capability()[0] in (8, 9)
    return ["popcount", "int8", *(["tensor_core"] if native else [])]


def check_products(report: Report) -> None:
    """Every back end on shapes around those of words, fragments and tiles, smallest first; then past 2^31 bytes."""
    shapes = [(64, 64, 256), (1, 1, 1), (16, 16, 256), (17, 33, 255)]
    shapes += [] if report.tiny else [(129, 65, 257), (300, 70, 31), (1000, 513, 4099), (2048, 2048, 2048)]
    for m, n, k in shapes:
        a, b = random_rows(report, m, k), random_rows(report, n, k, 1)
        rng = np.random.default_rng(k)
        t = Thresholds(rng.integers(-k // 4 - 1, k // 4 + 2, n).astype(np.int32), rng.random(n) < 0.5)
        thresholds = column_thresholds(t)
        sums, bits = gemm_oracle(a.to("cpu"), b.to("cpu")), gemm_threshold_oracle(a.to("cpu"), b.to("cpu"), thresholds)
        for name in backends(report):
            out = torch.full((m, n), -(2**31), dtype=torch.int32, device=report.device)
            binary_gemm(a, b, name, out)
            report.check(torch.equal(out.cpu(), sums), f"{name} {m}x{n}x{k}")
            made = binary_gemm_threshold(a, b, thresholds.to(report.device), name).to("cpu")
            same = torch.equal(made.words, bits.words) and torch.equal(made.popcounts, bits.popcounts)
            report.check(same, f"{name} to bits {m}x{n}x{k}")
        if m <= 16:
            report.check(torch.equal(gemv(a, b).cpu(), sums), f"gemv {m}x{n}x{k}")
    if report.device.type == "cuda" and not report.tiny and torch.cuda.mem_get_info()[0] > 20 * 2**30:
        size, k = 46_400, 256
        one = random_rows(report, 1, k)
        words, ones = one.words.expand(size, -1).contiguous(), one.popcounts.expand(size).contiguous()
        rows = PackedTensor(words, ones, size, k, Layout.ROWS)
        report.check(bool((binary_gemm(rows, rows) == k).all()), "offsets past 2^31")


def check_convolutions(report: Report) -> None:
    """Strides, paddings with zeros and ones, odd channels, kernels as large as the image, thresholds by position."""
    cases = [(2, 3, 3, 10, 2, 1, 0), (1, 3, 33, 33, 2, 1, 1)]
    cases += [] if report.tiny else [(1, 4, 33, 33, 3, 1, 1), (2, 5, 1, 17, 5, 1, 0)]
    cases += [] if report.tiny else [(3, 28, 1, 16, 4, 2, 1), (5, 16, 64, 100, 3, 1, 1), (7, 9, 100, 65, 4, 3, 2)]
    names = [name for name in backends(report) if name != "int8"]
    for count, side, channels, outputs, kernel, stride, pad in cases:
        images = random_images(report, count, side, channels)
        rng = np.random.default_rng(side)
        for low in (-1, 1):
            weights = torch.from_numpy(rng.choice([-1, 1], (outputs, channels, kernel, kernel)))
            # One zero is enough to make them ternary.
            weights[0, 0, 0, 0] = 0 if low < 0 else 1
            filters = filters_of(weights.float().to(report.device))
            for bit in (0, 1):
                walk = (stride, stride), Padding(pad, pad, bit)
                sums = conv_oracle(images.to("cpu"), filters.to("cpu"), *walk)
                t = rng.integers(-4, 5, (outputs, *sums.shape[1:3]) if bit else outputs).astype(np.int32)
                thresholds = position_thresholds(Thresholds(t, rng.random(outputs) < 0.5))
                bits = conv_threshold_oracle(images.to("cpu"), filters.to("cpu"), thresholds, *walk)
                for name in names:
                    where = f"{name} {count}x{side}x{channels}->{outputs}, kernel {kernel}, padded with {bit}"
                    found = ternary_conv(images, filters, *walk, name)
                    report.check(torch.equal(found.cpu(), sums), where)
                    made = ternary_conv_threshold(images, filters, thresholds.to(report.device), *walk, name)
                    report.check(torch.equal(made.words.cpu(), bits.words), f"{where}, to bits")


def check_packing(report: Report) -> None:
    """Signs of every type, NaN, infinities and zeros among them; exact statistics."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.randn(9, 1000, device=report.device).to(dtype)
        x[0, :4] = torch.tensor([float("nan"), -0.0, float("inf"), -float("inf")], dtype=dtype)
        report.check(torch.equal(pack_sign(x).words.cpu(), pack_sign_oracle(x)[0].words), f"signs of {dtype}")
    a = torch.randint(-(2**20), 2**20, (1000, 33), device=report.device).to(torch.int32)
    wide = a.cpu().long()
    expected = torch.stack([wide.sum(0), (wide * wide).sum(0)])
    report.check(torch.equal(batch_norm_statistics(a).cpu(), expected), "batch-norm statistics")


def check_networks(report: Report) -> None:
    """Every architecture on 10,000 images: the GPU's program, layer by layer on some, against the processor's."""
    names = ["mnist conv-small"] if report.tiny else list(inference_cpu.NETWORKS)
    for name in names:
        shape, levels, specs = inference_cpu.NETWORKS[name]
        rng = np.random.default_rng(1)
        model = inference_cpu.build(shape, levels, specs, rng)
        pixels = rng.integers(0, 256, (1 if report.tiny else 10_000, *shape)).astype(np.uint8)
        program, expected = compile_gpu(model, report.device), compile(model)(pixels)
        report.check(first_difference(model, program, pixels[:3]) is None, f"{name}, layer by layer")
        found = np.concatenate([program(part) for part in np.array_split(pixels, 1 + len(pixels) // 1000)])
        report.check(np.array_equal(found, expected), f"{name} on {len(pixels)} images")
        if report.device.type == "cuda":
            graphed = program.graph(256)
            graphed.pixels.copy_(torch.from_numpy(pixels[:256]))
            report.check(np.array_equal(graphed().scores.cpu().numpy(), expected[:256]), f"{name} as a graph")


def check_training(report: Report) -> None:
    """A packed step beside the plain one, from the same weights."""
    torch.manual_seed(2)
    side, width, batch = (4, 0.1, 5) if report.tiny else (12, 0.25, 64)
    made = build("conv-small", (1, side, side), (0, 255), 10, quantizer=(100,), width=width).to(report.device).train()
    with torch.no_grad():
        # As they start, accumulators meet the threshold exactly, where the plain step's bits hang on its rounding.
        for layer in made.layers[:-1]:
            layer.norm.shift.uniform_(-0.7, 0.7)
    pixels = torch.randint(0, 256, (batch, 1, side, side), device=report.device).float()
    labels = torch.randint(0, 10, (len(pixels),), device=report.device)
    gradients = []
    for forward in (made, partial(packed_logits, made)):
        made.zero_grad()
        F.cross_entropy(forward(pixels), labels).backward()
        gradients.append([p.grad.clone() for p in made.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        # The weights' gradients are products in TF32 on a GPU.
        report.check(torch.allclose(one, other, rtol=1e-2, atol=1e-3 * float(one.abs().max())), "a packed gradient")


@gluon.jit
def rate_kernel(out: gl.tensor, count: gl.tensor, WARPS: gl.constexpr) -> None:
    """Nothing but 1-bit products on registers, 16 independent sums a warp."""
    FRAGMENT: gl.constexpr = gl.BlockedLayout([1, 1, 4], [1, 32, 1], [WARPS, 1, 1], [2, 1, 0])
    a = gl.full([WARPS, 32, 4], 0x5A5A5A5A, gl.int32, layout=FRAGMENT) + gl.program_id(0)
    b = gl.full([WARPS, 32, 4], 0x33CC33CC, gl.int32, layout=FRAGMENT) + gl.program_id(0)
    sums: gl.tuple = ()
    for _ in gl.static_range(16):
        sums = sums + (gl.zeros([WARPS, 32, 4], gl.int32, layout=FRAGMENT),)  # noqa: RUF005
    for _ in range(0, count):
        added: gl.tuple = ()
        for i in gl.static_range(8):
            added = added + multiply_accumulate(a, b, sums[2 * i], sums[2 * i + 1])
        sums = added
    total = sums[0]
    for i in gl.static_range(15):
        total = total + sums[i + 1]
    warp = gl.arange(0, WARPS, layout=gl.SliceLayout(1, gl.SliceLayout(2, FRAGMENT)))[:, None, None]
    lane = gl.arange(0, 32, layout=gl.SliceLayout(0, gl.SliceLayout(2, FRAGMENT)))[None, :, None]
    register = gl.arange(0, 4, layout=gl.SliceLayout(0, gl.SliceLayout(1, FRAGMENT)))[None, None, :]
    gl.store(out + (gl.program_id(0) * WARPS + warp) * 128 + (lane * 4 + register), total)


def time_instruction(report: Report) -> None:
    """The ceiling: 1-bit products from registers only. Needs 1-bit tensor cores."""
    if "tensor_core" not in backends(report):
        report.rows.append({"what": "1-bit products from registers", "ran": "needs a GPU of compute capability 8 or 9"})
        return
    programs, warps, count = torch.cuda.get_device_properties(0).multi_processor_count * 2, 8, 2000
    out = torch.empty(programs * warps * 128, dtype=torch.int32, device=report.device)
    operations = 2.0 * programs * warps * count * 16 * 16 * 8 * 256
    run = partial(rate_kernel[(programs,)], out, count, WARPS=warps, num_warps=warps)
    report.time("1-bit products from registers", operations / ONE_BIT_A_SECOND, {"ours": run}, operations)


def time_products(report: Report) -> None:
    """Products to sums and to bits beside torch's bfloat16, eager and compiled, its int8, and our other back ends."""
    shapes = [(40, 64, 96)]
    if not report.tiny:
        shapes = [(1, 4096, 4096), (16, 4096, 4096), (256, 4096, 4096)] + [(s, s, s) for s in (1024, 4096, 8192, 16384)]
    for m, n, k in shapes:
        a, b = random_rows(report, m, k), random_rows(report, n, k, 1)
        t = column_thresholds(Thresholds(np.zeros(n, np.int32), np.zeros(n, np.bool_))).to(report.device)
        out = torch.empty(m, n, dtype=torch.int32, device=report.device)
        right = b.relayout(Layout.B_FRAGMENTS) if "tensor_core" in backends(report) else b
        left = a.relayout(Layout.A_FRAGMENTS) if "tensor_core" in backends(report) else a
        runs: dict[str, Callable[[], object]] = {}
        if "tensor_core" in backends(report):
            for c in CONFIGURATIONS:
                runs[f"tensor_core {c.rows}x{c.columns}"] = partial(gemm_tensor_core, left, right, out, c)
            runs["tensor_core to bits"] = partial(binary_gemm_threshold, left, right, t, "tensor_core")
        runs |= {name: partial(binary_gemm, a, b, name, out) for name in ("popcount", "int8") if m * n * k < 2**38}
        if m <= 16:
            runs["gemv"] = partial(gemv, a, b, out)
        if report.device.type == "cuda":
            x = torch.randn(m, k, device="cuda", dtype=torch.bfloat16).sign()
            w = torch.randn(k, n, device="cuda", dtype=torch.bfloat16).sign()
            runs["torch bf16"] = partial(torch.matmul, x, w)
            if m > 16:
                runs["torch int8"] = partial(torch._int_mm, x.to(torch.int8), w.to(torch.int8).T.contiguous().T)
        read = (m + n) * k / 8 + m * n * 4
        limit = max(read / BYTES_A_SECOND, 2.0 * m * n * k / ONE_BIT_A_SECOND)
        report.time(f"product {m}x{n}x{k}", limit, runs, 2.0 * m * n * k)


def time_convolutions(report: Report) -> None:
    """Layers to bits beside torch's bfloat16 convolution, eager and compiled."""
    large = [(512, 16, 256, 256, 3), (256, 56, 64, 64, 3), (128, 32, 128, 128, 3)]
    for count, side, channels, outputs, kernel in [(1, 3, 33, 10, 3)] if report.tiny else large:
        images = random_images(report, count, side, channels)
        weights = torch.randint(0, 2, (outputs, channels, kernel, kernel), device=report.device).float() * 2 - 1
        filters = filters_of(weights)
        binary = type(filters)(filters.planes[:1], filters.fragments[:1], *_rest(filters))
        t = position_thresholds(Thresholds(np.zeros(outputs, np.int32), np.zeros(outputs, np.bool_))).to(report.device)
        walk = (1, 1), Padding(kernel // 2, kernel // 2)
        out = ternary_conv_threshold(images, filters, t, *walk, backends(report)[-1] if not report.tiny else "popcount")
        best = "tensor_core" if "tensor_core" in backends(report) else "popcount"
        runs: dict[str, Callable[[], object]] = {
            "binary": partial(ternary_conv_threshold, images, binary, t, *walk, best, out),
            "ternary": partial(ternary_conv_threshold, images, filters, t, *walk, best, out),
        }
        if report.device.type == "cuda":
            x = torch.randn(count, channels, side, side, device="cuda", dtype=torch.bfloat16).sign()
            x = x.contiguous(memory_format=torch.channels_last)
            w = weights.bfloat16().contiguous(memory_format=torch.channels_last)
            runs["torch bf16"] = partial(F.conv2d, x, w, padding=kernel // 2)

            def torch_layer(x: torch.Tensor = x, w: torch.Tensor = w, kernel: int = kernel) -> torch.Tensor:
                return (F.conv2d(x, w, padding=kernel // 2) >= 0).to(torch.bfloat16)

            runs["torch bf16 compiled, to bits"] = torch.compile(torch_layer)
        operations = 2.0 * count * side * side * outputs * channels * kernel * kernel
        moved = (images.words.numel() + out.words.numel() + filters.fragments.numel()) * 4
        limit = max(moved / BYTES_A_SECOND, operations / ONE_BIT_A_SECOND)
        report.time(f"conv {count}x{side}x{side}x{channels}->{outputs}", limit, runs, operations)


def _rest(filters: Any) -> tuple[Any, ...]:
    return filters.taps, filters.kernel, filters.channels, filters.outputs


def time_packing(report: Report) -> None:
    """Signs of floats to words: limited by reading them."""
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(*((8, 100) if report.tiny else (16384, 16384)), device=report.device).to(dtype)
        read = x.numel() * x.element_size()
        name = str(dtype).removeprefix("torch.")
        report.time(f"pack {name}", read / BYTES_A_SECOND, {"ours": partial(pack_sign, x)}, x.numel())


def time_networks(report: Report) -> None:
    """Images a second at a large batch, and a single image as launches and as a CUDA graph."""
    names = ("mnist conv-small",) if report.tiny else ("mnist mlp", "mnist conv-small", "cifar conv-large, 16 levels")
    for name in names:
        shape, levels, specs = inference_cpu.NETWORKS[name]
        model = inference_cpu.build(shape, levels, specs, np.random.default_rng(1))
        program = compile_gpu(model, report.device)
        row: dict[str, Any] = {"what": name}
        for batch in (1,) if report.tiny else (1, 256, 65536):
            pixels = torch.randint(0, 256, (batch, *shape), device=report.device).to(torch.uint8)
            buffers = program.buffers(batch)
            eager = report.microseconds(partial(program.run, pixels, buffers))
            if report.device.type == "cuda":
                graphed = report.microseconds(program.graph(batch))
                row |= {f"{batch}: launches us": eager, f"{batch}: graph us": graphed}
                row[f"{batch}: images/s"] = batch / graphed * 1e6
        report.rows.append(row)


def time_training(report: Report) -> None:
    """A training step of conv-large, forward and backward: time and peak memory, plain and packed."""
    torch.manual_seed(0)
    side, batch, arch = (4, 2, "conv-small") if report.tiny else (32, 1024, "conv-large")
    width, levels = (0.1, (100,)) if report.tiny else (1.0, tuple(range(16, 256, 16)))
    made = build(arch, (3, side, side), (0, 255), 10, quantizer=levels, width=width)
    made = made.to(report.device).train()
    pixels = torch.randint(0, 256, (batch, 3, side, side), device=report.device).float()
    labels = torch.randint(0, 10, (batch,), device=report.device)
    row: dict[str, Any] = {"what": f"training step of {arch}, batch {batch}"}
    for name, forward in (("plain", made), ("packed", partial(packed_logits, made))):

        def step(forward: Callable[..., torch.Tensor] = forward) -> None:
            made.zero_grad()
            F.cross_entropy(forward(pixels), labels).backward()

        step()
        if report.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step()
            row[f"{name} peak MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
            row[f"{name} us"] = report.microseconds(step)
    report.rows.append(row)


SECTIONS: dict[str, Callable[[Report], None]] = {
    "check products": check_products,
    "check convolutions": check_convolutions,
    "check packing": check_packing,
    "check networks": check_networks,
    "check training": check_training,
    "instruction": time_instruction,
    "products": time_products,
    "convolutions": time_convolutions,
    "packing": time_packing,
    "networks": time_networks,
    "training": time_training,
}


def machine(device: torch.device) -> dict[str, str]:
    """What the figures are of."""
    told = {"python": platform.python_version(), "torch": torch.__version__, "triton": triton.__version__}
    if device.type != "cuda":
        return told | {"device": "Triton's interpreter on a CPU"}
    query = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit"
    try:
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
        smi = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        smi = "nvidia-smi is not there"
    return told | {"device": torch.cuda.get_device_name(device), query: smi, "cuda": str(torch.version.cuda)}


def as_markdown(results: dict[str, Any]) -> str:
    """Machine and sections as tables."""
    text = ["# GPU suite", "", *(f"- {name}: {value}" for name, value in results["machine"].items())]
    for name, section in results["sections"].items():
        state = section["error"] or f"{section['checks']} comparisons, all equal" * bool(section["checks"])
        text += ["", f"## {name}", "", *([state, ""] if state else [])]
        for row in section["rows"]:
            cells = [f"{key} {value:,.3g}" if isinstance(value, float) else str(value) for key, value in row.items()]
            text.append("- " + "; ".join(cells))
    return "\n".join(text) + "\n"


def write(results: dict[str, Any], folder: Path) -> None:
    """Both files, each whole or as it was."""
    for name, content in (("results.json", json.dumps(results, indent=1) + "\n"), ("results.md", as_markdown(results))):
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "w") as file:
            file.write(content)
        Path(temporary).replace(folder / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="a folder, made if it is missing")
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--budget", type=float, default=540, help="seconds after which no section starts")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes; without a GPU in Triton's interpreter")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    if device.type == "cpu" and not (arguments.tiny and triton.knobs.runtime.interpret):
        print("there is no GPU: use --tiny with TRITON_INTERPRET=1 to run everything once", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    results: dict[str, Any] = {"machine": machine(device), "sections": {}}
    failed = False
    for name in arguments.sections:
        if time.perf_counter() - begun > arguments.budget:
            print(f"{name}: left out, {arguments.budget:.0f} s are over")
            continue
        report, error = Report(device, arguments.tiny), ""
        at = time.perf_counter()
        try:
            SECTIONS[name](report)
        except Exception as caught:
            error, failed = f"{type(caught).__name__}: {caught}", True
            traceback.print_exc()
        results["sections"][name] = {"rows": report.rows, "checks": report.checks, "error": error}
        write(results, arguments.out)
        print(f"{name}: {error or 'done'}, {report.checks} comparisons, {time.perf_counter() - at:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
