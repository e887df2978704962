"""The same network in other terms: other weights, another gradient, or real numbers throughout.

Architectures are written once, with BinMask weights and binary activations. What a method changes, it changes in a
network that is there already, so every method works for every architecture, a user's own included.
"""

from __future__ import annotations

from bnnhw.nn.binarize import Binarize, Rectify
from bnnhw.nn.network import HiddenLayer, Network
from bnnhw.nn.norm import NoNorm
from bnnhw.nn.products import fast
from bnnhw.nn.weights import BinaryWeight, RealWeight, TernaryWeight


def use_weights(network: Network, kind: str, density: float) -> None:
    """Give every weighted layer fresh weights of ``kind``; "binmask" keeps those that are there.

    density: the share that starts present. They are drawn from torch's global random generator, layer by layer.
    "real" also replaces every binary activation by ``Rectify``, which makes a teacher of the same architecture. The
    others are "ternary" and "binary".
    """
    if kind == "binmask":
        return
    for layer in network.layers:
        shape = tuple(layer.weighted.weights.latent.shape)
        if kind == "real":
            layer.weighted.weights = RealWeight(shape)
            if isinstance(layer, HiddenLayer):
                layer.binarize = Rectify()
        else:
            layer.weighted.weights = (TernaryWeight if kind == "ternary" else BinaryWeight)(shape, density)


def drop_last_norm(network: Network) -> None:
    """Let the output layer's sums be the logits."""
    network.output.norm = NoNorm(network.classes)


def gradient_scale(network: Network) -> float:
    """c of the first ``Binarize``; ``set_gradient`` keeps it the same in all."""
    return next(float(module.scale) for module in network.modules() if isinstance(module, Binarize))


def set_gradient(network: Network, scale: float, hard: bool = False) -> None:
    """Set c, and the shape, of every ``Binarize``'s gradient."""
    for module in network.modules():
        if isinstance(module, Binarize):
            module.scale.fill_(scale)
            module.hard = hard


def set_speed(network: Network, fused: bool, mixed: bool) -> None:
    """fused: compile the steps between sums (``bnnhw.nn.fused``). mixed: multiply gradients in bfloat16 where it
    is fast."""
    for layer in network.layers:
        layer.weighted.mixed = mixed and fast(layer.weighted.weights.latent.device)
        if isinstance(layer, HiddenLayer):
            layer.fused = fused
