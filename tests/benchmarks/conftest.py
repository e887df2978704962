"""The benchmarks' modules are scripts beside each other, not packages: their folders go on the path."""

import sys
from pathlib import Path

for room in ("verify", "train"):
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / room))
