"""Robustness queries of one model: our solver beside CaDiCaL 1.9.5 (through PySAT), the same formulas in one run.

CaDiCaL gets the question through the independent route of cross-checks: each reified constraint as a two-directional
totalizer (Bailleux and Boufkhad 2003), weights as repeated literals. Its time is split into encoding and solving
because the encoding is Python's. Queries that bounds alone decide are left out. Answers must agree: exit status 1 if
not.

    python benchmarks/verify_peers.py runs/demo/model.bnn --dataset digits --eps 0.1 --count 50
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from statistics import geometric_mean, median

from pysat.solvers import Cadical195

import bnnhw.data
from bnnhw.model import load
from bnnhw.verify import Keeps, build, formulate, linf_ball, pixel_radius
from bnnhw.verify.check import ask
from bnnhw.verify.cross_check import clauses_of


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--eps", default="0.1")
    parser.add_argument("--count", type=int, default=50)
    arguments = parser.parse_args()
    model = load(arguments.model)
    network = build(model)
    data = bnnhw.data.load(arguments.dataset, arguments.data)
    radius = pixel_radius(arguments.eps, model.quantizer)
    rows = []
    for index in range(min(arguments.count, len(data.test_images))):
        image, label = data.test_images[index], int(data.test_labels[index])
        question = linf_ball(image, radius, model.quantizer) & Keeps(label)
        begun = time.perf_counter()
        query = ask([network], question)
        if query.clean_reaches or query.bound():
            continue
        query.encode()
        encoded = time.perf_counter()
        answer = query.solve().status
        solved = time.perf_counter()
        with Cadical195(bootstrap_with=clauses_of(formulate([network], question))) as cadical:
            peer_encoded = time.perf_counter()
            peer_answer = "sat" if cadical.solve() else "unsat"
            peer_solved = time.perf_counter()
        if answer != peer_answer:
            print(f"image {index}: bnnhw says {answer}, CaDiCaL {peer_answer}", file=sys.stderr)
            return 1
        rows.append((encoded - begun, solved - encoded, peer_encoded - solved, peer_solved - peer_encoded))
    if not rows:
        print("bounds or the clean prediction decided every query: nothing to compare")
        return 0
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}; {len(rows)} queries")
    names = ["bnnhw encode", "bnnhw solve", "CaDiCaL encode", "CaDiCaL solve"]
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:15} total {sum(column):9.3f} s  median {median(column) * 1e3:9.3f} ms  max {max(column):8.3f} s")
    solve = geometric_mean(row[3] / row[1] for row in rows)
    whole = geometric_mean((row[2] + row[3]) / (row[0] + row[1]) for row in rows)
    print(
        f"CaDiCaL / bnnhw, geometric mean per query: solve {solve:.1f}x, encode and solve {whole:.1f}x; answers agree"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
