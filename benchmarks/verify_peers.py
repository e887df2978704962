"""Robustness queries of one model: our solver beside CaDiCaL 1.9.5 (through PySAT), the same formulas in one run.

CaDiCaL gets each reified constraint as a two-directional totalizer (Bailleux and Boufkhad 2003), weights as repeated
literals, built by the compiled PySAT interface; its time is split into encoding and solving because the encoding is
Python's. Queries that bounds alone decide are left out. Answers must agree: exit status 1 if not.

    python benchmarks/verify_peers.py runs/demo/model.bnn --dataset digits --eps 0.1 --count 50
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np
from pysat.solvers import Cadical195

import bnnhw.data
from bnnhw.model import load, reference
from bnnhw.verify import LinfRobustness, build, pixel_radius
from bnnhw.verify._solver import Solver
from bnnhw.verify.bounds import propagate
from bnnhw.verify.encode import encode


class Clauses:
    """Takes a query where the solver would, and writes it as clauses."""

    def __init__(self) -> None:
        self.variables = 0
        self.clauses: list[list[int]] = []

    def new_variables(self, count: int) -> int:
        self.variables += count
        return self.variables - count + 1

    def add_clause(self, literals: list[int]) -> None:
        self.clauses.append(literals)

    def add_clauses(self, flat: np.ndarray) -> None:
        for row in np.split(flat, np.nonzero(flat == 0)[0] + 1)[:-1]:
            self.clauses.append(row[:-1].tolist())

    def add_at_least_many(self, outs, starts, literals, weights, bounds) -> None:  # type: ignore[no-untyped-def]
        for i, (out, bound) in enumerate(zip(outs.tolist(), bounds.tolist(), strict=True)):
            row = slice(int(starts[i]), int(starts[i + 1]))
            repeated = np.repeat(literals[row], 1 if weights is None else weights[row]).tolist()
            if bound <= 0 or bound > len(repeated):
                self.clauses.append([out if bound <= 0 else -out])
                continue
            count = self._totalizer(repeated, bound)
            self.clauses += [[-out, count[bound - 1]], [out, -count[bound - 1]]]

    def _totalizer(self, literals: list[int], most: int) -> list[int]:
        """Sorted outputs: output[j] <-> more than j literals are true, for j < most."""
        if len(literals) == 1:
            return literals
        half = len(literals) // 2
        left, right = self._totalizer(literals[:half], most), self._totalizer(literals[half:], most)
        size = min(most, len(left) + len(right))
        first = self.new_variables(size)
        output = list(range(first, first + size))
        for a in range(len(left) + 1):
            for b in range(len(right) + 1):
                both = min(a + b, size)
                if both:
                    reached = [-literal for literal in left[:a][-1:] + right[:b][-1:]]
                    self.clauses.append([*reached, output[both - 1]])
                if a + b < size:
                    self.clauses.append([*left[a : a + 1], *right[b : b + 1], -output[a + b]])
        return output


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
        query = LinfRobustness(image, label, radius)
        bounds = propagate(network, query)
        if reference.predict(model, image[None])[0] != label or not bounds.rivals:
            continue
        begun = time.perf_counter()
        ours = Solver(0)
        encode(network, query, bounds, ours)
        encoded = time.perf_counter()
        answer = ours.solve().status
        solved = time.perf_counter()
        peer = Clauses()
        encode(network, query, bounds, peer)  # type: ignore[arg-type]
        with Cadical195(bootstrap_with=peer.clauses) as cadical:
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
