"""Binary networks on GPUs: packed bits in, integers or packed bits out, each kernel exact and with an oracle.

Matrix products (`binary_gemm`), convolutions and dense layers (`ternary_conv`), what is around them in a network, and a
layer for training (`packed_layer`). Needs Triton, an optional dependency; nothing else of `bnnhw` does. The dispatchers
choose the kernel; each can also be called by itself. On tensors of the host the oracles run.
"""

try:
    import triton  # noqa: F401
except ImportError as error:
    raise ImportError("bnnhw.kernels.gpu needs Triton: pip install 'bnnhw[gpu]'") from error

from bnnhw.kernels.gpu.batch_norm_statistics import batch_norm_statistics
from bnnhw.kernels.gpu.bipolar_conv import bipolar_conv, bipolar_thresholds, counted_weights
from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds, column_thresholds
from bnnhw.kernels.gpu.conv import select_conv, ternary_conv, ternary_conv_threshold
from bnnhw.kernels.gpu.conv_oracle import conv_oracle, conv_threshold_oracle
from bnnhw.kernels.gpu.conv_weight_gradient import conv_weight_gradient
from bnnhw.kernels.gpu.conv_window import Padding
from bnnhw.kernels.gpu.dispatch import binary_gemm, binary_gemm_threshold, select
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import gemv
from bnnhw.kernels.gpu.max_pool import max_pool
from bnnhw.kernels.gpu.norm_backward import Norm, norm_backward
from bnnhw.kernels.gpu.pack_sign import pack_sign, pack_sign_and_clip_mask, pack_sign_oracle
from bnnhw.kernels.gpu.pack_threshold import pack_threshold
from bnnhw.kernels.gpu.packed_images import PackedImages, pack_images
from bnnhw.kernels.gpu.packed_layer import filters_of, packed_layer, packed_sums
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, from_packed_bits, from_words
from bnnhw.kernels.gpu.position_thresholds import PositionThresholds, position_thresholds
from bnnhw.kernels.gpu.quantize_pack import quantize_pack, repeat_for_levels
from bnnhw.kernels.gpu.scores_argmax import OutputLayer, scores_argmax
from bnnhw.kernels.gpu.ternary_filters import TernaryFilters, ternary_filters

__all__ = [
    "ColumnThresholds",
    "Layout",
    "Norm",
    "OutputLayer",
    "PackedImages",
    "PackedTensor",
    "Padding",
    "PositionThresholds",
    "TernaryFilters",
    "batch_norm_statistics",
    "binary_gemm",
    "binary_gemm_threshold",
    "bipolar_conv",
    "bipolar_thresholds",
    "column_thresholds",
    "conv_oracle",
    "conv_threshold_oracle",
    "conv_weight_gradient",
    "counted_weights",
    "filters_of",
    "from_packed_bits",
    "from_words",
    "gemm_int8",
    "gemm_int8_threshold",
    "gemm_oracle",
    "gemm_popcount",
    "gemm_popcount_threshold",
    "gemm_tensor_core",
    "gemm_tensor_core_threshold",
    "gemm_threshold_oracle",
    "gemv",
    "max_pool",
    "norm_backward",
    "pack_images",
    "pack_sign",
    "pack_sign_and_clip_mask",
    "pack_sign_oracle",
    "pack_threshold",
    "packed_layer",
    "packed_sums",
    "position_thresholds",
    "quantize_pack",
    "repeat_for_levels",
    "scores_argmax",
    "select",
    "select_conv",
    "ternary_conv",
    "ternary_conv_threshold",
    "ternary_filters",
]
