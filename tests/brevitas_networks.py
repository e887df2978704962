"""Random networks declared with Brevitas, with awkward batch norms: every layer, scale and quantizer that lowers."""

from __future__ import annotations

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.core.quant import TernaryQuant
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from brevitas.quant.ternary import SignedTernaryActPerTensorConst, SignedTernaryWeightPerTensorConst
from brevitas_examples.bnn_pynq.models.tensor_norm import TensorNorm
from torch import nn

from bnnhw.nn import InputQuantizer, ModuleNetwork, ScalarBatchNorm

BINARY, TERNARY = (
    {"weight_quant": SignedBinaryWeightPerTensorConst},
    {"weight_quant": SignedTernaryWeightPerTensorConst},
)
PER_CHANNEL = {
    "weight_scaling_impl_type": "parameter_from_stats",
    "weight_scaling_stats_op": "ave",
    "weight_scaling_per_output_channel": True,
}
BIPOLAR = {"act_quant": SignedBinaryActPerTensorConst}


def activation(rng: np.random.Generator) -> nn.Module:
    choice = rng.integers(5)
    if choice == 0:
        return qnn.QuantReLU(bit_width=int(rng.integers(1, 3)), return_quant_tensor=bool(rng.random() < 0.5))
    if choice == 1:
        return qnn.QuantIdentity(act_quant=SignedTernaryActPerTensorConst)
    if choice == 2:
        return qnn.QuantIdentity(**BIPOLAR, tensor_quant=TernaryQuant, threshold=0.25)
    scale = float(rng.choice([1.0, 0.1, 0.3]))
    return qnn.QuantIdentity(**BIPOLAR, max_val=scale, min_val=-scale, return_quant_tensor=bool(rng.random() < 0.5))


def weights(rng: np.random.Generator) -> dict[str, object]:
    kind = BINARY if rng.random() < 0.5 else TERNARY
    return {**kind, **(PER_CHANNEL if rng.random() < 0.3 else {}), "bias": bool(rng.random() < 0.3)}


def random_brevitas(rng: np.random.Generator, classes: int = 5) -> ModuleNetwork:
    """Two convolutions, a dense layer and an output, for images of 1x8x8 pixels in 0..12."""
    torch.manual_seed(int(rng.integers(2**31)))
    side = 8
    layers: list[nn.Module] = []
    if rng.random() < 0.3:
        layers.append(qnn.QuantIdentity(act_quant=SignedTernaryActPerTensorConst, bit_width=4, narrow_range=False))
    channels = 1
    for outputs in (4, 3):
        padding = int(rng.integers(0, 2))
        side += 2 * padding - 2
        # Before the batch norm, behind it and behind the quantizer.
        pools = [[nn.MaxPool2d(2, 1)] if rng.random() < 0.3 and side > 3 else [] for _ in range(3)]
        side -= sum(len(pool) for pool in pools)
        norm = [nn.BatchNorm2d(outputs)] if rng.random() < 0.9 else []
        convolution = qnn.QuantConv2d(channels, outputs, 3, padding=padding, **weights(rng))
        layers += [convolution, *pools[0], *norm, *pools[1], nn.Sequential(activation(rng), *pools[2])]
        channels = outputs
    layers += [nn.Flatten(), qnn.QuantLinear(channels * side * side, 7, **weights(rng))]
    layers += [nn.BatchNorm1d(7), nn.Dropout(0.1), activation(rng)]
    last = {**weights(rng), "weight_scaling_per_output_channel": False}
    ends: list[list[nn.Module]] = [[], [TensorNorm()], [ScalarBatchNorm(classes)]]
    layers += [qnn.QuantLinear(7, classes, **last), *ends[int(rng.integers(3))]]
    scale, offset = (1.0, 0.0) if rng.random() < 0.5 else (2 / 3, -1.0)
    network = ModuleNetwork(nn.Sequential(*layers), InputQuantizer((3, 5, 10), (0, 12)), (1, 8, 8), scale, offset)
    scramble(network, rng)
    return network.eval()


@torch.no_grad()
def scramble(network: ModuleNetwork, rng: np.random.Generator) -> None:
    """Statistics of random images, then scales of every sign, some of them 0."""
    network.train()
    for _ in range(20):
        network(torch.from_numpy(rng.integers(0, 13, (30, *network.shape)).astype(np.float32)))
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            size = module.weight.shape
            module.weight.copy_(torch.tensor(rng.normal(0, 1, size) * rng.choice([0, 1, 1, 1], size)))
            module.bias.copy_(torch.tensor(rng.normal(0, 0.4, size)))
        elif isinstance(module, (ScalarBatchNorm, TensorNorm)):
            scale = module.scale if isinstance(module, ScalarBatchNorm) else module.weight
            scale.fill_(float(rng.choice([-0.7, 1.3])))


def tied_brevitas(seed: int = 0) -> ModuleNetwork:
    """A fresh batch norm over an even number of +-0.1 products: every accumulator of 0 is an exact tie."""
    torch.manual_seed(seed)
    # One bit a pixel, 0 or 1, becomes -0.1 or +0.1.
    layers = [
        qnn.QuantIdentity(**BIPOLAR, max_val=0.1, min_val=-0.1),
        nn.Flatten(),
        qnn.QuantLinear(64, 32, bias=False, **BINARY),
        nn.BatchNorm1d(32),
        qnn.QuantIdentity(**BIPOLAR, max_val=0.1, min_val=-0.1),
        qnn.QuantLinear(32, 10, bias=False, **BINARY),
    ]
    return ModuleNetwork(nn.Sequential(*layers), InputQuantizer((8,), (0, 16)), (1, 8, 8), 2.0, -1.0).eval()
