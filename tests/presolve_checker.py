"""A checker of presolve's reports that trusts none of its code: Python integers and the IntegerModel, nothing else.

Every decided bit is derived again from the model's weights, the region's steps and the bits decided before it: the
neuron's constraint plus the claimed multiple of the budget's has to leave exactly the claimed slack, and that must not
be negative. Score differences are added up from what is left undecided. A claim that does not follow is a StepError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool
from bnnhw.model.layers import Hidden, Shape
from bnnhw.verify import Avoids, Keeps, NotUnanimouslyWrong, Property, Region


class StepError(ValueError):
    """A reported step does not follow from the model and the steps before it."""


class Decision(NamedTuple):
    network: int
    layer: int
    neuron: int
    bit: int
    numerator: int
    denominator: int
    slack: int


class ScoreBound(NamedTuple):
    network: int
    winner: int
    loser: int
    most: int


class Neuron(NamedTuple):
    """``bit = sum of weight * activation >= threshold`` (<= if less_equal)."""

    weights: dict[int, int]
    threshold: int
    less_equal: bool


class Change(NamedTuple):
    """What one step, or one flipped bit, adds to an activation, and what it costs."""

    delta: int
    cost: int


Changes = dict[int, list[Change]]
"""What can change, by activation."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise StepError(message)


def check_presolve(
    models: Sequence[IntegerModel],
    question: Property,
    decisions: Iterable[Decision],
    score_bounds: Iterable[ScoreBound],
) -> bool:
    """Do the steps, each of them checked, exclude every violation of the question's condition?"""
    told = list(decisions)
    places = [(one.network, one.layer) for one in told]
    require(places == sorted(places), "decisions come by network and layer")
    require(len({one[:3] for one in told}) == len(told), "a bit is decided once")
    require(all(0 <= network < len(models) for network, _ in places), "a decision names a network")
    checked = [
        _Checked(models, index, question.region, [one for one in told if one.network == index])
        for index in range(len(models))
    ]
    outranked = set()
    for bound in score_bounds:
        require(0 <= bound.network < len(models), "a score bound names a network")
        most = checked[bound.network].largest_difference(bound.winner, bound.loser)
        require(bound.most == most, f"{bound}: the difference reaches {most}")
        outranked.add((bound.network, bound.winner, bound.loser))

    def loses(index: int, winner: int, loser: int, ties_win: bool = False) -> bool:
        if (index, winner, loser) not in outranked:
            return False
        output = models[index].output
        lead = checked[index].largest_difference(winner, loser) << output.shift
        lead += int(output.bias[winner]) - int(output.bias[loser])
        return lead < 0 or (lead == 0 and not ties_win and winner > loser)

    classes, condition = range(models[0].classes), question.condition
    if isinstance(condition, Keeps):
        return all(loses(0, one, condition.label, condition.strictly) for one in classes if one != condition.label)
    if isinstance(condition, Avoids):
        return any(loses(0, condition.target, one) for one in classes if one != condition.target)
    if isinstance(condition, NotUnanimouslyWrong):
        return all(
            any(loses(index, one, other) for index in range(len(models)) for other in classes if other != one)
            for one in classes
            if one != condition.label
        )
    given = [one.predicted for one in checked]
    return given[0] == given[1] and all(
        loses(index, one, given[0]) for index in (0, 1) for one in classes if one != given[0]
    )


class _Checked:
    """One network with its decisions checked: the clean run, and what is left to change before the output."""

    def __init__(
        self, models: Sequence[IntegerModel], index: int, region: Region, decisions: Sequence[Decision]
    ) -> None:
        self.model = model = models[index]
        self.limit = None if region.budget is None else region.budget.limit
        self.values = [_level(model, pixel, value) for pixel, value in enumerate(region.image.ravel().tolist())]
        self.open = _steps(models, index, region)
        told = {(one.layer, one.neuron): one for one in decisions}
        for number, (layer, shape) in enumerate(zip(model.hidden, model.shapes, strict=False)):
            neurons = _neurons(layer, shape)
            bits = [_bit(neuron, self._sum(neuron)) for neuron in neurons]
            left: Changes = {}
            for at, neuron in enumerate(neurons):
                if not any(i in self.open for i in neuron.weights):
                    continue
                decision = told.pop((number, at), None)
                if decision is None:
                    left[at] = [Change(1 - 2 * bits[at], 0)]
                else:
                    self._check(decision, neuron, bits[at])
            self.values, self.open, self.limit = bits, left, None
        require(not told, "decisions of bits that do not exist, or that nothing can change")
        rows = model.output.weights.tolist()
        self.sums = [sum(w * v for w, v in zip(row, self.values, strict=True)) for row in rows]
        scores = [(s << model.output.shift) + b for s, b in zip(self.sums, model.output.bias.tolist(), strict=True)]
        self.predicted = scores.index(max(scores))

    def _sum(self, neuron: Neuron) -> int:
        return sum(weight * self.values[i] for i, weight in neuron.weights.items())

    def _check(self, decision: Decision, neuron: Neuron, bit: int) -> None:
        require(decision.bit == bit, f"{decision}: the image itself has the other bit")
        require(decision.numerator >= 0 and decision.denominator > 0, f"{decision}: the multiplier is not one")
        require(decision.numerator == 0 or self.limit is not None, f"{decision}: there is no budget here")
        falls = (bit == 1) != neuron.less_equal
        total = self._sum(neuron)
        margin = total - neuron.threshold if falls else neuron.threshold - total
        margin -= 1 - bit
        worst = decision.numerator * (self.limit or 0)
        for i, weight in neuron.weights.items():
            for change in self.open.get(i, []):
                harm = weight * change.delta * (-1 if falls else 1)
                worst += max(0, harm * decision.denominator - decision.numerator * change.cost) if harm > 0 else 0
        slack = margin - worst // decision.denominator
        require(decision.slack == slack and slack >= 0, f"{decision}: the slack is {slack}")

    def largest_difference(self, winner: int, loser: int) -> int:
        require(min(winner, loser) >= 0 and max(winner, loser) < self.model.classes, "a score bound names classes")
        first, second = (self.model.output.weights[one].tolist() for one in (winner, loser))
        most = self.sums[winner] - self.sums[loser]
        for i, changes in self.open.items():
            most += sum(max(0, (first[i] - second[i]) * change.delta) for change in changes)
        return most


