"""Bit-exact inference kernels: packed bits in, integers or packed bits out. Each has a NumPy oracle `<name>_oracle`.

Images are bit strings (or level arrays) in height, width, channel order, without padding between pixels. Loops run in
C++ with the fastest instructions the processor has; which ones never changes a result.
"""

from bnnhw.kernels import instruction_set
from bnnhw.kernels.level_conv import (
    level_conv,
    level_conv_oracle,
    level_conv_threshold,
    level_conv_threshold_oracle,
)
from bnnhw.kernels.level_dense import (
    level_dense,
    level_dense_oracle,
    level_dense_threshold,
    level_dense_threshold_oracle,
)
from bnnhw.kernels.max_pool import max_pool, max_pool_oracle
from bnnhw.kernels.packed_bits import PackedBits, pack
from bnnhw.kernels.quantize import PixelThresholds, quantize, quantize_bits, quantize_bits_oracle, quantize_oracle
from bnnhw.kernels.scores_argmax import scores_argmax, scores_argmax_oracle
from bnnhw.kernels.ternary_conv import (
    ternary_conv,
    ternary_conv_oracle,
    ternary_conv_threshold,
    ternary_conv_threshold_oracle,
)
from bnnhw.kernels.ternary_dense import (
    ternary_dense,
    ternary_dense_oracle,
    ternary_dense_threshold,
    ternary_dense_threshold_oracle,
)
from bnnhw.kernels.threads import available_threads
from bnnhw.kernels.thresholds import Thresholds, thresholds_oracle
from bnnhw.kernels.weights import LevelWeights, TernaryWeights, pack_ternary, window_order
from bnnhw.kernels.window import Window

__all__ = [
    "LevelWeights",
    "PackedBits",
    "PixelThresholds",
    "TernaryWeights",
    "Thresholds",
    "Window",
    "available_threads",
    "instruction_set",
    "level_conv",
    "level_conv_oracle",
    "level_conv_threshold",
    "level_conv_threshold_oracle",
    "level_dense",
    "level_dense_oracle",
    "level_dense_threshold",
    "level_dense_threshold_oracle",
    "max_pool",
    "max_pool_oracle",
    "pack",
    "pack_ternary",
    "quantize",
    "quantize_bits",
    "quantize_bits_oracle",
    "quantize_oracle",
    "scores_argmax",
    "scores_argmax_oracle",
    "ternary_conv",
    "ternary_conv_oracle",
    "ternary_conv_threshold",
    "ternary_conv_threshold_oracle",
    "ternary_dense",
    "ternary_dense_oracle",
    "ternary_dense_threshold",
    "ternary_dense_threshold_oracle",
    "thresholds_oracle",
    "window_order",
]
