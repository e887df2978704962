"""The checker of certificates once more, in plain Python: slow, and written from docs/certificates.md alone.

A certificate that both accept rests on neither's mistakes; and where a corrupted one is accepted, this says whether it
is a proof all the same. Models come from their own reader and mean what `bnnhw.model.layers` says. As a program it
checks files, and ends with 1 if one is refused:

    python tests/certificate_twin.py CERTIFICATE... [--model MODEL.bnn] [--formula FORMULA.knf]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, decode, reference
from bnnhw.verify.formula import parse, read_bytes

Terms = Mapping[int, int]
"""Weight by variable."""


class RefusedError(Exception):
    """The proof does not show it; the message says where."""


@dataclass
class Linear:
    """out <-> sum of weight * [variable] >= bound; out is +v or -v, variable 0 is true and never negated."""

    out: int
    terms: Terms
    bound: int

    @property
    def always(self) -> bool:
        return sum(min(w, 0) for w in self.terms.values()) >= self.bound

    @property
    def never(self) -> bool:
        return sum(max(w, 0) for w in self.terms.values()) < self.bound


@dataclass
class Formula:
    variables: int = 0
    clauses: list[list[int]] = field(default_factory=list)
    constraints: dict[int, Linear] = field(default_factory=dict)


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def letter(self) -> str:
        self.at += 1
        return chr(self.data[self.at - 1]) if self.at <= len(self.data) else ""

    def number(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 49:
                raise RefusedError("a number breaks off or is too long")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


@dataclass
class Sum:
    """low + sum of weight * [variable]: what an activation is; image: its value for the unchanged image (levels)."""

    low: int
    high: int
    image: int
    terms: Terms


def _cost(budget: Mapping[str, Any], pixel: int, distance: int) -> int:
    weight = 1 if budget["weight"] is None else budget["weight"][pixel]
    return int(weight) * {"l0": int(distance > 0), "l1": distance, "l2_squared": distance**2}[budget["norm"]]


def _rows(layer: Any, shape: tuple[int, int, int], made: tuple[int, int, int]) -> Iterator[tuple[dict[int, int], int]]:
    """Of every output its weights by input, and the threshold that their sum has to reach."""
    channels, height, width = shape
    for o in range(made[0]):
        for y in range(made[1]):
            for x in range(made[2]):
                row: dict[int, int] = {}
                if isinstance(layer, Dense):
                    row = {i: int(w) for i, w in enumerate(layer.weights[o]) if w}
                else:
                    kernel = layer.weights.shape[2:] if isinstance(layer, Conv) else layer.kernel
                    padding = layer.padding if isinstance(layer, Conv) else (0, 0)
                    for c in range(channels):
                        for i, j in np.ndindex(*kernel):
                            at = (y * layer.stride[0] + i - padding[0], x * layer.stride[1] + j - padding[1])
                            weight = int(layer.weights[o, c, i, j]) if isinstance(layer, Conv) else int(c == o)
                            if weight and 0 <= at[0] < height and 0 <= at[1] < width:
                                row[(c * height + at[0]) * width + at[1]] = weight
                if isinstance(layer, MaxPool):
                    yield row, len(row) if layer.conjunctive[o] else 1
                    continue
                limit = int(layer.threshold[o] if layer.threshold.ndim == 1 else layer.threshold[o, y, x])
                yield ({i: -w for i, w in row.items()}, -limit) if layer.less_equal[o] else (row, limit)


def _thresholds(model: IntegerModel) -> Any:
    """int[levels, pixels]"""
    quantizer = model.quantizer
    return np.broadcast_to(quantizer.thresholds, (quantizer.levels, *quantizer.shape)).reshape(quantizer.levels, -1)


def formula_of(models: Sequence[IntegerModel], question: Mapping[str, Any], budget_steps: Mapping[int, Any]) -> Formula:
    image, low, high, budget = (question[name] for name in ("image", "low", "high", "budget"))
    formula = Formula()
    flat = [
        np.broadcast_to(m.quantizer.thresholds, (m.quantizer.levels, *m.quantizer.shape)).reshape(
            m.quantizer.levels, -1
        )
        for m in models
    ]
    steps: list[tuple[int, int, bool, int]] = []  # pixel, threshold, up, cost
    for pixel, value in enumerate(image):
        if not low[pixel] <= value <= high[pixel]:
            raise RefusedError("the box misses the image")

        def price(threshold: int, pixel: int = pixel, value: int = value) -> int:
            distance = threshold - value if threshold > value else value - threshold + 1
            return 0 if budget is None else _cost(budget, pixel, distance)

        inside = sorted({int(t) for one in flat for t in one[:, pixel] if low[pixel] < t <= high[pixel]})
        inside = [t for t in inside if budget is None or price(t) <= budget["limit"]]
        for i, t in enumerate(inside):
            nearer = inside[i - 1 : i] if t > value else inside[i + 1 : i + 2]
            paid = sum(price(n) for n in nearer if (n > value) == (t > value))
            if i:
                formula.clauses.append([-(len(steps) + 1), len(steps)])
            steps.append((pixel, t, t > value, price(t) - paid))
    formula.variables = len(steps)
    if budget is not None:
        spent = {i + 1: -cost if up else cost for i, (_, _, up, cost) in enumerate(steps)}
        formula.constraints[0] = Linear(0, spent, sum(c for _, _, up, c in steps if not up) - budget["limit"])
    outputs = []
    for model, levels in zip(models, flat, strict=True):
        inputs = []
        for pixel, value in enumerate(image):
            own = {i + 1: int((levels[:, pixel] == t).sum()) for i, (p, t, _, _) in enumerate(steps) if p == pixel}
            now = int((levels[:, pixel] <= value).sum())
            least = now - sum(gain for i, gain in own.items() if not steps[i - 1][2])
            inputs.append(Sum(least, least + sum(own.values()), now, own))
        for number, layer in enumerate(model.hidden):
            made = []
            for row, threshold in _rows(layer, model.shapes[number], model.shapes[number + 1]):
                formula.variables += 1
                name = formula.variables
                least = sum(w * (inputs[i].low if w > 0 else inputs[i].high) for i, w in row.items())
                most = sum(w * (inputs[i].high if w > 0 else inputs[i].low) for i, w in row.items())
                always, never = least >= threshold, most < threshold
                if number == 0 and name in budget_steps and not (always or never):
                    always, never = _by_budget(budget_steps[name], row, threshold, inputs, steps, budget)
                made.append(Sum(int(always), int(not never), 0, {} if always or never else {name: 1}))
                if always or never:
                    formula.clauses.append([name if always else -name])
                else:
                    formula.constraints[name] = _linear(name, row, inputs, threshold)
            inputs = made
        outputs.append(inputs)
    _add_goal(formula, models, outputs, question["condition"])
    return formula


def formula_of_knf(text: bytes) -> Formula:
    """The formula of a `.knf` text, its constraints named by their places."""
    made = parse(text.decode())
    formula = Formula(made.variables, [list(dict.fromkeys(clause)) for clause in made.clauses])
    for name, constraint in enumerate(made.constraints):
        terms: dict[int, int] = defaultdict(int)
        bound = constraint.bound
        for literal, weight in zip(constraint.literals, constraint.all_weights, strict=True):
            terms[abs(literal)] += weight if literal > 0 else -weight
            bound -= weight if literal < 0 else 0
        formula.constraints[name] = Linear(constraint.out, terms, bound)
    return formula


def _linear(name: int, row: Mapping[int, int], inputs: Sequence[Sum], least: int) -> Linear:
    terms: dict[int, int] = defaultdict(int)
    for i, weight in row.items():
        least -= weight * inputs[i].low
        for variable, gain in inputs[i].terms.items():
            terms[variable] += weight * gain
    return Linear(name, terms, least)


def _by_budget(step: Any, row: Any, threshold: int, inputs: Any, steps: Any, budget: Any) -> tuple[bool, bool]:
    """Weak duality: whatever is taken within the budget, the sum loses at most this."""
    value, numerator, denominator = step
    if budget is None or denominator <= 0:
        raise RefusedError("a budget step without a budget or with a wrong multiplier")
    toward = -1 if value else 1
    worst = numerator * budget["limit"]
    for i, weight in row.items():
        for variable, gain in inputs[i].terms.items():
            _, _, up, cost = steps[variable - 1]
            loss = toward * weight * gain * (1 if up else -1)
            worst += max(0, denominator * loss - numerator * cost)
    now = sum(w * inputs[i].image for i, w in row.items())
    margin = now - threshold if value else threshold - 1 - now
    if not denominator * margin - worst > -denominator:
        raise RefusedError("a budget step that does not add up")
    return value, not value


def _add_goal(formula: Formula, models: Any, outputs: Any, condition: Mapping[str, Any]) -> None:
    classes, count = models[0].classes, len(models)
    comparisons = formula.variables + 1
    wins_at = comparisons + count * classes * classes
    formula.variables = wins_at + (count + 1) * classes - 1

    def beats(n: int, one: int, other: int, ties_win: bool = False) -> int:
        output = models[n].output
        name = comparisons + (n * classes + one) * classes + other
        least = int(not ties_win and one > other) + int(output.bias[other]) - int(output.bias[one])
        difference = output.weights[one].astype(int) - output.weights[other]
        row = {i: int(w) for i, w in enumerate(difference) if w}
        formula.constraints[name] = _linear(name, row, outputs[n], -((-least) >> output.shift))
        return name

    def all_of(name: int, literals: Sequence[int]) -> int:
        terms = {abs(one): 1 if one > 0 else -1 for one in literals}
        formula.constraints[name] = Linear(name, terms, sum(one > 0 for one in literals))
        return name

    def wins(n: int, one: int) -> int:
        return all_of(wins_at + n * classes + one, [beats(n, one, other) for other in range(classes) if other != one])

    kind, others = condition["kind"], range(classes)
    if kind == "avoids":
        target = condition["target"]
        formula.clauses += [[beats(0, target, other)] for other in others if other != target]
        return
    goal = wins_at + count * classes
    if kind == "keeps":
        label = condition["label"]
        any_of = [beats(0, one, label, condition["strictly"]) for one in others if one != label]
    elif kind == "not_unanimously_wrong":
        wrong = [one for one in others if one != condition["label"]]
        any_of = [all_of(goal + one, [wins(n, one) for n in range(count)]) for one in wrong]
    else:
        any_of = [all_of(goal + one, [wins(0, one), -wins(1, one)]) for one in others]
    formula.clauses.append(any_of)


class Twin:
    """A proof's state: the clauses, the constraints as they read now, which literals are one, and all values.

    Between steps, what has a value is fixed. A constraint keeps the least and the most that its sum can come to.
    """

    def __init__(self, formula: Formula) -> None:
        self.variables = formula.variables
        self.values: list[bool | None] = [True] + [None] * formula.variables
        self.trail: list[int] = []
        self.seen = 0
        self.clauses: list[list[int] | None] = []
        self.watches: dict[int, list[int]] = defaultdict(list)
        self.stated = formula.constraints
        self.constraints: dict[int, Linear] = {}
        rows = 1 + max(formula.constraints, default=0)
        # A sum above ``least_quiet`` or below ``most_quiet`` may fix something.
        self.least, self.most, self.least_quiet, self.most_quiet = (np.zeros(rows, np.int64) for _ in range(4))
        self.weights: dict[int, dict[int, int]] = defaultdict(dict)
        self.effects: dict[int, Any] = {}
        self.of_output: dict[int, list[int]] = defaultdict(list)
        self.pending: set[int] = set()
        self.parent: dict[int, int] = {}
        self.lemmas: list[int] = []
        self.refuted = False
        for clause in formula.clauses:
            self.attach(list(clause))
        for name, linear in formula.constraints.items():
            self.write(name, linear)
        self.settle()

    def assign(self, variable: int, value: bool) -> bool:
        """False if the variable has the other value."""
        if self.values[variable] is not None:
            return self.values[variable] is value
        self.values[variable] = value
        self.trail.append(variable)
        self.pending.update(self.of_output[variable])
        rows, effect = self.effect(variable)
        if len(rows):
            gain, loss = effect[value]
            least, most = self.least[rows] + gain, self.most[rows] - loss
            self.least[rows], self.most[rows] = least, most
            self.pending.update(rows[(least > self.least_quiet[rows]) | (most < self.most_quiet[rows])].tolist())
        return True

    def effect(self, variable: int) -> Any:
        """The constraints with the variable, and for either value what their least gains and their most loses."""
        if variable not in self.effects:
            rows = np.array(list(self.weights[variable]), np.int64)
            weights = np.array(list(self.weights[variable].values()), np.int64)
            up, down = np.maximum(weights, 0), np.maximum(-weights, 0)
            self.effects[variable] = rows, {True: (up, down), False: (down, up)}
        return self.effects[variable]

    def undo(self, size: int) -> None:
        """Back to so many assignments."""
        for variable in reversed(self.trail[size:]):
            rows, effect = self.effect(variable)
            if len(rows):
                gain, loss = effect[self.values[variable]]
                self.least[rows] -= gain
                self.most[rows] += loss
            self.values[variable] = None
        del self.trail[size:]
        self.seen = min(self.seen, size)
        self.pending.clear()

    def propagate(self) -> bool:
        """Until nothing changes; False at a conflict."""
        while True:
            if self.seen < len(self.trail):
                variable = self.trail[self.seen]
                self.seen += 1
                if not self.visit_clauses(-variable if self.values[variable] else variable):
                    return False
            elif self.pending:
                if not self.visit_constraint(self.pending.pop()):
                    return False
            else:
                return True

    def visit_clauses(self, falsified: int) -> bool:
        values, watching, kept = self.values, self.watches[falsified], []
        for at, number in enumerate(watching):
            clause = self.clauses[number]
            if clause is None:
                continue
            if clause[0] == falsified:
                clause[0], clause[1] = clause[1], falsified
            other = clause[0]
            if values[abs(other)] is not (other > 0):
                for k in range(2, len(clause)):
                    if values[abs(clause[k])] is not (clause[k] < 0):
                        clause[1], clause[k] = clause[k], falsified
                        self.watches[clause[1]].append(number)
                        break
                else:
                    kept.append(number)
                    if not self.assign(abs(other), other > 0):
                        self.watches[falsified] = kept + watching[at + 1 :]
                        return False
                continue
            kept.append(number)
        self.watches[falsified] = kept
        return True

    def visit_constraint(self, name: int) -> bool:
        linear, least, most = self.constraints[name], int(self.least[name]), int(self.most[name])
        out = self.values[abs(linear.out)]
        if out is not None:
            out = out == (linear.out >= 0)
        if least >= linear.bound or most < linear.bound:
            value = least >= linear.bound
            return out is value or (out is None and self.assign(abs(linear.out), value == (linear.out > 0)))
        if out is None:
            return True
        room = most - linear.bound if out else linear.bound - 1 - least
        forced = [(v, (w > 0) == out) for v, w in linear.terms.items() if abs(w) > room and self.values[v] is None]
        return all(self.assign(variable, value) for variable, value in forced)

    def attach(self, clause: list[int]) -> None:
        clause = sorted(set(clause), key=lambda one: self.values[abs(one)] is (one < 0))
        open_ = sum(self.values[abs(one)] is not (one < 0) for one in clause)
        if open_ < 2:
            self.refuted = self.refuted or not clause or not self.assign(abs(clause[0]), clause[0] > 0)
        else:
            for one in clause[:2]:
                self.watches[one].append(len(self.clauses))
        self.clauses.append(clause)

    def write(self, name: int, linear: Linear) -> None:
        """In place of what the constraint of that name said."""
        self.pending.discard(name)
        if name in self.constraints:
            before = self.constraints[name]
            for variable in before.terms:
                if self.weights[variable].pop(name, None) is not None:
                    self.effects.pop(variable, None)
            if name in self.of_output[abs(before.out)]:
                self.of_output[abs(before.out)].remove(name)
        self.constraints[name] = linear
        if sum(abs(w) for w in linear.terms.values()) + abs(linear.bound) >= 1 << 62:
            raise RefusedError("a constraint whose weights are too large")
        if linear.always or linear.never:
            value = linear.always == (linear.out >= 0)
            self.refuted = self.refuted or not self.assign(abs(linear.out), value)
            return
        for variable, weight in linear.terms.items():
            self.weights[variable][name] = weight
            self.effects.pop(variable, None)
        self.of_output[abs(linear.out)].append(name)
        known = {v: w for v, w in linear.terms.items() if self.values[v] is not None}
        loose = [w for v, w in linear.terms.items() if v not in known]
        base = sum(w for v, w in known.items() if self.values[v])
        heaviest = max(abs(w) for w in linear.terms.values())
        self.least[name] = base + sum(min(w, 0) for w in loose)
        self.most[name] = base + sum(max(w, 0) for w in loose)
        self.least_quiet[name], self.most_quiet[name] = linear.bound - 1 - heaviest, linear.bound + heaviest
        self.pending.add(name)

    def find(self, literal: int) -> int:
        while abs(literal) in self.parent:
            literal = self.parent[abs(literal)] * (1 if literal > 0 else -1)
        return literal

    def normal(self, linear: Linear) -> Linear:
        terms: dict[int, int] = defaultdict(int)
        bound = linear.bound
        for variable, weight in linear.terms.items():
            value = self.values[variable]
            if value is not None:
                bound -= weight * value
                continue
            one = self.find(variable)
            # weight * [not v] is weight - weight * [v].
            terms[abs(one)] += weight if one > 0 else -weight
            bound -= weight if one < 0 else 0
        terms = {variable: weight for variable, weight in terms.items() if weight}
        least = sum(min(weight, 0) for weight in terms.values())
        divisor = gcd(*terms.values()) if least < bound else 1
        divisor = divisor or 1
        scaled = {variable: weight // divisor for variable, weight in terms.items()}
        out = linear.out if self.values[abs(linear.out)] is not None else self.find(linear.out)
        return Linear(out, scaled, -(-bound // divisor))

    def settle(self) -> None:
        self.refuted = self.refuted or not self.propagate()

    def merge(self, first: int, second: int) -> None:
        first, second = self.find(first), self.find(second)
        if first == second:
            return
        if first == -second:
            self.refuted = True
            return
        self.attach([-first, second])
        self.attach([first, -second])
        self.settle()
        if self.values[abs(first)] is not None:
            return
        low, high = sorted((first, second), key=abs)
        self.parent[abs(high)] = low if high > 0 else -low

    def named(self, data: Bytes) -> tuple[int, Linear]:
        name = data.number()
        # What is decided, or no constraint at all, is one that holds always.
        return name, self.normal(self.constraints.get(name, Linear(0, {}, 0)))

    def step(self, data: Bytes) -> None:
        match data.letter():
            case "a":
                codes = [data.number() for _ in range(_at_most(data.number(), self.variables + 1))]
                if any(code // 2 > self.variables for code in codes):
                    raise RefusedError("a lemma that is no clause")
                kept = len(self.trail)
                if all(self.assign(code // 2, code % 2 == 1) for code in codes) and self.propagate():
                    raise RefusedError("a lemma that does not follow")
                self.undo(kept)
                self.lemmas.append(len(self.clauses))
                # The constant true has no negation here: a clause with it holds, one with its negation goes without.
                if 0 in codes:
                    self.clauses.append(None)
                else:
                    self.attach([-(code // 2) if code % 2 else code // 2 for code in codes if code > 1])
                self.settle()
            case "d":
                back = data.number()
                if back >= len(self.lemmas):
                    raise RefusedError("there is no such lemma")
                self.clauses[self.lemmas[-1 - back]] = None
            case "w":
                self.write(*self.named(data))
                self.settle()
            case "e":
                name, linear = self.named(data)
                heavy = max(linear.terms, key=lambda v: abs(linear.terms[v]), default=0)
                decided = linear.always or linear.never or self.values[abs(linear.out)] is not None
                self.write(name, linear)
                self.settle()
                if decided or self.values[abs(linear.out)] is not None:
                    return
                rest = {v: w for v, w in linear.terms.items() if v != heavy}
                weight = linear.terms[heavy]
                swing = [sum(rest_w for rest_w in rest.values() if (rest_w > 0) == up) for up in (False, True)]
                if swing[0] + max(weight, 0) < linear.bound or swing[1] + min(weight, 0) >= linear.bound:
                    raise RefusedError("no literal decides the constraint")
                self.merge(linear.out, heavy if weight > 0 else -heavy)
            case "s":
                (one, first), (other, second) = self.named(data), self.named(data)
                negated = Linear(second.out, {v: -w for v, w in second.terms.items()}, 1 - second.bound)
                if (first.terms, first.bound) == (second.terms, second.bound):
                    self.same(first.out, second.out, 1)
                elif (first.terms, first.bound) == (negated.terms, negated.bound):
                    self.same(first.out, second.out, -1)
                elif all(linear.always or linear.never for linear in (first, second)):
                    self.write(one, first)
                    self.write(other, second)
                    self.settle()
                else:
                    raise RefusedError("the sums differ")
            case "n":
                name = data.number()
                if name not in self.stated:
                    raise RefusedError("there is no such constraint")
                self.every_way(self.normal(self.stated[name]))
            case letter:
                raise RefusedError(f"step {letter!r}")

    def every_way(self, limit: Linear) -> None:
        holds = self.values[abs(limit.out)] is (limit.out >= 0)
        if limit.never or not limit.terms or not holds:
            raise RefusedError("a constraint that need not hold")
        variables = sorted(limit.terms)
        inside = [
            linear
            for linear in self.constraints.values()
            if all(abs(self.find(one)) in limit.terms for one in linear.terms if self.values[one] is None)
        ]
        sums = [linear for linear in map(self.normal, inside) if not linear.always and not linear.never]
        patterns = _patterns(limit, variables, sums, [one for one in self.clauses if one is not None and len(one) == 2])
        outs = [linear.out for linear in sums]
        # Where plain evaluation finds the conflict, propagation does.
        for part in np.array_split(patterns, 1 + len(patterns) // 4096):
            for bits in part[~self.evaluation_conflicts(outs, part)]:
                kept = len(self.trail)
                given = zip(outs, bits.tolist(), strict=True)
                if all(self.assign(abs(out), bit == (out >= 0)) for out, bit in given) and self.propagate():
                    raise RefusedError("a way to meet the constraint that is not refuted")
                self.undo(kept)
        self.refuted = True

    def evaluation_conflicts(self, outs: Sequence[int], patterns: Any) -> Any:
        """bool[patterns]: a clause or a constraint is violated when the constraints are evaluated once, in order."""
        # 1 true, -1 false, 0 open.
        values = np.zeros((len(patterns), self.variables + 1), np.int8)
        for variable in (0, *self.trail):
            values[:, variable] = 1 if self.values[variable] else -1
        conflict = np.zeros(len(patterns), bool)
        for out, bits in zip(outs, patterns.T, strict=True):
            given = np.where(bits == (out >= 0), 1, -1).astype(np.int8)
            conflict |= values[:, abs(out)] == -given
            values[:, abs(out)] = given
        for linear in self.constraints.values():
            terms = np.array(list(linear.terms), np.int64)
            weights = np.array(list(linear.terms.values()), np.int64)
            given = values[:, terms]
            known = (given > 0) @ weights
            loose = given == 0
            always = known + loose @ np.minimum(weights, 0) >= linear.bound
            never = known + loose @ np.maximum(weights, 0) < linear.bound
            out = values[:, abs(linear.out)] * (1 if linear.out >= 0 else -1)
            conflict |= (always & (out < 0)) | (never & (out > 0))
            new = np.where(out != 0, out, always.astype(np.int8) - never)
            values[:, abs(linear.out)] = new * (1 if linear.out >= 0 else -1)
        for clause in self.clauses:
            if clause is not None:
                signs = np.array([1 if one > 0 else -1 for one in clause], np.int8)
                conflict |= (values[:, [abs(one) for one in clause]] * signs < 0).all(axis=1)
        return conflict

    def same(self, first: int, second: int, sign: int) -> None:
        if 0 in (first, second):
            other = first or second
            self.refuted = self.refuted or not self.assign(abs(other), (other >= 0) == (sign > 0))
            self.settle()
        else:
            self.merge(first, sign * second)


def _patterns(limit: Linear, variables: Sequence[int], sums: Sequence[Linear], pairs: Sequence[Sequence[int]]) -> Any:
    """bool[patterns, sums]: what the sums come to, each possible outcome once.

    A variable is taken when it is not as the limit wants it; what is taken costs its weight, and the clauses hold.
    """
    wanted = np.array([limit.terms[v] > 0 for v in variables])
    costs = np.array([abs(limit.terms[v]) for v in variables])
    weights = np.array([[linear.terms.get(v, 0) for v in variables] for linear in sums], np.int64)
    weights = weights.reshape(len(sums), len(variables))
    margins = weights @ wanted - np.array([linear.bound for linear in sums], np.int64)
    effects = np.where(wanted, -weights, weights).T
    place = {v: i for i, v in enumerate(variables)}
    inside = [(a, b) for a, b in pairs if abs(a) != abs(b) and abs(a) in place and abs(b) in place]
    ends = np.array([[place[abs(one)] for one in pair] for pair in inside], np.int64).reshape(-1, 2)
    untouched = np.array([[wanted[place[abs(one)]] == (one > 0) for one in pair] for pair in inside], bool).reshape(
        -1, 2
    )
    taken = np.zeros(len(variables), bool)
    found: set[bytes] = set()

    def allowed() -> Any:
        """Which single variable more leaves no clause violated."""
        true = untouched ^ taken[ends]
        one_more = np.ones(len(variables), bool)
        for pair in ends[~true.any(axis=1)]:
            one_more &= np.isin(np.arange(len(variables)), pair)
        for side in (0, 1):
            one_more[ends[true[:, side] & ~true[:, 1 - side], side]] = False
        return one_more

    def packed(bits: Any) -> Any:
        """uint64[patterns, words]"""
        rows = np.packbits(bits, axis=1)
        return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8))).view(np.uint64)

    def visit(start: int, left: int, at: Any) -> None:
        nexts = np.nonzero(costs[start:] <= left)[0] + start
        if not len(nexts):
            return
        words = packed(at + effects[nexts[allowed()[nexts]]] >= 0)
        one_each = np.unique(words[:, 0])[:, None] if words.shape[1] == 1 else np.unique(words, axis=0)
        found.update(row.tobytes() for row in one_each)
        for i in nexts:
            if left - costs[i] >= costs.min():
                taken[i] = True
                visit(int(i) + 1, left - int(costs[i]), at + effects[i])
                taken[i] = False

    if untouched.any(axis=1).all():
        found.add(packed(margins[None] >= 0).tobytes())
    visit(0, sum(max(w, 0) for w in limit.terms.values()) - limit.bound, margins)
    if not found:
        return np.zeros((0, len(sums)), bool)
    rows = np.frombuffer(b"".join(sorted(found)), np.uint8).reshape(len(found), -1)
    return np.unpackbits(rows, axis=1)[:, : len(sums)].astype(bool)


def _at_most(value: int, most: int) -> int:
    if value > most:
        raise RefusedError(f"{value} is out of range")
    return value


def steps(proof: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and letter of every step."""
    data = Bytes(proof)
    while data.at < len(proof):
        start, letter = data.at, data.letter()
        numbers = {"b": 3, "d": 1, "w": 1, "e": 1, "s": 2, "n": 1, "q": 0}.get(letter)
        for _ in range(data.number() if numbers is None else numbers):
            data.number()
        yield start, data.at, letter


