"""A user's own network as a plain list of layers, in the order in which they act.

The list is grouped into the hidden layers and the output layer that every other part knows, so such a network trains,
is calibrated, lowered and verified like a named one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from bnnhw.nn.binarize import Binarize
from bnnhw.nn.network import HiddenLayer, MaxPool, Network, OutputLayer
from bnnhw.nn.norm import BatchNorm, ScalarBatchNorm
from bnnhw.nn.quantizer import InputQuantizer
from bnnhw.nn.weights import BinConv2d, BinLinear

Kind = TypeVar("Kind", bound=nn.Module)
_ORDER = (
    "a hidden layer is BinConv2d or BinLinear, BatchNorm, Binarize, and one MaxPool before BatchNorm or behind Binarize"
)


class Sequential(Network):
    """``Sequential(quantizer, layers, shape)``: layers act one after another on the quantized image.

    layers: for each hidden layer a ``BinConv2d`` or ``BinLinear``, a ``BatchNorm`` and a ``Binarize``, and behind a
    convolution a ``MaxPool`` before the ``BatchNorm`` or behind the ``Binarize``; last a ``BinLinear`` and a
    ``ScalarBatchNorm``. ``torch.nn.Flatten`` may stand before a ``BinLinear``, which flattens anyway. shape: (C, H, W)
    of the pixels. Raises ValueError, naming the layer, where the order is another or the shapes do not fit.

    Example::

        Sequential(
            InputQuantizer((102,), (0, 255)),
            [
                BinConv2d(1, 16, 3, padding=1), BatchNorm(16), Binarize(), MaxPool(2),
                nn.Flatten(), BinLinear(16 * 14 * 14, 10), ScalarBatchNorm(10),
            ],
            (1, 28, 28),
        )
    """

    def __init__(self, quantizer: InputQuantizer, layers: Sequence[nn.Module], shape: tuple[int, int, int]) -> None:
        rest = [(f"layer {number} ({type(layer).__name__})", layer) for number, layer in enumerate(layers, 1)]
        hidden: list[HiddenLayer] = []
        output = None
        while rest and output is None:
            flat = _take(rest, nn.Flatten)
            if flat is not None and (flat.start_dim, flat.end_dim) != (1, -1):
                raise ValueError("Flatten must flatten everything but the batch: use nn.Flatten()")
            name = rest[0][0] if rest else "the end"
            weighted = _take(rest, BinLinear) or (None if flat else _take(rest, BinConv2d))
            if weighted is None:
                raise ValueError(f"{name} stands where a weighted layer must{' be dense' if flat else ''}: {_ORDER}")
            last = _take(rest, ScalarBatchNorm)
            if last is not None:
                if not isinstance(weighted, BinLinear):
                    raise ValueError(f"{name} makes no logits: the last weighted layer must be a BinLinear")
                output = OutputLayer(weighted, last)
                continue
            hidden.append(_hidden(weighted, name, rest))
        if output is None:
            raise ValueError("the network must end in a BinLinear and a ScalarBatchNorm")
        if rest:
            raise ValueError(f"{rest[0][0]} stands behind the output layer: ScalarBatchNorm must be the last")
        super().__init__(quantizer, hidden, output, shape)


def _hidden(weighted: BinConv2d | BinLinear, name: str, rest: list[tuple[str, nn.Module]]) -> HiddenLayer:
    """The hidden layer of ``weighted`` and of what follows it, which is taken off ``rest``."""
    before = _take(rest, MaxPool)
    norm = _take(rest, BatchNorm)
    binarize = None if norm is None else _take(rest, Binarize)
    if norm is None or binarize is None:
        where, missing = rest[0][0] if rest else "the end", "BatchNorm" if norm is None else "Binarize"
        raise ValueError(f"{where} stands where {name} needs its {missing}: {_ORDER}")
    after = _take(rest, MaxPool)
    if before is not None and after is not None:
        raise ValueError(f"{name} is pooled twice: {_ORDER}")
    return HiddenLayer(weighted, norm, binarize, before or after, before is not None)


def _take(rest: list[tuple[str, nn.Module]], kind: type[Kind]) -> Kind | None:
    """The next layer if it is of ``kind``, taken off ``rest``."""
    if rest and isinstance(rest[0][1], kind):
        layer = rest.pop(0)[1]
        assert isinstance(layer, kind)
        return layer
    return None
