"""Random questions on the edge, about networks on the edge: what bounds alone rarely decide.

Thresholds and biases are drawn from the accumulators of random images, so that bits and classes flip nearby. A table of
all images around then says how far away the nearest violation is, and the region ends exactly there or one step short:
falsified and robust come up equally often, and neither with room to spare.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from brute_force import Images, Mask, Table, box_members, costs, tabulate, violated
from random_models import random_padding

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer
from bnnhw.model.layers import Hidden, Shape, output_shape
from bnnhw.model.reference import accumulate, pool, quantize, threshold
from bnnhw.verify import Agree, Avoids, Budget, Keeps, NotUnanimouslyWrong, Plan, Property, Region
from bnnhw.verify.properties import Condition, Norm

SPACES: list[tuple[Shape, int, int]] = [
    ((1, 2, 2), 7, 4),
    ((1, 2, 3), 3, 6),
    ((1, 3, 3), 1, 9),
    ((2, 2, 2), 2, 7),
    ((1, 3, 4), 1, 12),
    ((1, 1, 13), 1, 12),
    ((3, 1, 2), 3, 6),
    ((1, 5, 5), 1, 12),
    ((2, 4, 4), 1, 12),
    ((1, 6, 4), 2, 7),
    ((1, 4, 3), 255, 2),
]
"""Image shape, largest pixel value and how many pixels move; the others keep a value (255: moves within 60 values)."""


def edgy_model(rng: np.random.Generator, shape: Shape, largest: int, classes: int) -> IntegerModel:
    """A model whose bits and classes all flip somewhere near random images."""
    levels = int(rng.integers(1, 7))
    sides = (levels, 1, 1, 1) if rng.random() < 0.7 else (levels, *shape)
    quantizer = Quantizer(shape, np.sort(rng.integers(1, largest + 1, sides), axis=0), 0, largest)
    activations: np.ndarray = quantize(quantizer, rng.integers(0, largest + 1, (16, *shape)))
    current = shape
    hidden: list[Hidden] = []
    for _ in range(int(rng.integers(1, 5))):
        choice = rng.random()
        if hidden and min(current[1:]) > 1 and choice < 0.2:
            pooling = MaxPool((2, 2), (1, 1), rng.random(current[0]) < 0.3)
            activations, layer = pool(pooling, activations.astype(bool)), pooling
        elif min(current[1:]) > 1 and choice < 0.6:
            # It may be larger than its image.
            out, kernel = int(rng.integers(2, 6)), (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
            blank = Conv(
                _weights(rng, (out, current[0], *kernel)),
                np.zeros(out, int),
                rng.random(out) < 0.4,
                (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
                random_padding(rng, kernel, current),
            )
            sums = accumulate(blank, activations)
            limits = _drawn(rng, sums) if rng.random() < 0.3 else _drawn(rng, sums)[:, 0, 0]
            layer = Conv(blank.weights, limits, blank.less_equal, blank.stride, blank.padding)
            activations = threshold(layer, sums)
        else:
            out = int(rng.integers(6, 25))
            weights = _weights(rng, (out, int(np.prod(current))))
            blank_dense = Dense(weights, np.zeros(out, int), rng.random(out) < 0.4)
            sums = accumulate(blank_dense, activations)
            layer = Dense(weights, _drawn(rng, sums)[:, 0, 0], blank_dense.less_equal)
            activations = threshold(layer, sums)
        hidden.append(layer)
        current = output_shape(layer, current)
    weights, shift = _weights(rng, (classes, int(np.prod(current)))), int(rng.integers(0, 3))
    blank_output = Output(weights, np.zeros(classes, int), shift)
    sums = accumulate(blank_output, activations)
    bias = -(_drawn(rng, sums)[:, 0, 0] << shift) + rng.integers(0, 1 << shift, classes)
    return IntegerModel(quantizer, tuple(hidden), Output(weights, bias, shift))


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1, 1], shape) * (rng.random(shape) < rng.choice([0.4, 0.8, 1.0]))


def _drawn(rng: np.random.Generator, sums: np.ndarray) -> np.ndarray:
    """For every unit of [N, ...] its sum at some random one of the N, give or take one."""
    chosen = np.take_along_axis(sums, rng.integers(0, len(sums), (1, *sums.shape[1:])), axis=0)[0]
    return chosen + rng.integers(-1, 2, chosen.shape)


def random_questions(rng: np.random.Generator, count: int) -> Iterator[tuple[Table, Property, Plan]]:
    """Questions about the same few models, each with a table that holds its region."""
    shape, largest, free = SPACES[int(rng.integers(len(SPACES)))]
    classes = int(rng.integers(2, 5))
    models = [edgy_model(rng, shape, largest, classes) for _ in range(3)]
    low = rng.integers(0, largest + 1, shape)
    high = low.copy()
    moving = rng.permutation(low.size)[:free]
    low.flat[moving] = rng.integers(0, largest - 59, free) if largest == 255 else 0
    high.flat[moving] = low.flat[moving] + 60 if largest == 255 else largest
    table = tabulate(models, box_members(low, high))
    for _ in range(count):
        condition, needs = _condition(rng, table)
        used = [0, *rng.permutation([1, 2])[: needs - 1].tolist()]
        asked = Table(table.images, tuple(table.networks[i] for i in used), tuple(table.traces[i] for i in used))
        question = _on_the_edge(rng, asked, condition, low, high)
        yield asked, question, [Plan(), Plan(most_subsets=0), Plan(0, 0, 300)][int(rng.choice(3, p=[0.5, 0.25, 0.25]))]


def _condition(rng: np.random.Generator, table: Table) -> tuple[Condition, int]:
    """A condition and how many models it is asked of."""
    given = table.traces[0].predictions
    label = int(given[rng.integers(len(given))])
    choice = rng.random()
    if choice < 0.55:
        return Keeps(label, bool(rng.random() < 0.3)), 1
    if choice < 0.7:
        return Avoids(int(rng.choice(np.unique(given)))), 1
    if choice < 0.85:
        return NotUnanimouslyWrong(label), int(rng.integers(1, 4))
    return Agree(), 2


def _on_the_edge(rng: np.random.Generator, table: Table, condition: Condition, low: Images, high: Images) -> Property:
    """A region around an image that meets the condition, up to the nearest that does not or just short of it."""
    wrong = violated(condition, table.traces)
    start = np.nonzero(wrong if wrong.all() or (wrong.any() and rng.random() < 0.02) else ~wrong)[0]
    image = table.images[int(rng.choice(start))]
    short = bool(rng.random() < 0.5)
    if rng.random() < 0.35:
        return _edge_of_boxes(rng, table.images[wrong], image, low, high, short) & condition
    norms: list[Norm] = ["l0", "l1", "l2_squared"]
    weight = rng.integers(0, 4, image.shape) if rng.random() < 0.3 else None
    budget = Budget(norms[int(rng.integers(3))], 0, weight)
    apart = costs(budget, image, table.images)
    nearest = int(apart[wrong].min()) if wrong.any() else int(rng.integers(0, 6))
    return Region(image, low, high, Budget(budget.norm, max(0, nearest - short), weight)) & condition


def _edge_of_boxes(
    rng: np.random.Generator, wrong: Images, image: Images, low: Images, high: Images, short: bool
) -> Region:
    """Cuts the box until none of the wrong images is left, or all but the last cut."""
    low, high = low.copy(), high.copy()
    before = (low.copy(), high.copy())
    left: Mask = np.ones(len(wrong), bool)
    while left.any():
        before = (low.copy(), high.copy())
        one = wrong[int(rng.choice(np.nonzero(left)[0]))]
        apart = np.nonzero((one != image).ravel())[0]
        if not len(apart):
            break
        pixel = int(rng.choice(apart))
        if one.flat[pixel] > image.flat[pixel]:
            high.flat[pixel] = one.flat[pixel] - 1
        else:
            low.flat[pixel] = one.flat[pixel] + 1
        left = ((wrong >= low) & (wrong <= high)).all(axis=(1, 2, 3))
    return Region(image, *((low, high) if short else before))
