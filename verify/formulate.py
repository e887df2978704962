"""A question as a formula, for other solvers: written from the model's definition, sharing nothing with the engine.

The engine encodes a question in C++ straight into its own solver. Here the same question becomes a `Formula` of
clauses and reified linear constraints by the shortest route there is: intervals over the region's box, one variable
per (pixel, threshold) and undecided bit, and the budget as one more constraint. It is the second opinion of
cross-checks and tests, and the way to hand queries to other solvers as `.knf` files. Satisfiable means falsified.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnnhw.model.reference import quantize
from bnnhw.verify.formula import Formula, LinearConstraint
from bnnhw.verify.network import Integers, Matrix, Network, Pool
from bnnhw.verify.properties import Avoids, Budget, Keeps, NotUnanimouslyWrong, Property, Region

Terms = list[tuple[int, int]]
"""Weighted literals: the sum of weight * [literal]."""


class _Writer:
    def __init__(self) -> None:
        self.variables = 0
        self.clauses: list[tuple[int, ...]] = []
        self.constraints: list[LinearConstraint] = []

    def variable(self) -> int:
        self.variables += 1
        return self.variables

    def at_least(self, out: int, terms: Terms, bound: int) -> None:
        """out <-> sum of weight * [literal] >= bound; out 0 asserts it."""
        kept = [(weight if literal > 0 else -weight, abs(literal)) for weight, literal in terms if weight]
        bound -= sum(weight for weight, literal in terms if weight and literal < 0)
        weights, literals = tuple(w for w, _ in kept), tuple(v for _, v in kept)
        always = sum(min(w, 0) for w in weights) >= bound
        if always or sum(max(w, 0) for w in weights) < bound:
            if out:
                self.clauses.append((out if always else -out,))
            elif not always:
                self.clauses.append(())
            return
        self.constraints.append(LinearConstraint(out, literals, bound, weights))

    def all_of(self, literals: list[int]) -> int:
        out = self.variable()
        self.at_least(out, [(1, literal) for literal in literals], len(literals))
        return out


def formulate(networks: Sequence[Network], question: Property) -> Formula:
    """Satisfiable exactly when some image of the region violates the condition."""
    question.check([network.model for network in networks])
    writer = _Writer()
    region, condition = question.region, question.condition
    steps = _steps(writer, networks, region)
    outputs = [_network(writer, network, region, steps) for network in networks]
    classes = range(networks[0].model.classes)

    def beats(index: int, winner: int, loser: int, ties_win: bool = False) -> int:
        network = networks[index]
        strictly = int(winner > loser and not ties_win)
        needed = -((-(strictly + int(network.bias[loser]) - int(network.bias[winner]))) >> network.model.output.shift)
        out = writer.variable()
        constant, terms = outputs[index]
        difference = network.output[winner] - network.output[loser]
        total = [(int(difference[i]) * weight, literal) for i, group in terms.items() for weight, literal in group]
        writer.at_least(out, total, needed - int(difference @ constant))
        return out

    def wins(index: int, one: int) -> int:
        return writer.all_of([beats(index, one, other) for other in classes if other != one])

    if isinstance(condition, Keeps):
        label = condition.label
        writer.clauses.append(tuple(beats(0, c, label, condition.strictly) for c in classes if c != label))
    elif isinstance(condition, Avoids):
        writer.clauses.append((wins(0, condition.target),))
    elif isinstance(condition, NotUnanimouslyWrong):
        wrong = [c for c in classes if c != condition.label]
        writer.clauses.append(tuple(writer.all_of([wins(n, c) for n in range(len(networks))]) for c in wrong))
    else:
        writer.clauses.append(tuple(writer.all_of([wins(0, c), -wins(1, c)]) for c in classes))
    return Formula(writer.variables, tuple(writer.clauses), tuple(writer.constraints))


def _thresholds(network: Network) -> Integers:
    """The quantizer's thresholds, int[levels, pixels]."""
    shape = (network.quantizer.levels, *network.quantizer.shape)
    return np.broadcast_to(network.quantizer.thresholds, shape).reshape(shape[0], -1).astype(np.int64)


