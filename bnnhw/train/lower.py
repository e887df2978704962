"""Lowering: a trained Network into the IntegerModel that computes exactly the same bits and the same class.

Each float parameter is a rational number, so every batch norm's boundary is known exactly, and `bnnhw.model.lowering`
turns it into an integer threshold, and the output layer's real offsets into integer biases, without rounding.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer
from bnnhw.model.layers import Hidden
from bnnhw.model.lowering import integer_biases, integer_threshold
from bnnhw.nn.network import HiddenLayer, Network, OutputLayer
from bnnhw.nn.norm import VARIANCE_FLOOR
from bnnhw.nn.weights import BinConv2d, RealWeight

Weights = npt.NDArray[np.int8]


class LoweringError(ValueError):
    """A network whose parameters have no exact meaning; the message says which one and what to do."""


def rationals(values: Tensor, what: str) -> list[Fraction]:
    """The exact rational value of each float; LoweringError for one that is not finite."""
    numbers = values.detach().double().reshape(-1).tolist()
    for index, number in enumerate(numbers):
        if not isfinite(number):
            raise LoweringError(f"{what} of channel {index} is {number}: training diverged, lower the learning rate")
    return [Fraction(number) for number in numbers]


def variances(values: Tensor, what: str) -> list[Fraction]:
    """Exact ``var + floor`` of each channel; LoweringError for one that is not positive."""
    exact = [variance + Fraction(VARIANCE_FLOOR) for variance in rationals(values, what)]
    for index, variance in enumerate(exact):
        if variance <= 0:
            raise LoweringError(f"{what} of channel {index} is negative: calibrate the network again")
    return exact


def _ternary(layer: HiddenLayer | OutputLayer, where: str) -> Weights:
    latent = layer.weighted.weights
    if isinstance(latent, RealWeight):
        raise LoweringError(f"{where} has real weights: a teacher has no integer model, train a student from it")
    for name, values in latent.named_parameters():
        if not bool(values.isfinite().all()):
            raise LoweringError(f"{where}: a {name} weight is not finite: training diverged, lower the learning rate")
    weights: Weights = layer.weighted.weights().detach().cpu().numpy().astype(np.int8)
    return weights


def _hidden(layer: HiddenLayer, highest: int, where: str) -> list[Hidden]:
    weights, norm = _ternary(layer, where), layer.norm
    rows = weights.reshape(len(weights), -1).astype(np.int64)
    low, high = np.minimum(rows, 0).sum(axis=1) * highest, np.maximum(rows, 0).sum(axis=1) * highest
    parameters = zip(
        rationals(norm.scale, f"{where}: batch-norm scale"),
        rationals(norm.shift, f"{where}: batch-norm shift"),
        rationals(norm.mean, f"{where}: batch-norm mean"),
        variances(norm.var, f"{where}: batch-norm variance"),
        low.tolist(),
        high.tolist(),
        strict=True,
    )
    made = [integer_threshold(*channel) for channel in parameters]
    threshold = np.array([t for t, _ in made], np.int32)
    less_equal = np.array([flipped for _, flipped in made], bool)
    if not isinstance(layer.weighted, BinConv2d):
        return [Dense(weights, threshold, less_equal)]
    stride, padding = layer.weighted.stride, layer.weighted.padding
    layers: list[Hidden] = [Conv(weights, threshold, less_equal, (stride, stride), (padding, padding))]
    if layer.pool is not None:
        kernel, step = layer.pool.kernel, layer.pool.stride
        conjunctive = less_equal if layer.pool_first else np.zeros(len(weights), bool)
        layers.append(MaxPool((kernel, kernel), (step, step), conjunctive))
    return layers


def _output(layer: OutputLayer, where: str) -> Output:
    weights, norm = _ternary(layer, where), layer.norm
    (scale,) = rationals(norm.scale, f"{where}: batch-norm scale")
    (variance,) = variances(norm.var, f"{where}: batch-norm variance")
    shift = rationals(norm.shift, f"{where}: batch-norm shift")
    mean = rationals(norm.mean, f"{where}: batch-norm mean")
    if scale == 0:
        zeros = [Fraction(0)] * len(mean)
        bias, bits = integer_biases([-value for value in shift], zeros, variance, 0)
        return Output(np.zeros_like(weights), bias, bits)
    slope = [value / scale for value in shift]
    if scale < 0:
        weights, mean, slope = -weights, [-value for value in mean], [-value for value in slope]
    bias, bits = integer_biases(mean, slope, variance, int(np.abs(weights).sum(axis=1, dtype=np.int64).max()))
    return Output(weights, bias, bits)


def lower(network: Network) -> IntegerModel:
    """The IntegerModel with the bits and the class of ``network`` in eval mode, in exact arithmetic.

    Raises LoweringError when a parameter is not finite or a variance is negative. The network is not changed.
    """
    quantizer = network.quantizer
    thresholds = quantizer.thresholds.cpu().numpy()
    first = Quantizer(network.shape, thresholds, quantizer.pixel_min, quantizer.pixel_max)
    hidden: list[Hidden] = []
    highest = quantizer.levels
    for index, layer in enumerate(network.layers):
        where = f"layer {index + 1}"
        if isinstance(layer, OutputLayer):
            return IntegerModel(first, tuple(hidden), _output(layer, where))
        hidden += _hidden(layer, highest, where)
        highest = 1
    raise LoweringError("the network is another module behind our quantizer: use bnnhw.train.brevitas.lower")
