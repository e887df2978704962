"""A Brevitas network's own float forward against the integer model, decision by decision, with the floats shown.

A third party judges: the exact sign of every decision, from the network's rational parameters by squaring (`surd`),
which knows nothing of thresholds. Each stage is given what Brevitas itself computed before it, so a disagreement is
counted where it arises. The integer model must agree with the exact sign always: anything else is an error of the
lowering. Brevitas may differ from it at an exact tie, where its float sums come out a little above or below the
boundary, or within the rounding error of its sums; and everywhere its float value must lie within that error of the
exact one, or the network was read wrongly, which is an error too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, reference
from bnnhw.model.layers import Hidden
from bnnhw.model.surd import sign
from bnnhw.nn.module_network import ModuleNetwork
from bnnhw.train.brevitas.stages import Grid, Pool, Reading, Stage, levels_of, plain, read

SHOWN = 5
"""How many disagreements of each kind are explained one by one."""
UNIT = 2.0**-24
"""float32's largest relative rounding error."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """images, decisions: how many were compared, the latter levels of hidden activations and classes.

    ties: decisions where the exact value lies on the boundary and Brevitas's float sum does not. rounding: where it
    lies off the boundary by less than the rounding error of Brevitas's sum. errors: disagreements with any other
    cause, of the model or of Brevitas with the exact meaning: there must be none. class_differences: images that the
    model and Brevitas classify differently, each with one of the above in it. explanations: the first few of each kind.
    """

    images: int
    decisions: int
    ties: int
    rounding: int
    errors: int
    class_differences: int
    explanations: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Every disagreement is a tie or a rounding error of Brevitas's float sums."""
        return self.errors == 0

    @property
    def note(self) -> str:
        """All of it in a few sentences."""
        counted = (
            f"{self.decisions} decisions on {self.images} images: {self.ties} exact ties and {self.rounding} roundings "
            f"that Brevitas's floats decide otherwise, {self.errors} errors; {self.class_differences} classes differ"
        )
        return "\n".join([counted, *self.explanations])


@dataclass
class _Tally:
    """What was found so far. start: the number of the batch's first image. touched: images with a disagreement."""

    start: int = 0
    decisions: int = 0
    touched: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: {"tie": 0, "rounding": 0, "error": 0})
    shown: list[str] = field(default_factory=list)

    def add(self, kind: str, found: npt.NDArray[np.bool_], explain: Callable[[tuple[int, ...]], str]) -> None:
        """Count each of ``found`` (images first) as ``kind``, and explain the first ones by their places."""
        places = np.argwhere(found)
        for place in places[: max(0, SHOWN - self.counts[kind])]:
            self.shown.append(f"{kind}: image {self.start + place[0]}, {explain(tuple(place.tolist()))}")
        self.counts[kind] += len(places)
        self.touched.update((self.start + np.unique(places[:, 0])).tolist())

    def add_one(self, kind: str, image: int, explanation: str) -> None:
        """Count one of the batch's images as ``kind``."""
        self.add(kind, np.arange(image + 1) == image, lambda _: explanation)


def compare(
    network: ModuleNetwork, model: IntegerModel, images: npt.NDArray[np.integer], batch: int = 250
) -> Comparison:
    """Compare ``network`` in eval mode with ``model`` (by reference inference) on integer pixels [N, C, H, W]."""
    reading = read(network)
    tally = _Tally()
    different = 0
    was_training = network.training
    network.eval()
    try:
        for start in range(0, len(images), batch):
            tally.start = start
            different += _compare(network, reading, model, images[start : start + batch], tally)
    finally:
        network.train(was_training)
    counts = tally.counts
    return Comparison(
        len(images), tally.decisions, counts["tie"], counts["rounding"], counts["error"], different, tuple(tally.shown)
    )