def _steps(writer: _Writer, networks: Sequence[Network], region: Region) -> list[list[tuple[int, int]]]:
    """Per pixel the (threshold, variable) pairs inside its box, ascending, chained; the budget is added."""
    image, low, high = (side.reshape(-1) for side in (region.image, region.low, region.high))
    flat = [
        np.broadcast_to(n.quantizer.thresholds, (n.quantizer.levels, *n.quantizer.shape)).reshape(
            n.quantizer.levels, -1
        )
        for n in networks
    ]
    steps: list[list[tuple[int, int]]] = []
    costs: Terms = []
    for pixel in range(len(image)):
        inside = sorted({int(t) for one in flat for t in one[:, pixel] if low[pixel] < t <= high[pixel]})
        steps.append([(threshold, writer.variable()) for threshold in inside])
        writer.clauses += [(-b, a) for (_, a), (_, b) in zip(steps[-1], steps[-1][1:], strict=False)]
        if region.budget is not None:
            costs += _costs(region.budget, pixel, int(image[pixel]), steps[-1])
    if region.budget is not None:
        writer.at_least(0, [(-weight, literal) for weight, literal in costs], -region.budget.limit)
    return steps


def _costs(budget: Budget, pixel: int, value: int, steps: list[tuple[int, int]]) -> Terms:
    """What each literal of the pixel's chain adds to the cheapest image that satisfies it."""
    weight = 1 if budget.weight is None else int(budget.weight.reshape(-1)[pixel])

    def cost(distance: int) -> int:
        return weight * {"l0": 1, "l1": distance, "l2_squared": distance**2}[budget.norm]

    up = [(cost(t - value), variable) for t, variable in steps if t > value]
    down = [(cost(value - t + 1), -variable) for t, variable in reversed(steps) if t <= value]
    terms: Terms = []
    for chain in (up, down):
        terms += [(c - before, v) for (c, v), before in zip(chain, [0, *(c for c, _ in chain)], strict=False)]
    return terms


def _network(
    writer: _Writer, network: Network, region: Region, steps: list[list[tuple[int, int]]]
) -> tuple[Integers, dict[int, Terms]]:
    """The output stage's inputs: their constants int64[n], and the weighted literals of the undecided ones."""
    quantizer = network.quantizer
    low, high = (quantize(quantizer, side[None]).reshape(-1) for side in (region.low, region.high))
    levels = _thresholds(network)
    terms: dict[int, Terms] = {}
    for pixel, chain in enumerate(steps):
        if chain:
            terms[pixel] = [(int((levels[:, pixel] == threshold).sum()), variable) for threshold, variable in chain]
    constant = low
    for layer in network.hidden:
        matrix: Matrix = layer.windows if isinstance(layer, Pool) else layer.matrix
        least = matrix.maximum(0) @ low + matrix.minimum(0) @ high
        most = matrix.maximum(0) @ high + matrix.minimum(0) @ low
        if isinstance(layer, Pool):
            size = np.diff(matrix.indptr)
            threshold, less_equal = np.where(layer.conjunctive, size, 1), np.zeros(len(size), bool)
        else:
            threshold, less_equal = layer.threshold, layer.less_equal
        bit_low = np.where(less_equal, most <= threshold, least >= threshold)
        bit_high = np.where(less_equal, least <= threshold, most >= threshold)
        made: dict[int, Terms] = {}
        sums = matrix @ constant
        for row in np.nonzero(bit_low != bit_high)[0].tolist():
            span = slice(matrix.indptr[row], matrix.indptr[row + 1])
            pairs = zip(matrix.indices[span].tolist(), matrix.data[span].tolist(), strict=True)
            total = [(weight * w, literal) for i, weight in pairs for w, literal in terms.get(i, [])]
            out = writer.variable()
            flipped = bool(less_equal[row])
            # sum <= t is not (sum >= t + 1).
            writer.at_least(-out if flipped else out, total, int(threshold[row]) + flipped - int(sums[row]))
            made[row] = [(1, out)]
        constant = low = bit_low.astype(np.int64)
        high = bit_high.astype(np.int64)
        terms = made
    return constant, terms
