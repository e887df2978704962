"""The questions to ask: robustness queries and other formulas, from folders, a generator or a model, as one value."""

from __future__ import annotations

import csv
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

import bnnhw.data
from bnnhw.model import load as load_model
from bnnhw.verify import Keeps, Network, Property, build, formulate, linf_ball, opb, pixel_radius
from bnnhw.verify import formula as formulas
from bnnhw.verify.check import ask
from bnnhw.verify.formula import Formula, LinearConstraint


@dataclass(frozen=True)
class RandomShape:
    """A random network's layer sizes and share of zero weights, and how its input may change.

    Either all of `free` randomly chosen inputs may, or at most `flips` of all.
    """

    sizes: tuple[int, ...]
    zeros: float
    free: int | None = None
    flips: int | None = None

    @property
    def name(self) -> str:
        change = f"free{self.free}" if self.flips is None else f"flips{self.flips}"
        return f"{'-'.join(map(str, self.sizes))}-zeros{self.zeros:g}-{change}"


_TINY, _SMALL, _MIDDLE = (100, 50, 50, 10), (200, 100, 100, 10), (400, 200, 100, 10)
RANDOM_SHAPES = (
    *(RandomShape(_TINY, zeros, free=free) for zeros in (0.0, 0.8) for free in (6, 10, 14)),
    *(RandomShape(_SMALL, zeros, free=free) for zeros, free in ((0.0, 14), (0.8, 14), (0.8, 18), (0.8, 22))),
    *(RandomShape(_MIDDLE, 0.8, free=free) for free in (14, 22)),
    RandomShape((784, 500, 300, 10), 0.9, free=14),
    RandomShape(_SMALL, 0.8, flips=1),
    RandomShape(_MIDDLE, 0.8, flips=1),
    *(RandomShape((784, 300, 100, 10), zeros, flips=1) for zeros in (0.0, 0.8)),
)
_CANDIDATE_INPUTS = 1000


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


def from_generator(path: Path, seeds: int) -> Iterator[Query]:
    """Random networks made by the functions of the Python file `path`: all of RANDOM_SHAPES, `seeds` of each.

    The question is asked at the input with the largest margin among a thousand random ones. Queries of one layout of
    layers form a group.
    """
    spec = importlib.util.spec_from_file_location("random_networks", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file: give the generator of random networks")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for shape in RANDOM_SHAPES:
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            network = generator.make_net(random, shape.sizes, shape.zeros)
            generator.balance(random, network, shape.sizes[0], None)

            def margin(point: np.ndarray, network: object = network) -> int:
                rival, best = np.sort(generator.forward(network, point))[-2:]
                return int(best - rival)

            points = random.choice([-1, 1], size=(_CANDIDATE_INPUTS, shape.sizes[0]))
            center = max(points, key=margin)
            free = None if shape.free is None else random.choice(shape.sizes[0], shape.free, replace=False)
            asked, _ = generator.query(network, center, shape.flips, free)
            with tempfile.NamedTemporaryFile("r", suffix=".rc") as file:
                asked.write(file.name)
                group = f"random {'-'.join(map(str, shape.sizes))}"
                yield Query(group, f"{shape.name}-seed{seed}", _read_generated(file.read()))


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