@contextmanager
def _recorded(modules: tuple[nn.Module, ...]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Inputs and outputs of each module, in the order in which the forward pass inside calls them."""
    calls: list[tuple[Tensor, Tensor]] = []

    def keep(_module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        calls.append((plain(given[0]).clone(), plain(made).clone()))

    # A module that occurs twice is called twice, and hooked once.
    handles = [module.register_forward_hook(keep) for module in dict.fromkeys(modules)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _compare(
    network: ModuleNetwork,
    reading: Reading,
    model: IntegerModel,
    images: npt.NDArray[np.integer],
    tally: _Tally,
) -> int:
    """Add a batch to ``tally``; how many of its images the two classify differently."""
    pixels = torch.from_numpy(images.astype(np.float32))
    with _recorded(reading.modules) as calls:
        logits = network(pixels).numpy()
    levels = network.quantizer(pixels).long().numpy()
    if reading.first is not None:
        levels = levels_of(calls[reading.first.index][1], reading.first.grid).reshape(levels.shape)
        levels = levels - round((reading.stages[0].inputs.offset - reading.first.grid.offset) / reading.first.grid.step)
    quantized = reference.quantize(model.quantizer, images)
    tally.decisions += levels.size
    tally.add("error", quantized != levels, lambda at: f"pixel {at[1:]}: the model's level is {quantized[at]}")
    layers = list(model.hidden)
    for stage in reading.stages[:-1]:
        levels = _hidden(stage, calls, levels, layers, tally)
    assert not layers, "the model has more layers than the network"
    _classes(reading.stages[-1], model, levels, logits, tally)
    different = np.flatnonzero(logits.argmax(axis=1) != reference.predict(model, images)).tolist()
    for image in different:
        if tally.start + image not in tally.touched:
            tally.add_one("error", image, "the classes differ without a cause")
    return len(different)


def _integers(grid: Grid, levels: Integers) -> tuple[Fraction, Integers]:
    """A unit, and the values of ``levels`` in it."""
    step, offset = grid.step, grid.offset
    bottom = step.denominator * offset.denominator
    top = gcd(step.numerator * offset.denominator, offset.numerator * step.denominator)
    unit = Fraction(top, bottom)
    return unit, int(offset / unit) + int(step / unit) * levels


def _sums(stage: Stage, levels: Integers) -> tuple[Fraction, Integers, Integers]:
    """A unit; in it, int64[N, out, H, W], the sums over the weights and those over their sizes times the inputs'."""
    unit, values = _integers(stage.inputs, levels)
    sizes = np.abs(values)
    if stage.first:
        # Scaling levels and adding the offset rounds to what these are, however small their sum.
        sizes = sizes + 2 * abs(int(stage.inputs.offset / unit))
    return unit, _accumulate(stage, stage.weights, values), _accumulate(stage, np.abs(stage.weights), sizes)


def _accumulate(stage: Stage, weights: npt.NDArray[np.int8], values: Integers) -> Integers:
    blank, never = np.zeros(len(weights), np.int32), np.zeros(len(weights), bool)
    if stage.stride is None:
        return reference.accumulate(Dense(weights, blank, never), values)
    return reference.accumulate(Conv(weights, blank, never, stage.stride, stage.padding), values)


def _floats(stage: Stage, unit: Fraction, sums: Integers, sizes: Integers) -> tuple[Floats, Floats]:
    """The weighted layer's outputs in float64, and how far a float32 sum may lie from each."""
    gain = _column([g * unit for g in stage.gain])
    bias = _column(stage.bias)
    terms = int(np.count_nonzero(stage.weights.reshape(len(stage.weights), -1), axis=1).max())
    size = np.abs(gain) * sizes + np.abs(bias)
    return gain * sums + bias, (terms + 4) * UNIT * size


def _normed(stage: Stage, values: Floats, distance: Floats) -> tuple[Floats, Floats]:
    """The same after the batch norm."""
    norm = stage.norm
    scale = [float(s) / float(v) ** 0.5 for s, v in zip(norm.scale, norm.variance, strict=True)]
    gain, mean, shift = _column(scale), _column(norm.mean), _column(norm.shift)
    made = gain * (values - mean) + shift
    more = 8 * UNIT * (np.abs(gain) * (np.abs(values) + np.abs(mean)) + np.abs(shift))
    return made, np.abs(gain) * distance + more


def _column(values: tuple[Fraction, ...] | list[Fraction] | list[float]) -> Floats:
    return np.array([float(value) for value in values])[:, None, None]


def _signs(stage: Stage, unit: Fraction, sums: Integers, boundary: Fraction) -> npt.NDArray[np.int8]:
    """-1, 0 or 1: on which side of the boundary each normed value lies, exactly."""
    made = np.empty(sums.shape, np.int8)
    norm = stage.norm
    for channel in range(sums.shape[1]):
        found, which = np.unique(sums[:, channel], return_inverse=True)
        gain, bias, v = stage.gain[channel] * unit, stage.bias[channel], norm.variance[channel]
        sides = [
            sign(
                norm.shift[channel] - boundary,
                norm.scale[channel] * (gain * one + bias - norm.mean[channel]) / v,
                v,
            )
            for one in found.tolist()
        ]
        made[:, channel] = np.array(sides, np.int8)[which].reshape(made[:, channel].shape)
    return made


def _pooled(pool: Pool, values: npt.NDArray[Any], falling: npt.NDArray[np.bool_] | None = None) -> Floats:
    """The largest of each window; the smallest in the channels that are ``falling``."""
    flip = np.ones(values.shape[1]) if falling is None else np.where(falling, -1.0, 1.0)
    flip = flip[:, None, None]
    largest = F.max_pool2d(torch.from_numpy(values * flip), pool.kernel, pool.stride).numpy()
    pooled: Floats = largest * flip
    return pooled


def _hidden(
    stage: Stage,
    calls: list[tuple[Tensor, Tensor]],
    levels: Integers,
    layers: list[Hidden],
    tally: _Tally,
) -> Integers:
    """Compare one hidden stage on Brevitas's own input levels, and return Brevitas's own output levels."""
    activation = stage.activation
    assert activation is not None
    first = [pool for pool in stage.pools if not pool.after_activation]
    after = [pool for pool in stage.pools if pool.after_activation]
    unit, sums, sizes = _sums(stage, levels)
    value, distance = _floats(stage, unit, sums, sizes)
    # A maximum lies no further from the exact one than the worst of its window.
    for pool in (pool for pool in first if pool.before_norm):
        value, distance = _pooled(pool, value), _pooled(pool, distance)
    value, distance = _normed(stage, value, distance)
    for pool in (pool for pool in first if not pool.before_norm):
        value, distance = _pooled(pool, value), _pooled(pool, distance)
    given, made = (one.reshape(value.shape) for one in calls[activation.index])
    found = given.double().numpy()
    scale = float(activation.grid.step)
    close = 8 * UNIT * scale * activation.grid.levels + distance
    tally.add(
        "error",
        ~(np.abs(found - value) <= close),
        lambda at: f"{_place(stage, at)}: Brevitas computes {found[at]:.9g}, the exact value is {value[at]:.9g}",
    )
    theirs = levels_of(made, activation.grid)
    negative = np.array([s < 0 for s in stage.norm.scale])
    bits = []
    for number, (boundary, strict) in enumerate(zip(activation.boundaries, activation.strict, strict=True)):
        sides: npt.NDArray[Any] = _signs(stage, unit, sums, boundary)
        for pool in first:
            sides = _pooled(pool, sides, negative if pool.before_norm else None)
        exact = sides > 0 if strict else sides >= 0
        bits.append(exact)
        wrong = exact != (theirs > number)
        near = np.abs(value - float(boundary)) <= close

        def explain(at: tuple[int, ...], sides: npt.NDArray[Any] = sides, boundary: Fraction = boundary) -> str:
            away = "exactly on it" if sides[at] == 0 else f"{value[at] - float(boundary):.3g} from it"
            return (
                f"{_place(stage, at)}: Brevitas's float sum lies {found[at] - float(boundary):.3g} from the "
                f"boundary {float(boundary):.6g}, the exact one {away}"
            )

        tally.add("tie", wrong & (sides == 0), explain)
        tally.add("rounding", wrong & (sides != 0) & near, explain)
        tally.add("error", wrong & (sides != 0) & ~near, explain)
    tally.decisions += theirs.size
    _model_against(stage, layers, levels, bits, after, tally)
    for pool in after:
        theirs = _pooled(pool, theirs).astype(np.int64)
    return theirs


def _model_against(
    stage: Stage,
    layers: list[Hidden],
    levels: Integers,
    bits: list[npt.NDArray[np.bool_]],
    after: list[Pool],
    tally: _Tally,
) -> None:
    """The integer model's layers of this stage, taken off ``layers``, against the exact bits."""
    exact = np.concatenate(bits, axis=1)
    for pool in after:
        exact = _pooled(pool, exact) > 0
    layer = layers.pop(0)
    assert not isinstance(layer, MaxPool)
    found = reference.threshold(layer, reference.accumulate(layer, _on_bits(stage, levels)))
    while layers and isinstance(layers[0], MaxPool):
        pooling = layers.pop(0)
        assert isinstance(pooling, MaxPool)
        found = reference.pool(pooling, found)
    tally.add(
        "error",
        found != exact,
        lambda at: f"{_place(stage, at)}: the model's bit is {int(found[at])}, the exact one {int(exact[at])}",
    )


def _on_bits(stage: Stage, levels: Integers) -> Integers:
    """What the model's layer is given: levels of the image, or a bit for each level of an activation."""
    if stage.first:
        return levels
    return np.concatenate([levels > number for number in range(stage.inputs.levels)], axis=1).astype(np.int64)


def _place(stage: Stage, at: tuple[int, ...]) -> str:
    return f"{stage.name}, channel {at[1]}, position {at[2:]}"


def _classes(stage: Stage, model: IntegerModel, levels: Integers, logits: Floats, tally: _Tally) -> None:
    """The classes that Brevitas and the model find behind Brevitas's own last hidden levels."""
    unit, sums, sizes = _sums(stage, levels)
    value, distance = (one[:, :, 0, 0] for one in _normed(stage, *_floats(stage, unit, sums, sizes)))
    tally.add(
        "error",
        ~(np.abs(logits - value) <= distance),
        lambda at: f"class {at[1]}: Brevitas's logit is {logits[at]:.9g}, exactly {value[at]:.9g}",
    )
    scores = reference.scores_of(model.output, reference.accumulate(model.output, _on_bits(stage, levels)))
    found, theirs = reference.classify(scores), logits.argmax(axis=1)
    tally.decisions += len(found)
    for image in range(len(found)):
        exact = _best(stage, unit, sums[image, :, 0, 0].tolist(), value[image])
        ours, other = int(found[image]), int(theirs[image])
        if ours != exact[0]:
            tally.add_one("error", image, f"the model's class is {ours}, the exact one {exact[0]}")
        if other == exact[0]:
            continue
        gap = value[image, exact[0]] - value[image, other]
        reach = distance[image, exact[0]] + distance[image, other]
        kind = "tie" if other in exact else "rounding" if gap <= reach else "error"
        tally.add_one(
            kind,
            image,
            f"Brevitas's class is {other}, the exact one {exact[0]}; their logits are "
            f"{logits[image, other]:.9g} and {logits[image, exact[0]]:.9g}, exactly {gap:.3g} apart",
        )


def _best(stage: Stage, unit: Fraction, sums: list[int], value: Floats) -> list[int]:
    """The classes with the highest exact logit, in order."""
    norm = stage.norm
    top = float(value.max())
    # Only what float64 cannot tell apart from the best needs exact arithmetic.
    close = [c for c in range(len(sums)) if value[c] >= top - 1e-6 * (1 + abs(top))]
    # Every class has the same quotient of its scales and its root, so one root serves for all.
    v = norm.variance[0]
    quotient = norm.scale[0] * stage.gain[0] / v

    def rise(c: int, d: int) -> int:
        """The sign of logit c minus logit d."""
        parts = [(stage.gain[i] * unit * sums[i] + stage.bias[i] - norm.mean[i]) / stage.gain[i] for i in (c, d)]
        return sign(norm.shift[c] - norm.shift[d], quotient * (parts[0] - parts[1]), v)

    best = close[:1]
    for c in close[1:]:
        higher = rise(c, best[0])
        best = [c] if higher > 0 else [*best, c] if higher == 0 else best
    return best
