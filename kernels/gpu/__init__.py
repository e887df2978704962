"""Binary GEMM on GPUs: packed bits in, int32 sums or packed bits out, each kernel exact and with an oracle.

Needs Triton, an optional dependency; nothing else of `bnnhw` does. `binary_gemm` chooses the kernel; each can also be
called by itself. On tensors of the host the oracles run.
"""

try:
    import triton  # noqa: F401
except ImportError as error:
    raise ImportError("bnnhw.kernels.gpu needs Triton: pip install 'bnnhw[gpu]'") from error

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds, column_thresholds
from bnnhw.kernels.gpu.dispatch import binary_gemm, binary_gemm_threshold, select
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_oracle import gemm_oracle, gemm_threshold_oracle
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import gemv
from bnnhw.kernels.gpu.pack_sign import pack_sign, pack_sign_and_clip_mask, pack_sign_oracle
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, from_packed_bits, from_words

__all__ = [
    "ColumnThresholds",
    "Layout",
    "PackedTensor",
    "binary_gemm",
    "binary_gemm_threshold",
    "column_thresholds",
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
    "pack_sign",
    "pack_sign_and_clip_mask",
    "pack_sign_oracle",
    "select",
]
