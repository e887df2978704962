"""The smallest changes that fool the networks of msakai/bnn-verification: optimum, both sides proven, CPU seconds.

    python benchmarks/verify/distortions.py FOLDER

FOLDER holds the collection's images as `bnn_NETWORK_INDEX_labelCLASS.png` and its networks as `models/NETWORK.npz`.
Beside ours stand the CPU seconds that Exact needed, as the collection publishes them from another machine (3.3 hours
for these two images). Ends with exit status 1 if an optimum is open or differs from the published one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bnnhw.importers import load, read_image
from bnnhw.verify import Keeps, Limits, build, minimal_distortion
from bnnhw.verify.properties import Distance

PUBLISHED: dict[tuple[str, Distance], tuple[int, float]] = {
    ("bnn_mnist_7_label9", "l0"): (4, 5304.0),
    ("bnn_mnist_7_label9", "l1"): (5, 4802.0),
    ("bnn_mnist_7_label9", "l2_squared"): (5, 1837.0),
    ("bnn_mnist_7_label9", "linf"): (1, 1.05),
    ("bnn_mnist_rot_16_label5", "l0"): (2, 13.6),
    ("bnn_mnist_rot_16_label5", "l1"): (2, 2.3),
    ("bnn_mnist_rot_16_label5", "l2_squared"): (2, 14.0),
    ("bnn_mnist_rot_16_label5", "linf"): (1, 0.23),
}
"""(image, distance): optimum and CPU seconds of Exact."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the collection: images, and models/NETWORK.npz")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for each question (default 600)")
    arguments = parser.parse_args()
    print("| image | distance | optimum | CPU s | Exact, published CPU s | ratio |\n|---|---|---|---|---|---|")
    total, wrong = 0.0, 0
    for (name, distance), (optimum, published) in PUBLISHED.items():
        image = read_image(arguments.folder / f"{name}.png")
        network = build(load(arguments.folder / "models" / f"{name[4:].rsplit('_', 2)[0]}.npz").model)
        begun = time.process_time()
        condition = Keeps(image.label, strictly=True)
        found = minimal_distortion(network, image.pixels, condition, distance, Limits(arguments.time_limit))
        spent = time.process_time() - begun
        total += spent
        wrong += not found.final or found.upper != optimum
        answer = str(found.upper) if found.final else f"{found.lower}..{found.upper}"
        print(f"| {name} | {distance} | {answer} | {spent:.2f} | {published:g} | {published / spent:.1f} |", flush=True)
    print(f"\n{total:.1f} CPU s in all; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    if wrong:
        print(f"{wrong} optima are open or differ from the published ones", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
