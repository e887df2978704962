"""The questions to ask: robustness queries and other formulas, from folders, a generator or a model, as one value."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import bnnhw.data
from bnnhw.model import load as load_model
from bnnhw.verify import Keeps, Network, Property, build, formulate, linf_ball, opb, pixel_radius
from bnnhw.verify import formula as formulas
from bnnhw.verify.check import ask
from bnnhw.verify.formula import Formula, LinearConstraint

RANDOM_NETWORKS = (("100,50,50,10", 0.8, 2), ("100,50,50,10", 0.0, 2), ("200,100,100,10", 0.8, 1))
"""Layer sizes, share of zero weights and number of flips; each has queries that take MiniSatCS a second or so."""


class Row(NamedTuple):
    """`out` <-> sum of weights[i] * [literals[i]] compared by `relation` with `bound`; `out` 0 asserts the sum."""

    out: int
    weights: Sequence[int]
    literals: Sequence[int]
    relation: str
    bound: int


@dataclass(frozen=True)
class Query:
    """A formula for all solvers; for an OPB file also the problem as the file has it, with its objective.

    `question`, where a model is asked, is what the formula says, for the engine; satisfiable means falsified.
    """

    group: str
    name: str
    formula: Formula
    problem: opb.Problem | None = None
    known_answer: str | None = None
    question: tuple[Network, Property] | None = None

    @property
    def optimizes(self) -> bool:
        return self.problem is not None and self.problem.objective is not None

    def rows(self) -> Iterator[Row]:
        """The constraints: an OPB file's own, otherwise clauses and reified sums."""
        if self.problem is not None:
            for constraint in self.problem.constraints:
                yield Row(0, constraint.coefficients, constraint.literals, constraint.relation, constraint.bound)
            return
        for clause in self.formula.clauses:
            yield Row(0, [1] * len(clause), clause, ">=", 1)
        for linear in self.formula.constraints:
            yield Row(linear.out, linear.all_weights, linear.literals, ">=", linear.bound)

    def first_violation(self, values: Sequence[int]) -> str | None:
        """What a model violates, on the file's own constraints; None if nothing."""
        return (self.problem or self.formula).first_violation(values)


def from_knf_folder(folder: Path) -> Iterator[Query]:
    """Every `.knf` and `.knf.gz`, with the answer of `results.tsv` where the folder has one."""
    answers: dict[str, str] = {}
    if (folder / "results.tsv").exists():
        with (folder / "results.tsv").open(newline="") as lines:
            answers = {row["file"]: row["answer"] for row in csv.DictReader(lines, delimiter="\t")}
    for path in sorted([*folder.glob("*.knf"), *folder.glob("*.knf.gz")]):
        name = path.name.removesuffix(".gz")
        known = answers.get(name)
        yield Query(folder.name, name, formulas.read(path), None, known if known in ("SAT", "UNSAT") else None)


def from_opb_folder(folder: Path) -> Iterator[Query]:
    """Every `.opb` and `.opb.gz`, decision or optimization."""
    for path in sorted([*folder.glob("*.opb"), *folder.glob("*.opb.gz")]):
        problem = opb.read(path)
        yield Query(folder.name, path.name.removesuffix(".gz"), opb.recognize(problem), problem)


def from_generator(generator: Path, seeds: int) -> Iterator[Query]:
    """Random networks: `generator` is run for each of RANDOM_NETWORKS and `seeds` seeds."""
    for sizes, sparsity, flips in RANDOM_NETWORKS:
        for seed in range(seeds):
            with tempfile.NamedTemporaryFile("r", suffix=".rc") as file:
                options = ["--sizes", sizes, "--sparsity", str(sparsity), "--k", str(flips), "--seed", str(seed)]
                subprocess.run([sys.executable, str(generator), *options, "-o", file.name], check=True)
                name = f"{sizes.replace(',', '-')}-zeros{sparsity}-flips{flips}-seed{seed}"
                yield Query("random", name, _read_generated(file.read()))


def _read_generated(text: str) -> Formula:
    """The generator's text: `l` clause, `g K` sum >= K, `r B K` B <-> sum >= K, each ended by 0."""
    variables, clauses, constraints = 0, [], []
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "p":
            variables = int(words[1])
        elif kind == "l":
            clauses.append(tuple(map(int, words[:-1])))
        elif kind == "g":
            bound, *literals = map(int, words[:-1])
            constraints.append(LinearConstraint(0, tuple(literals), bound))
        elif kind == "r":
            out, bound, *literals = map(int, words[:-1])
            constraints.append(LinearConstraint(out, tuple(literals), bound))
    return Formula(variables, tuple(clauses), tuple(constraints))


def from_model(path: Path, dataset: str, data: Path | None, eps: str, count: int) -> Iterator[Query]:
    """L-infinity queries about a model's first test images, without those that bounds alone decide."""
    model = load_model(path)
    network = build(model)
    images = bnnhw.data.load(dataset, data)
    radius = pixel_radius(eps, model.quantizer)
    for index in range(min(count, len(images.test_images))):
        image, label = images.test_images[index], int(images.test_labels[index])
        question = linf_ball(image, radius, model.quantizer) & Keeps(label)
        asked = ask([network], question)
        if not asked.clean_reaches and not asked.bound():
            name = f"{dataset}-e{eps}-{index:04d}"
            yield Query(path.stem, name, formulate([network], question), question=(network, question))
