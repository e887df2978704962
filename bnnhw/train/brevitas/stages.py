"""What a Brevitas network means: each of its layers as integers and exact rational numbers, or a refusal that names it.

A network is a chain of stages: a weighted layer, at most one batch norm, pooling anywhere behind it, and a quantizer
that leaves integers. Weights are ``scale * w`` with w in {-1, 0, +1}; activations are ``offset + step * level``, so a
1-bit layer has level 0 or 1 (offset ``-s``, step ``2 s``) and a ternary one 0, 1 or 2. Floats are rational numbers, so
nothing is lost in reading them. Brevitas computes with floats and may decide a tie either way; here a tie is a tie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas.core.function_wrapper import RoundSte
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant, IntQuant, RescalingIntQuant, TernaryQuant
from brevitas.core.quant.delay import _NoDelay
from brevitas.nn import QuantConv2d, QuantHardTanh, QuantIdentity, QuantLinear, QuantReLU
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjector
from brevitas_examples.bnn_pynq.models.tensor_norm import TensorNorm
from torch import Tensor, nn

from bnnhw.model import Shape
from bnnhw.nn.module_network import ModuleNetwork
from bnnhw.nn.norm import VARIANCE_FLOOR, ScalarBatchNorm
from bnnhw.train.lower import LoweringError, rationals

MOST_LEVELS = 15
"""Highest level of an activation: each level is a bit of its own, and an input of its own for the next layer."""

Weights = npt.NDArray[np.int8]
Numbers = tuple[Fraction, ...]
_LEVELS = (QuantIdentity, QuantReLU, QuantHardTanh)
_SIGNS = (BinaryQuant, ClampedBinaryQuant, TernaryQuant)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, TensorNorm, ScalarBatchNorm)


@dataclass(frozen=True)
class Grid:
    """Values ``offset + step * level`` with a whole level in 0..levels."""

    offset: Fraction
    step: Fraction
    levels: int


@dataclass(frozen=True)
class Activation:
    """A quantizer: ``level(x) = #{j : x >= boundaries[j]}``, or ``>`` where ``strict[j]``.

    index: which of the network's modules it is. grid: the levels' values.
    """

    index: int
    grid: Grid
    boundaries: Numbers
    strict: tuple[bool, ...]


@dataclass(frozen=True)
class Norm:
    """``z = scale * (x - mean) / sqrt(variance) + shift`` for each channel; variance already holds epsilon."""

    scale: Numbers
    shift: Numbers
    mean: Numbers
    variance: Numbers


@dataclass(frozen=True)
class Pool:
    """Max pooling. before_norm: it pools what the batch norm then scales. after_activation: it pools levels."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    before_norm: bool
    after_activation: bool


@dataclass(frozen=True, eq=False)
class Stage:
    """A weighted layer and what follows it: ``gain * sum(w * value) + bias``, pooled, normed, pooled, quantized.

    name: how messages name it. first: it reads the quantized image. inputs: what enters. weights: int8[out, ...].
    stride, padding: of a convolution; no stride for a dense layer. norm: the identity where there is none. activation:
    None for the last stage, which ends in logits.
    """

    name: str
    first: bool
    inputs: Grid
    input_shape: Shape
    weights: Weights
    gain: Numbers
    bias: Numbers
    stride: tuple[int, int] | None
    padding: tuple[int, int]
    norm: Norm
    pools: tuple[Pool, ...]
    activation: Activation | None


@dataclass(frozen=True, eq=False)
class Reading:
    """first: the network's own input quantizer, where it has one, and for each of our levels the level it makes of it.

    modules: the network's modules in order, flattened.
    """

    modules: tuple[nn.Module, ...]
    first: Activation | None
    entry: npt.NDArray[np.int64]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False)
class Placed:
    """A module, which of the network's it is, and how messages name it."""

    index: int
    name: str
    module: Any


def plain(value: Tensor) -> Tensor:
    """The tensor in a Brevitas tensor."""
    inner: Tensor = getattr(value, "value", value)
    return inner


