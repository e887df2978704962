"""Where the time of L-infinity queries goes, stage by stage: a model's first test images in turn, on one core.

    python benchmarks/verify/stages.py MODEL --dataset mnist --data DIR --eps 0.1 --count 1000

Prints how many queries end where, and milliseconds for each stage: mean over all queries, and mean, median and maximum
over those that reach it. The total is what a caller of `check` waits for. Ends with exit status 1 if any is unknown.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean, median

import bnnhw.data
from bnnhw.model import load
from bnnhw.verify import Keeps, Limits, build, check, linf_ball, pixel_radius


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--eps", default="0.1")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds a query (default 120)")
    arguments = parser.parse_args()
    model = load(arguments.model)
    network = build(model)
    data = bnnhw.data.load(arguments.dataset, arguments.data)
    radius = pixel_radius(arguments.eps, model.quantizer)
    ends: Counter[tuple[str, str]] = Counter()
    stages: dict[str, list[float]] = defaultdict(list)
    for image, label in zip(data.test_images[: arguments.count], data.test_labels, strict=False):
        begun = time.perf_counter()
        verdict = check(
            network, linf_ball(image, radius, model.quantizer) & Keeps(int(label)), Limits(arguments.time_limit)
        )
        stages["total"].append(time.perf_counter() - begun)
        ends[verdict.stage, verdict.status] += 1
        for stage, seconds in verdict.seconds.items():
            stages[stage].append(seconds)
    queries = sum(ends.values())
    print(f"{queries} queries at eps {arguments.eps} (radius {radius}):", end=" ")
    print(", ".join(f"{count} {status} by {stage}" for (stage, status), count in ends.most_common()))
    print("\n| stage | queries | mean over all, ms | mean | median | max |\n|---|---|---|---|---|---|")
    for stage, seconds in stages.items():
        ms = [1e3 * second for second in seconds]
        cells = (sum(ms) / queries, mean(ms), median(ms), max(ms))
        print(f"| {stage} | {len(ms)} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    return int(any(status == "unknown" for _, status in ends))


if __name__ == "__main__":
    sys.exit(main())
