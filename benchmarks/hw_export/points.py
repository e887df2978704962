"""Points of the folding solver: accuracy, verified accuracy, area, pace and equivalence of networks on MNIST.

    python benchmarks/hw_export/points.py --data DIR --out DIR MODEL=CYCLES [MODEL=CYCLES ...]

For each pair: the model is exported for that many clocks an image, counted by Yosys for Xilinx 7 series, proven by
`bnnhw prove-equivalence`, and simulated on all 10,000 test images with random stalls on both streams; the
pace is that of 200 images without stalls. The first --verify test images are verified within --eps. Rates assume
200 MHz, which nobody has measured: there is no placement and routing here. Prints a table and writes points.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import bnnhw.data
from bnnhw import hw_export
from bnnhw.model import digest, load, reference
from bnnhw.verify import Limits, pixel_radius, verify_many

CLOCK = 200e6
COLUMNS = {
    "model": "network",
    "accuracy": "accuracy",
    "verified": "verified",
    "lut": "LUT",
    "bram36": "BRAM36",
    "cycles": "clocks an image",
    "fps": "images/s",
    "fps_per_lut": "images/s per LUT",
    "latency": "latency, clocks",
    "proven": "obligations proven",
    "mismatches": "mismatches of 10,000",
}


def point(path: Path, cycles: int, arguments: argparse.Namespace) -> dict[str, object]:
    """One row."""
    dataset = bnnhw.data.load("mnist", arguments.data)
    images, labels = dataset.test_images, dataset.test_labels
    model = load(path)
    hardware = arguments.out / f"{path.parent.name}-{cycles}"
    made = hw_export.export(model, hardware, target_cycles=cycles)
    counted = hw_export.synthesize(hardware)
    obligations = hw_export.prove_equivalence(hardware)
    free = hw_export.simulate(hardware, images[:200])
    stalled = hw_export.simulate(hardware, images, backpressure=1, workers=2)
    right = reference.predict(model, images) == labels
    some = slice(arguments.verify)
    records = verify_many(
        model,
        images[some],
        labels[some],
        pixel_radius(arguments.eps, model.quantizer),
        hardware.with_suffix(".jsonl"),
        limits=Limits(60.0),
        workers=2,
    )
    luts = counted.lookup_tables + counted.memory_tables
    return {
        "model": path.parent.name,
        "digest": digest(model),
        "accuracy": float(right.mean()),
        "verified": sum(record.status == "robust" for record in records) / len(records),
        "lut": luts,
        "bram36": counted.block_memories,
        "ff": counted.flip_flops,
        "cycles": free.cycles_per_image,
        "planned_cycles": made.plan.cycles,
        "fps": CLOCK / free.cycles_per_image,
        "fps_per_lut": CLOCK / free.cycles_per_image / luts,
        "latency": free.latency_mean,
        "proven": f"{sum(one.holds for one in obligations)} of {len(obligations)}",
        "mismatches": free.mismatches + stalled.mismatches,
        "yosys": counted.tool.split(",")[0],
        "yosys_seconds": counted.seconds,
        "proof_seconds": sum(one.seconds for one in obligations),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("points", nargs="+", metavar="MODEL=CYCLES")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--eps", default="0.1")
    parser.add_argument("--verify", type=int, default=1000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for text in arguments.points:
        path, _, cycles = text.rpartition("=")
        rows.append(point(Path(path), int(cycles), arguments))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    (arguments.out / "points.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("| " + " | ".join(COLUMNS.values()) + " |")
    print("|---" * len(COLUMNS) + "|")
    for row in rows:
        cells = [row[name] for name in COLUMNS]
        print(
            "| "
            + " | ".join(
                f"{c:,.4g}" if isinstance(c, float) and c < 1e4 else f"{c:,.0f}" if isinstance(c, float) else str(c)
                for c in cells
            )
            + " |"
        )
    return int(any(row["mismatches"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
