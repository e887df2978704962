"""Ternary and binary matrix products on bits against torch and NumPy: 10^9 operations (2 M N K a product) a second.

    python benchmarks/gemm_cpu.py [--repeat 15] [--clock {wall,cpu}]

M rows of K bits by N outputs, one thread, every instruction set of this processor beside torch's float32, bfloat16 and
int8 products and NumPy's fastest popcount, in one run; medians. All of them multiply the same numbers and must agree.
Bits are packed and weights laid out before the clock starts, for torch's sides too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from bnnhw.kernels import PackedBits, instruction_set, pack, pack_ternary, ternary_dense

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PRODUCTS = [(256, 1024, 1024), (256, 1024, 4096), (256, 1024, 8192), (16, 4096, 4096), (1, 4096, 4096)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="which seconds count")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in instruction_set.available() if name != "portable"]
    versions = f"torch {torch.__version__}, NumPy {np.__version__}"
    print(f"{versions}; one thread, {arguments.clock} clock; 10^9 operations a second")
    others = ["torch f32", "torch bf16", "torch int8", "numpy"]
    columns = [*(f"{name} binary" for name in names), *(f"{name} ternary" for name in names), *others]
    print("| M x N x K | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for m, n, k in PRODUCTS:
        rng = np.random.default_rng(k + m)
        bits = rng.random((m, k)) < 0.5
        binary = rng.choice(np.array([-1, 1], np.int8), (n, k))
        ternary = (binary * (rng.random((n, k)) < 0.5)).astype(np.int8)
        packed = pack(bits)
        runs: dict[str, Callable[[], np.ndarray]] = {}
        sets: dict[str, str] = {}
        for kind, weights in (("binary", binary), ("ternary", ternary)):
            planes = pack_ternary(weights)
            for name in names:
                sets[f"{name} {kind}"] = name
                runs[f"{name} {kind}"] = lambda planes=planes, packed=packed: ternary_dense(packed, planes)
        left, right = torch.from_numpy(bits.astype(np.float32)), torch.from_numpy(binary.astype(np.float32))
        right = right.T.contiguous()
        runs["torch f32"] = lambda left=left, right=right: (left @ right).numpy()
        half, half_right = left.bfloat16(), right.bfloat16()
        runs["torch bf16"] = lambda half=half, half_right=half_right: (half @ half_right).float().numpy()
        narrow, narrow_right = torch.from_numpy(bits.astype(np.int8)), torch.from_numpy(binary.T.copy())
        runs["torch int8"] = lambda narrow=narrow, right=narrow_right: torch._int_mm(narrow, right).numpy()
        positive, ones = pack(binary > 0).words, np.bitwise_count(packed.words).sum(1, dtype=np.int32)
        runs["numpy"] = lambda positive=positive, ones=ones, packed=packed: _numpy(packed, positive, ones)
        expected = {"binary": bits.astype(np.int32) @ binary.T.astype(np.int32)}
        expected["ternary"] = bits.astype(np.int32) @ ternary.T.astype(np.int32)
        seconds = {}
        for column, run in runs.items():
            # bfloat16 has 8 bits of precision: its sums are no integers, and it is here for its speed.
            right_answer = expected["ternary" if column.endswith("ternary") else "binary"]
            with instruction_set.using(sets.get(column, instruction_set.selected())):
                if column != "torch bf16" and not np.array_equal(run(), right_answer):
                    print(f"{m} x {n} x {k}: {column} is wrong", file=sys.stderr)
                    return 1
                seconds[column] = median_seconds(run, arguments.repeat, CLOCKS[arguments.clock])
        figures = [2e-9 * m * n * k / seconds[column] for column in columns]
        print(f"| {m} x {n} x {k} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |", flush=True)
    return 0


def _numpy(packed: PackedBits, positive: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """popcount(a & p) word by word for many rows, row by row for few: whichever NumPy does faster."""
    if len(packed.words) < 16:
        hits = np.stack([np.bitwise_count(positive & row).sum(1, dtype=np.int32) for row in packed.words])
    else:
        hits = np.zeros((len(packed.words), len(positive)), np.int32)
        for word in range(positive.shape[1]):
            hits += np.bitwise_count(packed.words[:, word, None] & positive[None, :, word])
    return 2 * hits - ones[:, None]


def median_seconds(run: Callable[[], object], repeat: int, clock: Callable[[], float]) -> float:
    run()
    seconds = []
    for _ in range(repeat):
        begun = clock()
        run()
        seconds.append(clock() - begun)
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
