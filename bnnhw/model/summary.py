"""What a model is, as a table: one row per layer with its shape, weights, sparsity and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.model.layers import Conv, IntegerModel, MaxPool, Output, Shape


@dataclass(frozen=True)
class LayerSummary:
    """One row. weights: how many there are; nonzero: how many are not 0; sparsity: the fraction that is 0.

    fan_in: non-zero weights per output neuron (mean). bound: the cardinality bound of the neuron written as
    ``number of true literals >= bound`` (a -1 weight reads the negated bit), mean over channels and positions, taken
    for bit inputs only; None where the layer has no such bound. largest_bound: the largest of these.
    """

    name: str
    output: Shape
    weights: int
    nonzero: int
    fan_in: float
    threshold_min: int | None
    threshold_max: int | None
    bound: float | None
    largest_bound: int | None

    @property
    def sparsity(self) -> float:
        return 1.0 - self.nonzero / self.weights if self.weights else 0.0


def summarize(model: IntegerModel) -> tuple[LayerSummary, ...]:
    """One LayerSummary per layer of ``model``."""
    rows = []
    on_bits = False
    for layer, shape in zip(model.layers, model.shapes[1:], strict=True):
        name = type(layer).__name__
        if isinstance(layer, MaxPool):
            rows.append(
                LayerSummary(f"{name} {layer.kernel[0]}x{layer.kernel[1]}", shape, 0, 0, 0.0, None, None, None, None)
            )
            continue
        if isinstance(layer, Conv):
            name += f" {layer.weights.shape[2]}x{layer.weights.shape[3]}/{layer.stride[0]}"
        flat = layer.weights.reshape(layer.weights.shape[0], -1)
        fan_in = np.count_nonzero(flat, axis=1)
        limits = bounds = None
        if not isinstance(layer, Output):
            threshold = layer.threshold.astype(np.int64).reshape(flat.shape[0], -1)
            limits = (int(threshold.min()), int(threshold.max()))
            if on_bits:
                negative = np.count_nonzero(flat < 0, axis=1)[:, None]
                at_least = np.where(
                    layer.less_equal[:, None], fan_in[:, None] - threshold - negative, threshold + negative
                )
                bounds = np.clip(at_least, 0, fan_in[:, None] + 1)
        on_bits = True
        low, high = limits or (None, None)
        nonzero = int(fan_in.sum())
        mean, largest = (None, None) if bounds is None else (float(bounds.mean()), int(bounds.max()))
        rows.append(LayerSummary(name, shape, flat.size, nonzero, float(fan_in.mean()), low, high, mean, largest))
    return tuple(rows)


def summary(model: IntegerModel) -> str:
    """The table as text."""
    quantizer = model.quantizer
    head = (
        f"{'layer':<14}{'output':>12}{'weights':>10}{'non-zero':>10}{'sparsity':>10}{'fan-in':>8}"
        f"{'thresholds':>14}{'bound':>8}"
    )
    lines = [
        f"input {'x'.join(map(str, quantizer.shape))}, pixels {quantizer.pixel_min}..{quantizer.pixel_max}, "
        f"{quantizer.levels + 1} levels",
        head,
        "-" * len(head),
    ]
    rows = summarize(model)
    for row in rows:
        thresholds = "" if row.threshold_min is None else f"{row.threshold_min}..{row.threshold_max}"
        lines.append(
            f"{row.name:<14}{'x'.join(map(str, row.output)):>12}{row.weights:>10,}{row.nonzero:>10,}"
            f"{row.sparsity:>10.1%}{row.fan_in:>8.1f}{thresholds:>14}"
            f"{'' if row.bound is None else format(row.bound, '.1f'):>8}"
        )
    weights, nonzero = sum(row.weights for row in rows), sum(row.nonzero for row in rows)
    lines.append(f"{'total':<26}{weights:>10,}{nonzero:>10,}{1 - nonzero / weights:>10.1%}")
    return "\n".join(lines)
