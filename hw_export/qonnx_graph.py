"""The integer model as a QONNX graph in FINN's dialect: integers at every node, so that FINN need not rewrite a scale.

    pixels -> MultiThreshold -> [MatMul or Conv -> MultiThreshold | MaxPool]* -> MatMul -> Mul -> Add -> TopK -> class

- Activations are levels or bits {0, 1} (UINT, BINARY), weights are -1, 0, +1 (TERNARY or BINARY): a padded zero adds
  nothing in either world, so zero padding is exact.
- A threshold says `acc >= t` only. A neuron with `acc <= t` gets the opposite weights and -t.
- MaxPool is an OR. Channels that are joined by AND are inverted before and after, which an own 1x1 layer does, of
  weights -1 (inverted) and +1 (as it is).
- Scores. Only their order matters to TopK, and float32, in which such graphs are executed, ends at 2^24, so scores are
  written small. ``(acc << shift) + bias`` is ordered as (acc + bias >> shift, bias mod 2^shift), and the second one as
  its rank among the classes' R different ones: ``(acc + (bias >> shift)) * R + rank``. Ties stay ties, and TopK takes
  the lowest index.

Conventions: https://github.com/fastmachinelearning/qonnx (MultiThreshold, datatype annotations) and FINN's compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export.emit import HardwareError, stream_values
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, digest
from bnnhw.model.file import write_atomically

FLOAT32_EXACT = 1 << 24
"""Whole numbers below this are all float32 numbers."""
OPSET = 13
DOMAIN = "qonnx.custom_op.general"


@dataclass
class _Graph:
    """Nodes and tensors as they are added."""

    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    datatypes: dict[str, str] = field(default_factory=dict)

    def node(
        self, kind: str, inputs: list[str], output: str, datatype: str, domain: str = "", **attributes: Any
    ) -> str:
        from onnx import helper

        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", domain=domain, **attributes)
        )
        self.datatypes[output] = datatype
        return output

    def constant(self, name: str, values: npt.NDArray[Any], datatype: str) -> str:
        self.initializers[name] = values.astype(np.float32)
        self.datatypes[name] = datatype
        return name


def _unsigned(highest: int) -> str:
    return "BINARY" if highest == 1 else f"UINT{highest.bit_length()}"


def _signed(low: int, high: int) -> str:
    """The smallest datatype of FINN that holds low..high."""
    if low >= 0:
        return _unsigned(max(1, high))
    return f"INT{max((-low - 1).bit_length(), high.bit_length()) + 1}"


def graph(model: IntegerModel) -> Any:
    """The model as a `qonnx.core.modelwrapper.ModelWrapper`.

    Input "pixels": float32[1, H, W, C], or [1, C * H * W] for a network without convolutions and pooling, of whole
    numbers (pixel - smallest pixel). Output "class": int64[1, 1]. HardwareError for what FINN's dialect cannot say.
    """
    try:
        from onnx import TensorProto, helper
        from qonnx.core.datatype import DataType
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes
    except ImportError as error:
        raise HardwareError(f"{error.name} is missing: install it with `pip install 'bnnhw[qonnx]'`") from None

    made = _Graph()
    shape, flat = model.quantizer.shape, _is_flat(model)
    sides = [1, int(np.prod(shape))] if flat else [1, *shape[1:], shape[0]]
    current = _quantize(made, model, "pixels", flat)
    if not flat:
        # What comes in has its channels together, as a stream has; convolutions have them first.
        current = made.node(
            "Transpose", [current], "input_channels", _unsigned(model.quantizer.levels), perm=[0, 3, 1, 2]
        )
    highest = model.quantizer.levels
    for index, layer in enumerate(model.hidden):
        name = f"layer{index}"
        if flat and not isinstance(layer, Dense):
            raise HardwareError(f"{name} is a {type(layer).__name__.lower()} after a dense layer: FINN cannot go back")
        if isinstance(layer, MaxPool):
            current = _pool(made, layer, current, name)
        else:
            if isinstance(layer, Dense) and not flat:
                current, flat = _flattened(made, current, highest, name), True
            current = _neurons(made, layer, current, highest, name)
            highest = 1
    if not flat:
        current = _flattened(made, current, highest, "output")
    _output(made, model.output, current, highest)

    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, sides)]
    outputs = [helper.make_tensor_value_info("class", TensorProto.INT64, [1, 1])]
    proto = helper.make_graph(made.nodes, "bnnhw", inputs, outputs)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    whole = helper.make_model(proto, producer_name="bnnhw", opset_imports=opsets)
    whole.ir_version = 8
    helper.set_model_props(whole, {"model_digest": digest(model)})
    wrapper = ModelWrapper(whole)
    for name, values in made.initializers.items():
        wrapper.set_initializer(name, values)
    wrapper.set_initializer("output_k", np.array([1], np.int64))
    wrapper = wrapper.transform(InferShapes())
    if len(sides) == 4:
        wrapper.set_tensor_layout("pixels", ["N", "H", "W", "C"])
    for name, datatype in made.datatypes.items():
        wrapper.set_tensor_datatype(name, DataType[datatype])
    return wrapper


def _is_flat(model: IntegerModel) -> bool:
    return not any(isinstance(layer, (Conv, MaxPool)) for layer in model.layers)


def _flattened(made: _Graph, current: str, highest: int, name: str) -> str:
    return made.node("Flatten", [current], f"{name}_flat", _unsigned(highest), axis=1)


def _thresholded(
    made: _Graph, current: str, limits: npt.NDArray[np.int64], reach: tuple[int, int], name: str, layout: str = "NCHW"
) -> str:
    """MultiThreshold: how many of limits[channel] are reached. reach: the least and the largest that comes in."""
    low, high = reach
    clipped = np.clip(limits, low, high + 1)
    matrix = made.constant(f"{name}_thresholds", clipped, _signed(low, high + 1))
    levels = limits.shape[1]
    kind = _unsigned(levels)
    output = f"{name}_bits"
    return made.node("MultiThreshold", [current, matrix], output, kind, DOMAIN, out_dtype=kind, data_layout=layout)


def _quantize(made: _Graph, model: IntegerModel, current: str, flat: bool) -> str:
    quantizer = model.quantizer
    span = quantizer.pixel_max - quantizer.pixel_min
    if span >= FLOAT32_EXACT:
        raise HardwareError(f"pixels of {span + 1} values are more than float32 holds exactly: QONNX cannot take them")
    made.datatypes[current] = _unsigned(span)
    limits = quantizer.thresholds.astype(np.int64) - quantizer.pixel_min
    if flat and limits[0].size > 1:
        # Every input is a channel.
        limits = np.broadcast_to(limits, (len(limits), *quantizer.shape)).reshape(len(limits), -1, 1, 1)
    if (limits != limits[:, :, :1, :1]).any():
        raise HardwareError("input thresholds differ by position: MultiThreshold has them by channel only")
    return _thresholded(made, current, limits[:, :, 0, 0].T, (0, span), "input", "NCHW" if flat else "NHWC")


def _accumulated(made: _Graph, layer: Conv | Dense | Output, weights: npt.NDArray[np.int8], current: str, name: str,
                 reach: tuple[int, int]) -> str:  # fmt: skip
    if max(-reach[0], reach[1]) >= FLOAT32_EXACT:
        raise HardwareError(f"{name} can reach {max(-reach[0], reach[1])}, more than float32 holds exactly")
    kind = _signed(*reach)
    if isinstance(layer, Conv):
        tensor = made.constant(f"{name}_weights", weights, "TERNARY")
        (down, right), (above, beside) = layer.stride, layer.padding
        return made.node(
            "Conv", [current, tensor], f"{name}_sums", kind,
            kernel_shape=list(weights.shape[2:]), strides=[down, right], pads=[above, beside, above, beside],
            dilations=[1, 1], group=1,
        )  # fmt: skip
    tensor = made.constant(f"{name}_weights", weights.T, "TERNARY")
    return made.node("MatMul", [current, tensor], f"{name}_sums", kind)


def _reach(weights: npt.NDArray[np.int8], highest: int) -> tuple[int, int]:
    """The least and the largest sum of any neuron."""
    rows = weights.reshape(len(weights), -1)
    return -highest * int((rows < 0).sum(axis=1).max()), highest * int((rows > 0).sum(axis=1).max())


def _neurons(made: _Graph, layer: Conv | Dense, current: str, highest: int, name: str) -> str:
    if layer.threshold.ndim != 1:
        raise HardwareError(f"{name} has thresholds that differ by position: MultiThreshold has them by channel only")
    sign = np.where(layer.less_equal, -1, 1).astype(np.int8)
    weights = layer.weights * sign.reshape(-1, *[1] * (layer.weights.ndim - 1))
    reach = _reach(weights, highest)
    sums = _accumulated(made, layer, weights, current, name, reach)
    limits = (layer.threshold.astype(np.int64) * sign)[:, None]
    return _thresholded(made, sums, limits, reach, name)


def _pool(made: _Graph, layer: MaxPool, current: str, name: str) -> str:
    def inverted(source: str, where: str) -> str:
        if not layer.conjunctive.any():
            return source
        sign = np.where(layer.conjunctive, -1, 1).astype(np.int8)
        alone = Conv(np.diag(sign)[:, :, None, None], np.where(layer.conjunctive, 0, 1), np.zeros(len(sign), bool))
        return _neurons(made, alone, source, 1, f"{name}_{where}")

    before = inverted(current, "inverted")
    pooled = made.node(
        "MaxPool", [before], f"{name}_pooled", "BINARY", kernel_shape=list(layer.kernel), strides=list(layer.stride),
        pads=[0, 0, 0, 0],
    )  # fmt: skip
    return inverted(pooled, "restored")


def _output(made: _Graph, layer: Output, current: str, highest: int) -> None:
    low, high = _reach(layer.weights, highest)
    sums = _accumulated(made, layer, layer.weights, current, "output", (low, high))
    bias = layer.bias.astype(np.int64)
    whole, rest = bias >> layer.shift, bias & ((1 << layer.shift) - 1)
    # The first class's share of every score can go: it is the same for all.
    whole -= whole.min()
    ranks = np.unique(rest, return_inverse=True)[1]
    factor = int(ranks.max()) + 1
    added = whole * factor + ranks
    bounds = (low * factor, high * factor + int(added.max()))
    if max(-bounds[0], bounds[1]) >= FLOAT32_EXACT:
        raise HardwareError(f"scores reach {max(-bounds[0], bounds[1])}, more than float32 holds exactly")
    if factor > 1:
        scale = made.constant("output_factor", np.array([[factor]]), _signed(0, factor))
        sums = made.node("Mul", [sums, scale], "output_scaled", _signed(low * factor, high * factor))
    if added.any():
        share = made.constant("output_bias", added[None, :], _signed(0, int(added.max())))
        sums = made.node("Add", [sums, share], "output_scores", _signed(*bounds))
    from onnx import helper

    made.nodes.append(
        helper.make_node("TopK", [sums, "output_k"], ["best", "class"], name="TopK_class", axis=-1, largest=1, sorted=1)
    )


def write(model: IntegerModel, path: Path) -> Any:
    """Write the graph to an ONNX file, whole or not at all; the graph."""
    made = graph(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, made.model.SerializeToString())
    return made


def classify(made: Any, model: IntegerModel, pixels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Classes int64[N] of pixels [N, C, H, W], by qonnx' execution of the graph."""
    from qonnx.core.onnx_exec import execute_onnx

    streams = stream_values(model, pixels).astype(np.float32)
    shape = made.get_tensor_shape("pixels")
    if len(shape) == 2:
        # Channels first, as a dense layer counts them.
        streams = streams.reshape(len(pixels), -1, model.quantizer.shape[0]).transpose(0, 2, 1)
    classes = [execute_onnx(made, {"pixels": one.reshape(shape)})["class"][0, 0] for one in streams]
    return np.array(classes, np.int64)
