"""A Brevitas network into the IntegerModel with its exact meaning: every boundary one integer, every tie decided.

A stage computes ``x = gain * (step * acc + offset * reach) + bias``, where ``acc = sum w * level`` and ``reach`` is the
sum of the weights that lie inside the image: levels start from 0, so an offset (``-s`` for bipolar activations) moves
the threshold, and by less where a padded tap, which is 0 and not ``-s``, takes no part: thresholds go by position.
An activation of more than two levels becomes one bit for each boundary; the next layer reads the sum of these bits, so
its weights are repeated. Pooling pools bits: OR, or AND where the batch norm behind it has a negative scale.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, ModelError, Output, Quantizer
from bnnhw.model.layers import Hidden
from bnnhw.model.lowering import integer_biases, integer_threshold
from bnnhw.model.reference import accumulate
from bnnhw.nn.module_network import ModuleNetwork
from bnnhw.train.brevitas.stages import Reading, Stage, read
from bnnhw.train.lower import LoweringError


def lower(network: ModuleNetwork) -> IntegerModel:
    """The IntegerModel with the levels and the class of ``network`` in eval mode, in exact arithmetic.

    Where Brevitas rounds, the two may differ; ``compare`` finds where and says why. Raises LoweringError, naming the
    layer, where something has no exact integer form.
    """
    reading = read(network)
    try:
        *hidden, last = reading.stages
        layers = [layer for stage in hidden for layer in _hidden(stage)]
        return IntegerModel(_quantizer(network, reading), tuple(layers), _output(last))
    except ModelError as error:
        raise LoweringError(f"the network does not make a model: {error}") from None


def _quantizer(network: ModuleNetwork, reading: Reading) -> Quantizer:
    """Our thresholds, each as often as the network's own input quantizer rises there."""
    ours = network.quantizer
    thresholds = np.repeat(ours.thresholds.cpu().numpy(), np.diff(reading.entry), axis=0)
    return Quantizer(network.shape, thresholds, ours.pixel_min, ours.pixel_max)


def _reach(stage: Stage) -> npt.NDArray[np.int64]:
    """Sum of each output's weights that lie inside the image: int64[out, H, W], for a dense layer int64[out, 1, 1]."""
    if stage.stride is None:
        sums: npt.NDArray[np.int64] = stage.weights.sum(axis=1, dtype=np.int64)
        return sums[:, None, None]
    channels = len(stage.weights)
    blank = Conv(stage.weights, np.zeros(channels, np.int32), np.zeros(channels, bool), stage.stride, stage.padding)
    (sums,) = accumulate(blank, np.ones((1, *stage.input_shape), np.int64))
    return sums


def _hidden(stage: Stage) -> list[Hidden]:
    """A weighted layer, whose channels are all those of the first boundary, then of the next one; and its pooling."""
    assert stage.activation is not None
    rows = stage.weights.reshape(len(stage.weights), -1).astype(np.int64)
    low, high = (
        end * stage.inputs.levels for end in (np.minimum(rows, 0).sum(axis=1), np.maximum(rows, 0).sum(axis=1))
    )
    reach = _reach(stage)
    if stage.inputs.offset == 0:
        reach = np.zeros((len(reach), 1, 1), np.int64)
    elif (reach == reach[:, :1, :1]).all():
        reach = reach[:, :1, :1]
    planes, flips = [], []
    for boundary, strict in zip(stage.activation.boundaries, stage.activation.strict, strict=True):
        threshold = np.empty(reach.shape, np.int32)
        for channel in range(len(rows)):
            made = {
                inside: _threshold(stage, channel, boundary, strict, inside, int(low[channel]), int(high[channel]))
                for inside in np.unique(reach[channel]).tolist()
            }
            for inside, (t, _) in made.items():
                threshold[channel][reach[channel] == inside] = t
            flips.append(next(iter(made.values()))[1])
        planes.append(threshold)
    thresholds, less_equal, count = np.concatenate(planes), np.array(flips), len(planes)
    if thresholds.shape[1:] == (1, 1):
        thresholds = thresholds[:, 0, 0]
    weights = _on_bits(stage)
    weights = np.tile(weights, (count, *[1] * (weights.ndim - 1)))
    layers: list[Hidden] = []
    if stage.stride is None:
        layers.append(Dense(weights, thresholds, less_equal))
    else:
        layers.append(Conv(weights, thresholds, less_equal, stage.stride, stage.padding))
    negative = np.array([scale < 0 for scale in stage.norm.scale] * count)
    return layers + [MaxPool(pool.kernel, pool.stride, negative & pool.before_norm) for pool in stage.pools]


def _on_bits(stage: Stage) -> npt.NDArray[np.int8]:
    """The weights as they act on the bits of the stage before, of which each level has one."""
    return stage.weights if stage.first else np.concatenate([stage.weights] * stage.inputs.levels, axis=1)


def _threshold(
    stage: Stage, channel: int, boundary: Fraction, strict: bool, reach: int, low: int, high: int
) -> tuple[int, bool]:
    """``acc >= t`` or (True) ``acc <= t`` where the normed value reaches the boundary, or passes it if ``strict``."""
    norm, gain, inputs = stage.norm, stage.gain[channel], stage.inputs
    factor = gain * inputs.step
    scale, shift = norm.scale[channel] * factor, norm.shift[channel] - boundary
    mean = (norm.mean[channel] - stage.bias[channel] - gain * inputs.offset * reach) / factor
    if not strict:
        return integer_threshold(scale, shift, mean, norm.variance[channel], low, high)
    # Passing a boundary is not staying at or below it.
    t, less_equal = integer_threshold(-scale, -shift, mean, norm.variance[channel], low, high)
    return (t + 1, False) if less_equal else (t - 1, True)


def _output(stage: Stage) -> Output:
    """Scores: ``logit[c] / factor = acc[c] + B[c]``, where the factor is the same for every class."""
    norm, inputs = stage.norm, stage.inputs
    reach = _reach(stage)[:, 0, 0].tolist()
    scale = [s * gain * inputs.step for s, gain in zip(norm.scale, stage.gain, strict=True)]
    sizes = {(s > 0, s * s / variance) for s, variance in zip(scale, norm.variance, strict=True)}
    if len(sizes) != 1:
        raise LoweringError(
            f"{stage.name} and its batch norm scale each class differently, which integer scores cannot: end in one "
            f"weight scale and a bnnhw.nn.ScalarBatchNorm, or no batch norm"
        )
    weights = _on_bits(stage)
    if scale[0] == 0:
        zeros = [Fraction(0)] * len(scale)
        bias, bits = integer_biases([-value for value in norm.shift], zeros, norm.variance[0], 0)
        return Output(np.zeros_like(weights), bias, bits)
    mean = [
        (m - b - gain * inputs.offset * r) / (gain * inputs.step)
        for m, b, gain, r in zip(norm.mean, stage.bias, stage.gain, reach, strict=True)
    ]
    # Where variances differ, so do scales, and the quotient is the same root for every class.
    slope = [shift / scale[0] for shift in norm.shift]
    if scale[0] < 0:
        weights, mean, slope = -weights, [-value for value in mean], [-value for value in slope]
    reach_of_sums = int(np.abs(weights).sum(axis=1, dtype=np.int64).max())
    bias, bits = integer_biases(mean, slope, norm.variance[0], reach_of_sums)
    return Output(weights, bias, bits)
