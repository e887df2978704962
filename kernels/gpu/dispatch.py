"""Which kernel computes a binary GEMM: a pure function of the GPU and the shape, seeded by the roofline.

1-bit tensor cores where they are native; one pass over the weights where there are few rows; elsewhere 8-bit tensor
cores for products large enough to fill them, and population counts for the rest: a seventh of the peak.
The borders come from arithmetic and data sheets; measured ones will replace them. An argument overrides the choice, and
so does the environment variable BNNHW_GPU_GEMM; each choice is logged at level DEBUG. All give the same integers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

import torch
from triton import knobs

from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds
from bnnhw.kernels.gpu.gemm_int8 import CONFIGURATIONS as INT8
from bnnhw.kernels.gpu.gemm_int8 import gemm_int8, gemm_int8_threshold
from bnnhw.kernels.gpu.gemm_oracle import (
    check_operands,
    check_thresholds,
    gemm_oracle,
    gemm_threshold_oracle,
    output_sums,
)
from bnnhw.kernels.gpu.gemm_popcount import CONFIGURATIONS as POPCOUNT
from bnnhw.kernels.gpu.gemm_popcount import gemm_popcount, gemm_popcount_threshold
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS as TENSOR_CORE
from bnnhw.kernels.gpu.gemm_tensor_core import gemm_tensor_core, gemm_tensor_core_threshold
from bnnhw.kernels.gpu.gemv import LARGEST_ROWS, gemv
from bnnhw.kernels.gpu.packed_tensor import FRAGMENT_BITS, PackedTensor

OVERRIDE = "BNNHW_GPU_GEMM"
BACKENDS = ("tensor_core", "int8", "popcount", "gemv", "oracle")

logger = logging.getLogger(__name__)


class Tile(Protocol):
    """What configurations of all matrix products have in common."""

    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...


Configuration = TypeVar("Configuration", bound=Tile)


def select(
    op: Literal["gemm"],
    capability: tuple[int, int] | None,
    m: int,
    n: int,
    k: int,
    output: Literal["sums", "bits"],
) -> str:
    """The kernel for m x n sums over k values on a GPU of NVIDIA's compute capability, or None for another maker's.

    ValueError for an operation or output that there is no kernel for.
    """
    if op != "gemm" or output not in ("sums", "bits"):
        raise ValueError(f"no kernel for {op!r} with output {output!r}")
    if m <= LARGEST_ROWS and output == "sums":
        return "gemv"
    if capability is not None and capability[0] in (8, 9) and k >= FRAGMENT_BITS:
        return "tensor_core"
    # Before 8.0, Triton has no 8-bit matrix instruction to use.
    if (capability is None or capability[0] >= 8) and min(m, n) >= 64 and k >= 128:
        return "int8"
    return "popcount"


def largest_that_fills(configurations: Sequence[Configuration], m: int, n: int, multiprocessors: int) -> Configuration:
    """The last configuration, by ascending tiles, that gives each multiprocessor a program; the first if none does."""

    def programs(c: Configuration) -> int:
        return -(-m // c.rows) * -(-n // c.columns)

    return next((c for c in reversed(configurations) if programs(c) >= multiprocessors), configurations[0])


def binary_gemm(
    a: PackedTensor, b: PackedTensor, backend: str | None = None, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Sums int32[M, N], ``sum_k a[m, k] * b[n, k]``, on the operands' device and in ``out`` if given.

    ``backend`` is one of BACKENDS; None is the choice of `select` on a GPU and the oracle on the host. ValueError if
    operands or ``out`` do not fit, or if the backend cannot compute this.
    """
    check_operands(a, b)
    chosen = _choose(a, b, backend, "sums")
    if chosen == "oracle":
        return output_sums(a, b, out).copy_(gemm_oracle(a, b))
    if chosen == "gemv":
        return gemv(a, b, out)
    size = (a.rows, b.rows, multiprocessors(a.device))
    if chosen == "tensor_core":
        return gemm_tensor_core(a, b, out, largest_that_fills(TENSOR_CORE, *size))
    if chosen == "int8":
        return gemm_int8(a, b, out, largest_that_fills(INT8, *size))
    return gemm_popcount(a, b, out, largest_that_fills(POPCOUNT, *size))


def binary_gemm_threshold(
    a: PackedTensor, b: PackedTensor, thresholds: ColumnThresholds, backend: str | None = None
) -> PackedTensor:
    """M rows of N bits, ``(sum >= limit) xor flip`` of `binary_gemm`'s sums, which are never stored.

    ``backend`` and errors as there; gemv makes no bits.
    """
    check_operands(a, b)
    check_thresholds(b, thresholds)
    chosen = _choose(a, b, backend, "bits")
    if chosen == "oracle":
        return gemm_threshold_oracle(a, b, thresholds).to(a.device)
    size = (a.rows, b.rows, multiprocessors(a.device))
    if chosen == "tensor_core":
        return gemm_tensor_core_threshold(a, b, thresholds, largest_that_fills(TENSOR_CORE, *size))
    if chosen == "int8":
        return gemm_int8_threshold(a, b, thresholds, largest_that_fills(INT8, *size))
    return gemm_popcount_threshold(a, b, thresholds, largest_that_fills(POPCOUNT, *size))


def _choose(a: PackedTensor, b: PackedTensor, backend: str | None, output: Literal["sums", "bits"]) -> str:
    """The backend, asked for or selected; ValueError if it cannot compute this."""
    on_gpu = a.device.type == "cuda"
    given = backend or (os.environ.get(OVERRIDE) if on_gpu else None)
    if given:
        chosen, why = given, "argument" if backend else OVERRIDE
    elif on_gpu:
        capability = capability_of(a.device)
        chosen, why = select("gemm", capability, a.rows, b.rows, a.count, output), f"selected for {capability}"
    else:
        chosen, why = "oracle", "on the host"
    logger.debug("gemm %d x %d x %d to %s: %s (%s)", a.rows, b.rows, a.count, output, chosen, why)
    if chosen not in BACKENDS:
        raise ValueError(f"no backend {chosen!r} ({why}): choose one of {', '.join(BACKENDS)}")
    if chosen == "gemv" and output == "bits":
        raise ValueError(f"gemv makes sums only ({why})")
    if not on_gpu and chosen != "oracle" and (chosen == "tensor_core" or not knobs.runtime.interpret):
        raise ValueError(f"{chosen} needs its operands on a GPU, not on {a.device}")
    return chosen


def capability_of(device: torch.device) -> tuple[int, int] | None:
    """NVIDIA's compute capability of a GPU. None on AMD, where torch gives a number that means something else."""
    return None if torch.version.hip else torch.cuda.get_device_capability(device)


def multiprocessors(device: torch.device) -> int:
    """Of a GPU; 1 on the host, where the interpreter runs programs one by one."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
