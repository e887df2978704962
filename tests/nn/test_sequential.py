"""A list of layers becomes the network it describes, or a sentence that names the layer which does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnnhw.nn import (
    BatchNorm,
    Binarize,
    BinConv2d,
    BinLinear,
    InputQuantizer,
    MaxPool,
    ScalarBatchNorm,
    Sequential,
)

QUANTIZER = InputQuantizer((4, 9), (0, 16))
SHAPE = (1, 8, 8)


def layers() -> list[nn.Module]:
    return [
        *(BinConv2d(1, 4, 3, padding=1), BatchNorm(4), Binarize(), MaxPool(2)),
        *(BinConv2d(4, 6, 3), MaxPool(2, 1), BatchNorm(6), Binarize()),
        *(nn.Flatten(), BinLinear(6, 5), BatchNorm(5), Binarize()),
        *(BinLinear(5, 10), ScalarBatchNorm(10)),
    ]


@pytest.mark.parametrize("training", [True, False])
def test_it_computes_what_its_layers_compute_one_after_another(training: bool) -> None:
    torch.manual_seed(0)
    pieces = layers()
    network = Sequential(QUANTIZER, pieces, SHAPE).train(training)
    pixels = torch.randint(0, 17, (9, *SHAPE)).float()
    values = network.quantizer(pixels)
    for piece in pieces:
        values = piece(values)
    assert torch.equal(network(pixels), values)
    assert [(layer.pool is not None, layer.pool_first) for layer in network.hidden] == [
        (True, False),
        (True, True),
        (False, False),
    ]
    assert {id(p) for p in network.parameters()} == {id(p) for piece in pieces for p in piece.parameters()}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda one: one[:1] + one[2:], r"layer 2 \(Binarize\) stands where .* needs its BatchNorm"),
        (lambda one: one[:2] + one[3:], r"layer 3 \(MaxPool\) stands where .* needs its Binarize"),
        (lambda one: one[:-1], "the end stands where"),
        (lambda one: one[:-2], "must end in"),
        (lambda one: [*one, Binarize()], r"layer 15 \(Binarize\) stands behind the output layer"),
        (lambda one: [*one[:7], one[7], MaxPool(1), *one[8:]], "pooled twice"),
        (lambda one: [*one[:4], nn.Flatten(), *one[4:]], "must be dense"),
        (lambda one: [*one[:4], nn.ReLU(), *one[4:]], r"layer 5 \(ReLU\) stands where a weighted layer must"),
        (lambda one: [BinConv2d(1, 10, 8), ScalarBatchNorm(10)], "makes no logits"),
        (lambda one: [*one[:9], BinLinear(7, 5), *one[10:]], "do not fit"),
        (lambda one: [*one[:8], nn.Flatten(2), *one[9:]], "everything but the batch"),
        (lambda one: [], "must end in"),
    ],
)
def test_a_list_of_another_order_is_refused(change, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sequential(QUANTIZER, change(layers()), SHAPE)
