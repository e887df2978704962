"""Binary GEMM on GPUs: packed bits in, int32 sums or packed bits out, each kernel exact and with an oracle.

Needs Triton, an optional dependency; nothing else of `bnnhw` does. `binary_gemm` chooses the kernel; each can also be
called by itself. On tensors of the host the oracles run.
"""

try:
    import triton  # noqa: F401
except ImportError as error:
    raise ImportError("bnnhw.kernels.gpu needs Triton: pip install 'bnnhw[gpu]'") from error
