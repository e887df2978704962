"""Networks with ternary weights and binary activations, as composable torch modules."""

from bnnhw.model.lowering import step_thresholds
from bnnhw.nn.architectures import ARCHITECTURES, build
from bnnhw.nn.binarize import Binarize
from bnnhw.nn.module_network import ModuleNetwork
from bnnhw.nn.network import HiddenLayer, MaxPool, Network, OutputLayer
from bnnhw.nn.norm import BatchNorm, ScalarBatchNorm
from bnnhw.nn.quantizer import InputQuantizer
from bnnhw.nn.sequential import Sequential
from bnnhw.nn.variants import set_gradient, use_weights
from bnnhw.nn.weights import BinaryWeight, BinConv2d, BinLinear, BinMask, RealWeight, TernaryWeight

__all__ = [
    "ARCHITECTURES",
    "BatchNorm",
    "BinConv2d",
    "BinLinear",
    "BinMask",
    "Binarize",
    "BinaryWeight",
    "HiddenLayer",
    "InputQuantizer",
    "MaxPool",
    "ModuleNetwork",
    "Network",
    "OutputLayer",
    "RealWeight",
    "ScalarBatchNorm",
    "Sequential",
    "TernaryWeight",
    "build",
    "set_gradient",
    "step_thresholds",
    "use_weights",
]