def _thresholds(model: IntegerModel, pixel: int) -> list[int]:
    levels, channels, height, width = model.quantizer.thresholds.shape
    _, rows, columns = model.quantizer.shape
    c, y, x = pixel // (rows * columns), pixel // columns % rows, pixel % columns
    at = (min(c, channels - 1), min(y, height - 1), min(x, width - 1))
    return [int(model.quantizer.thresholds[level][at]) for level in range(levels)]


def _level(model: IntegerModel, pixel: int, value: int) -> int:
    return sum(value >= threshold for threshold in _thresholds(model, pixel))


def _steps(models: Sequence[IntegerModel], index: int, region: Region) -> Changes:
    """What passing each threshold in the box, of any of the models, changes in one of them, and what it costs."""
    steps: Changes = {}
    pixels = zip(region.image.ravel().tolist(), region.low.ravel().tolist(), region.high.ravel().tolist(), strict=True)
    for pixel, (value, low, high) in enumerate(pixels):
        inside = {t for model in models for t in _thresholds(model, pixel) if low < t <= high}
        own = _thresholds(models[index], pixel)
        up = [(t, own.count(t), t - value) for t in sorted(inside) if t > value]
        down = [(t, -own.count(t), value - t + 1) for t in sorted(inside, reverse=True) if t <= value]
        for chain in (up, down):
            before = 0
            for _, delta, distance in chain:
                cost = _cost(region, pixel, distance)
                if region.budget is not None and cost > region.budget.limit:
                    break
                if delta:
                    steps.setdefault(pixel, []).append(Change(delta, cost - before))
                before = cost
    return steps


def _cost(region: Region, pixel: int, distance: int) -> int:
    if region.budget is None:
        return 0
    weight = 1 if region.budget.weight is None else int(region.budget.weight.ravel()[pixel])
    return weight * {"l0": 1, "l1": distance, "l2_squared": distance**2}[region.budget.norm]


def _bit(neuron: Neuron, total: int) -> int:
    return int(total <= neuron.threshold if neuron.less_equal else total >= neuron.threshold)


def _neurons(layer: Hidden, shape: Shape) -> list[Neuron]:
    """A layer's neurons in C, H, W order, each with its own weights; pooling asks for any, or all, of a window."""
    if isinstance(layer, Dense):
        return [
            Neuron({i: w for i, w in enumerate(row) if w}, int(t), bool(flip))
            for row, t, flip in zip(layer.weights.tolist(), layer.threshold, layer.less_equal, strict=True)
        ]
    channels, height, width = shape
    pooling = isinstance(layer, MaxPool)
    kernel = layer.kernel if isinstance(layer, MaxPool) else layer.weights.shape[2:]
    padding = (0, 0) if isinstance(layer, MaxPool) else layer.padding
    rows = (height + 2 * padding[0] - kernel[0]) // layer.stride[0] + 1
    columns = (width + 2 * padding[1] - kernel[1]) // layer.stride[1] + 1
    made = channels if pooling else layer.weights.shape[0]
    neurons = []
    for out, row, column in product(range(made), range(rows), range(columns)):
        weights = {}
        for source, dy, dx in product([out] if pooling else range(channels), range(kernel[0]), range(kernel[1])):
            y, x = row * layer.stride[0] - padding[0] + dy, column * layer.stride[1] - padding[1] + dx
            weight = 1 if not isinstance(layer, Conv) else int(layer.weights[out, source, dy, dx])
            if weight and 0 <= y < height and 0 <= x < width:
                weights[(source * height + y) * width + x] = weight
        if isinstance(layer, Conv):
            threshold = int(layer.threshold[out] if layer.threshold.ndim == 1 else layer.threshold[out, row, column])
            neurons.append(Neuron(weights, threshold, bool(layer.less_equal[out])))
        else:
            neurons.append(Neuron(weights, kernel[0] * kernel[1] if layer.conjunctive[out] else 1, False))
    return neurons