def check_proof(formula: Formula, data: Bytes) -> None:
    """RefusedError unless the proof leads the formula to a contradiction."""
    twin = Twin(formula)
    while not twin.refuted:
        twin.step(data)


def check_robust(models: Sequence[IntegerModel], question: Mapping[str, Any], proof: bytes) -> None:
    """RefusedError unless the proof shows that no image of the question violates its condition."""
    data = Bytes(proof)
    steps = {}
    while data.data[data.at : data.at + 1] == b"b":
        data.letter()
        code, numerator, denominator = data.number(), data.number(), data.number()
        steps[code // 2] = (code % 2 == 0, numerator, denominator)
    check_proof(formula_of(models, question, steps), data)


def accepts(check: Callable[..., None], *arguments: Any) -> bool:
    """Does the check go through?"""
    try:
        check(*arguments)
    except (RefusedError, KeyError, TypeError, ValueError, IndexError):
        return False
    return True


def check_falsified(models: Sequence[IntegerModel], question: Mapping[str, Any], pixels: Sequence[int]) -> None:
    """RefusedError unless the pixels are an image of the question whose scores violate its condition."""
    cost = 0
    for pixel, (value, clean) in enumerate(zip(pixels, question["image"], strict=True)):
        if not question["low"][pixel] <= value <= question["high"][pixel]:
            raise RefusedError("the image lies outside the box")
        if question["budget"] is not None:
            cost += _cost(question["budget"], pixel, abs(value - clean))
    if question["budget"] is not None and cost > question["budget"]["limit"]:
        raise RefusedError("the image costs more than the budget")
    image = np.array(pixels).reshape(1, *question["shape"])
    scores = [reference.scores(model, image)[0] for model in models]
    classes = {int(one.argmax()) for one in scores}
    condition = question["condition"]
    match condition["kind"]:
        case "keeps":
            label = condition["label"]
            tie = condition["strictly"] and (np.delete(scores[0], label) == scores[0][label]).any()
            violated = classes != {label} or tie
        case "avoids":
            violated = classes == {condition["target"]}
        case "not_unanimously_wrong":
            violated = len(classes) == 1 and condition["label"] not in classes
        case "agree":
            violated = len(classes) > 1
        case kind:
            raise RefusedError(f"there is no condition {kind!r}")
    if not violated:
        raise RefusedError("the image meets the condition")


def check_file(data: bytes, models: Mapping[str, IntegerModel], formulas: Mapping[str, bytes]) -> str:
    """The verdict of a certificate that holds; RefusedError or KeyError, of what is missing, where one does not."""
    first, manifest_line, packed = data.split(b"\n", 2)
    manifest = json.loads(manifest_line)
    if first != b"bnnhw-certificate 1":
        raise RefusedError("it is no certificate")
    steps = b""
    if manifest["proof"] is not None:
        if hashlib.sha256(packed).hexdigest() != manifest["proof"]["sha256"]:
            raise RefusedError("the proof is not the one that its digest names")
        steps = zlib.decompress(packed)
    verdict = str(manifest["verdict"])
    if verdict == "unsatisfiable":
        check_proof(formula_of_knf(formulas[manifest["formula"]]), Bytes(steps))
        return verdict
    named = [models[digest] for digest in manifest["models"]]
    if verdict == "robust":
        check_robust(named, manifest["question"], steps)
    elif verdict == "falsified":
        check_falsified(named, manifest["question"], manifest["counterexample"])
    else:
        raise RefusedError(f"there is no verdict {verdict!r}")
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("certificates", nargs="+", type=Path)
    parser.add_argument("--model", action="append", type=Path, default=[])
    parser.add_argument("--formula", action="append", type=Path, default=[])
    arguments = parser.parse_args()
    files = [path.read_bytes() for path in arguments.model]
    models = {hashlib.sha256(file).hexdigest(): decode(file) for file in files}
    formulas = {hashlib.sha256(text).hexdigest(): text for text in map(read_bytes, arguments.formula)}
    held: dict[str, int] = defaultdict(int)
    begun = time.process_time()
    for path in arguments.certificates:
        try:
            held[check_file(path.read_bytes(), models, formulas)] += 1
        except (RefusedError, KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            held["refused"] += 1
            print(f"{path}: {type(error).__name__} {error}", file=sys.stderr)
    print(f"{dict(held)} in {time.process_time() - begun:.1f} s of one core")
    return int("refused" in held)


if __name__ == "__main__":
    sys.exit(main())