def _flat(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is nn.Sequential:
        # named_children would leave out a module that occurs for the second time.
        for key, child in module._modules.items():
            assert child is not None
            yield from _flat(child, f"{name}.{key}" if name else key)
    else:
        yield f"{name} ({type(module).__name__})" if name else type(module).__name__, module


def _exact(values: Tensor | None, count: int, default: int, what: str) -> Numbers:
    if values is None:
        return (Fraction(default),) * count
    found = rationals(values, what)
    return tuple(found * count if len(found) == 1 else found)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _weights(layer: Any, name: str) -> tuple[Weights, Numbers]:
    """The ternary weights and each output's scale."""
    if not layer.weight_quant.is_quant_enabled:
        raise LoweringError(f"{name} has floating-point weights: give it a binary or a ternary weight_quant")
    if layer.input_quant.is_quant_enabled or layer.output_quant.is_quant_enabled or layer.bias_quant.is_quant_enabled:
        raise LoweringError(f"{name} quantizes its input, output or bias: put a QuantIdentity behind it instead")
    quantized = layer.quant_weight()
    value = plain(quantized)
    if not bool(value.isfinite().all()):
        raise LoweringError(f"{name} has weights that are not finite: training diverged, lower the learning rate")
    # Clamped in place to a statistic of itself, a weight shrinks with every pass: the network is no one function.
    if not torch.equal(value, plain(layer.quant_weight())):
        raise LoweringError(f"{name} changes its own scale with every pass: use a constant or learned scale")
    scale = quantized.scale.expand_as(value)
    ternary = (value / scale).round()
    if bool((ternary.abs() > 1).any()) or not torch.equal(ternary * scale, value):
        raise LoweringError(f"{name} has weights other than -1, 0 and +1 times a scale: use binary or ternary weights")
    rows = scale.reshape(len(scale), -1)
    if not bool((rows == rows[:, :1]).all()):
        raise LoweringError(f"{name} scales its inputs differently: use one weight scale, or one for each output")
    gain = _exact(rows[:, 0], len(rows), 1, f"{name}: weight scale")
    if 0 in gain:
        raise LoweringError(f"{name} has a weight scale of zero: it computes nothing")
    return ternary.numpy().astype(np.int8), gain


def _window(layer: Any, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    if layer.groups != 1 or _pair(layer.dilation) != (1, 1):
        raise LoweringError(f"{name} has groups or dilation, which the integer model has not: use neither")
    if layer.padding_mode != "zeros" or layer.is_same_padded_strided or isinstance(layer.padding, str):
        raise LoweringError(f"{name} must be padded with zeros, by a number: replace padding {layer.padding!r}")
    return _pair(layer.stride), _pair(layer.padding)


def _norm(one: Placed, channels: int) -> Norm:
    module, name = one.module, one.name
    if isinstance(module, ScalarBatchNorm):
        mean, var, scale, shift = module.mean, module.var, module.scale, module.shift
        floor = Fraction(VARIANCE_FLOOR)
    else:
        mean, var, scale, shift = module.running_mean, module.running_var, module.weight, module.bias
        floor = Fraction(module.eps)
    if mean is None or var is None:
        raise LoweringError(f"{name} keeps no running statistics: set track_running_stats")
    variance = tuple(value + floor for value in _exact(var, channels, 1, f"{name}: variance"))
    if min(variance) <= 0:
        raise LoweringError(f"{name} has a negative variance: train it again")
    return Norm(
        _exact(scale, channels, 1, f"{name}: scale"),
        _exact(shift, channels, 0, f"{name}: shift"),
        _exact(mean, channels, 0, f"{name}: mean"),
        variance,
    )


def _activation(one: Placed) -> Activation:
    """The levels of a QuantIdentity, QuantReLU or QuantHardTanh."""
    act, name = one.module, one.name
    proxy = act.act_quant
    if act.input_quant.is_quant_enabled or not proxy.is_quant_enabled:
        raise LoweringError(f"{name} must quantize its output and not its input: give it an act_quant")
    quant = proxy.fused_activation_quant_proxy.tensor_quant
    rounding = type(quant) is RescalingIntQuant and type(quant.int_quant) is IntQuant
    if type(proxy) is not ActQuantProxyFromInjector or not (rounding or type(quant) in _SIGNS):
        raise LoweringError(f"{name} is no plain binary, ternary or rounding quantizer: use one")
    if not isinstance((quant.int_quant if rounding else quant).delay_wrapper.delay_impl, _NoDelay):
        raise LoweringError(f"{name} delays its quantization: set quant_delay_steps to 0")
    scale = proxy.scale()
    if scale.numel() != 1:
        raise LoweringError(f"{name} has a scale for each channel: use one scale for the tensor")
    (s,) = rationals(scale, f"{name}: scale")
    if s <= 0:
        raise LoweringError(f"{name} has a scale of {float(s)}, which must be positive")
    if rounding:
        if float(proxy.zero_point()) != 0 or type(quant.int_quant.float_to_int_impl) is not RoundSte:
            raise LoweringError(f"{name} has a zero point or does not round to the nearest: use one that does")
        low, high = (int(end(proxy.bit_width())) for end in (quant.int_quant.min_int, quant.int_quant.max_int))
        # Half to even: of the two integers beside a boundary k - 1/2, the even one.
        edges = range(low + 1, high + 1)
        boundaries = tuple((k - Fraction(1, 2)) * s for k in edges)
        made = Activation(one.index, Grid(low * s, s, high - low), boundaries, tuple(k % 2 == 1 for k in edges))
    elif type(quant) is TernaryQuant:
        edge = Fraction(quant.threshold) * s
        made = Activation(one.index, Grid(-s, s, 2), (-edge, edge), (False, True))
    else:
        made = Activation(one.index, Grid(-s, 2 * s, 1), (Fraction(0),), (False,))
    inner = proxy.fused_activation_quant_proxy.activation_impl
    if isinstance(inner, nn.ReLU) and min(made.boundaries) <= 0:
        raise LoweringError(f"{name} cuts at zero before a quantizer that looks below it: use an unsigned quantizer")
    if not isinstance(inner, (nn.Identity, nn.ReLU)):
        raise LoweringError(f"{name} applies {type(inner).__name__} before it quantizes: use QuantIdentity")
    return made


def _pool(one: Placed, before_norm: bool, after_activation: bool) -> Pool:
    module, name = one.module, one.name
    if _pair(module.padding) != (0, 0) or _pair(module.dilation) != (1, 1) or module.ceil_mode:
        raise LoweringError(f"{name} has padding, dilation or ceil_mode, which the integer model has not: use none")
    return Pool(_pair(module.kernel_size), _pair(module.stride), before_norm, after_activation)


def _entry(network: ModuleNetwork, act: nn.Module, first: Activation, name: str) -> npt.NDArray[np.int64]:
    """For each of our levels, the level that the network's own input quantizer makes of it, found by running it."""
    ours = torch.arange(network.quantizer.levels + 1, dtype=torch.float32) * network.scale + network.offset
    levels = levels_of(act(ours), first.grid)
    if levels[0] == levels[-1]:
        raise LoweringError(f"{name} makes the same of every pixel: its scale does not fit its input")
    return levels


def levels_of(values: Tensor, grid: Grid) -> npt.NDArray[np.int64]:
    """int64 levels of what an activation put out, of any shape."""
    levels: npt.NDArray[np.int64] = (
        ((plain(values).detach().double() - float(grid.offset)) / float(grid.step)).round().long().numpy()
    )
    return levels


@torch.no_grad()
def read(network: ModuleNetwork) -> Reading:
    """The stages of ``network``, whose module is an nn.Sequential (of nn.Sequentials) of the layers that are known.

    Raises LoweringError, naming the layer, for what the integer model cannot represent exactly.
    """
    was_training = network.training
    network.eval()
    try:
        return _read(network)
    finally:
        network.train(was_training)


def _read(network: ModuleNetwork) -> Reading:
    named = list(_flat(network.module, ""))
    rest = [
        Placed(index, name, module)
        for index, (name, module) in enumerate(named)
        if not isinstance(module, (nn.Dropout, nn.Dropout2d, nn.Identity))
    ]
    entry = np.arange(network.quantizer.levels + 1)
    chain = _Chain(network.shape, Grid(Fraction(network.offset), Fraction(network.scale), len(entry) - 1))
    if chain.grid.step <= 0:
        raise LoweringError(f"the network's input scale is {network.scale}, which must be positive")
    first = None
    while rest and (isinstance(rest[0].module, nn.Flatten) or (first is None and isinstance(rest[0].module, _LEVELS))):
        one = rest.pop(0)
        if isinstance(one.module, nn.Flatten):
            chain.flatten(one)
            continue
        first = _activation(one)
        entry = _entry(network, one.module, first, one.name)
        offset = first.grid.offset + int(entry[0]) * first.grid.step
        entry = entry - entry[0]
        chain.grid = Grid(offset, first.grid.step, int(entry[-1]))
    stages: list[Stage] = []
    while rest:
        stages.append(chain.stage(rest, first=not stages))
    if len(stages) < 2 or stages[-1].activation is not None or stages[-1].stride is not None:
        raise LoweringError("the network must have a hidden layer, and end in a QuantLinear that makes logits")
    return Reading(tuple(module for _, module in named), first, entry, tuple(stages))


@dataclass
class _Chain:
    """Where reading stands: the shape and the values that enter the next stage, and whether they were flattened."""

    shape: Shape
    grid: Grid
    flat: bool = False

    def flatten(self, one: Placed) -> None:
        if (one.module.start_dim, one.module.end_dim) != (1, -1):
            raise LoweringError(f"{one.name} must flatten everything but the batch: use nn.Flatten()")
        self.flat = True

    def stage(self, rest: list[Placed], first: bool) -> Stage:
        """Take a stage's modules off ``rest``."""
        weighted = rest.pop(0)
        layer, name = weighted.module, weighted.name
        if not isinstance(layer, (QuantConv2d, QuantLinear)):
            raise LoweringError(f"{name} stands where a QuantConv2d or a QuantLinear must")
        if isinstance(layer, QuantLinear) and not self.flat:
            raise LoweringError(f"{name} needs an nn.Flatten() before it")
        weights, gain = _weights(layer, name)
        inputs, before, channels = self.grid, self.shape, len(weights)
        stride, padding = _window(layer, name) if isinstance(layer, QuantConv2d) else (None, (0, 0))
        self._move(channels, weights.shape[2:] or None, stride, padding)
        norm, activation = None, None
        pools: list[Pool] = []
        while rest and not isinstance(rest[0].module, (QuantConv2d, QuantLinear)):
            one = rest.pop(0)
            if isinstance(one.module, nn.Flatten):
                self.flatten(one)
            elif isinstance(one.module, nn.MaxPool2d):
                pools.append(_pool(one, norm is None, activation is not None))
                self._move(channels, pools[-1].kernel, pools[-1].stride, (0, 0))
            elif isinstance(one.module, _NORMS) and norm is None and activation is None:
                norm = _norm(one, channels)
            elif isinstance(one.module, _LEVELS) and activation is None:
                activation = _activation(one)
                if activation.grid.levels > MOST_LEVELS:
                    raise LoweringError(f"{one.name} has {activation.grid.levels + 1} levels: use 4 bits at most")
            else:
                raise LoweringError(f"{one.name} has no place behind {name}: a batch norm, pooling, one quantizer have")
        if activation is not None:
            self.grid = activation.grid
        elif rest:
            raise LoweringError(f"{name} needs a quantizer behind it, such as a binary QuantIdentity")
        bias = _exact(layer.bias, channels, 0, f"{name}: bias")
        norm = norm or Norm(*(_exact(None, channels, value, "") for value in (1, 0, 0, 1)))
        return Stage(name, first, inputs, before, weights, gain, bias, stride, padding, norm, tuple(pools), activation)

    def _move(
        self,
        channels: int,
        kernel: tuple[int, ...] | None,
        stride: tuple[int, int] | None,
        padding: tuple[int, int],
    ) -> None:
        if kernel is None or stride is None:
            self.shape = (channels, 1, 1)
            return
        rows, columns = (
            (side + 2 * p - k) // s + 1 for side, p, k, s in zip(self.shape[1:], padding, kernel, stride, strict=True)
        )
        self.shape = (channels, rows, columns)
