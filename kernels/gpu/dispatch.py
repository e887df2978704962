"""Which kernel computes a binary GEMM: a pure function of the GPU, the shape and, if there is one, a measured table.

1-bit tensor cores where they are native; one pass over the weights where there are few rows; elsewhere 8-bit tensor
cores for products large enough to fill them, and population counts for the rest: a seventh of the peak. The borders
come from arithmetic and data sheets, a table (`tuned`) from measurements, and goes first. An argument overrides the
choice, and so does the environment variable BNNHW_GPU_GEMM; each choice is logged once, at level DEBUG. All give the
same integers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import lru_cache
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
from bnnhw.kernels.gpu.tuned import OVERRIDE as TABLE
from bnnhw.kernels.gpu.tuned import Choice, Table, key, table_for

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
    if _gemv_makes(m, output):
        return "gemv"
    if capability is not None and capability[0] in (8, 9) and k >= FRAGMENT_BITS:
        return "tensor_core"
    # Before 8.0, Triton has no 8-bit matrix instruction to use.
    if (capability is None or capability[0] >= 8) and min(m, n) >= 64 and k >= 128:
        return "int8"
    return "popcount"


def largest_that_fills(configurations: Sequence[Configuration], m: int, n: int, multiprocessors: int) -> Configuration:
    """The last configuration, by ascending tiles, that gives each multiprocessor a program and is not half empty where
    a smaller one is fuller; the first if none does."""
    first = configurations[0]
    most_rows, most_columns = 2 * max(m, first.rows) - 1, 2 * max(n, first.columns) - 1

    def fits(c: Configuration) -> bool:
        programs = -(-m // c.rows) * -(-n // c.columns)
        return programs >= multiprocessors and c.rows <= most_rows and c.columns <= most_columns

    return next((c for c in reversed(configurations) if fits(c)), first)


def binary_gemm(
    a: PackedTensor, b: PackedTensor, backend: str | None = None, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Sums int32[M, N], ``sum_k a[m, k] * b[n, k]``, on the operands' device and in ``out`` if given.

    ``backend`` is one of BACKENDS; None is the choice of `select` on a GPU and the oracle on the host. ValueError if
    operands or ``out`` do not fit, or if the backend cannot compute this.
    """
    check_operands(a, b)
    chosen, tile = _choose(a, b, backend, "sums")
    if chosen == "oracle":
        return output_sums(a, b, out).copy_(gemm_oracle(a, b))
    if chosen == "gemv":
        return gemv(a, b, out)
    size = (a.rows, b.rows, multiprocessors(a.device))
    if chosen == "tensor_core":
        return gemm_tensor_core(a, b, out, configuration_of(TENSOR_CORE, tile, *size))
    if chosen == "int8":
        return gemm_int8(a, b, out, configuration_of(INT8, tile, *size))
    return gemm_popcount(a, b, out, configuration_of(POPCOUNT, tile, *size))


def binary_gemm_threshold(
    a: PackedTensor, b: PackedTensor, thresholds: ColumnThresholds, backend: str | None = None
) -> PackedTensor:
    """M rows of N bits, ``(sum >= limit) xor flip`` of `binary_gemm`'s sums, which are never stored.

    ``backend`` and errors as there; gemv makes no bits.
    """
    check_operands(a, b)
    check_thresholds(b, thresholds)
    chosen, tile = _choose(a, b, backend, "bits")
    if chosen == "oracle":
        return gemm_threshold_oracle(a, b, thresholds).to(a.device)
    size = (a.rows, b.rows, multiprocessors(a.device))
    if chosen == "tensor_core":
        return gemm_tensor_core_threshold(a, b, thresholds, configuration_of(TENSOR_CORE, tile, *size))
    if chosen == "int8":
        return gemm_int8_threshold(a, b, thresholds, configuration_of(INT8, tile, *size))
    return gemm_popcount_threshold(a, b, thresholds, configuration_of(POPCOUNT, tile, *size))


def configuration_of(
    configurations: Sequence[Configuration], tile: str, m: int, n: int, multiprocessors: int
) -> Configuration:
    """The one that a table names, or `largest_that_fills` if it names none or one that there no longer is."""
    named = (c for c in configurations if f"{c.rows}x{c.columns}" == tile)
    return next(named, None) or largest_that_fills(configurations, m, n, multiprocessors)


def measured(device: torch.device, op: str, output: str, m: int, n: int, k: int) -> Choice | None:
    """What the GPU's table says of a shape, if there is a table and it says something."""
    table: Table | None = table_for(torch.cuda.get_device_name(device), os.environ.get(TABLE))
    return None if table is None else table.choices.get(key(op, output, m, n, k))


def compiles(backend: str, capability: tuple[int, int] | None) -> bool:
    """Whether Triton compiles this back end for a GPU of NVIDIA's compute capability, or None for another maker's."""
    if backend == "tensor_core":
        return capability is not None and capability[0] >= 8
    return backend != "int8" or capability is None or capability[0] >= 8


def check_compiles(backend: str, capability: tuple[int, int] | None, why: str) -> None:
    """ValueError unless `compiles`; why: who chose this back end."""
    if not compiles(backend, capability):
        maker = "an NVIDIA GPU of compute" if backend == "tensor_core" else "compute"
        found = "another maker's" if capability is None else "{}.{}".format(*capability)
        raise ValueError(f"{backend} needs {maker} capability 8.0 or later ({why}), not {found}")


@lru_cache(maxsize=4096)
def log_once(message: str) -> None:
    """At level DEBUG, the first time; to be called only if `logger` is enabled for it, or the first time is lost."""
    logger.debug(message)


def _gemv_makes(m: int, output: str) -> bool:
    return output == "sums" and m <= LARGEST_ROWS


def _computes(backend: str, capability: tuple[int, int] | None, m: int, output: str) -> bool:
    return backend in BACKENDS and compiles(backend, capability) and (backend != "gemv" or _gemv_makes(m, output))


def _choose(a: PackedTensor, b: PackedTensor, backend: str | None, output: Literal["sums", "bits"]) -> tuple[str, str]:
    """The backend, asked for, measured or selected, and its tile, "" for any; ValueError if it cannot compute this."""
    on_gpu = a.device.type == "cuda"
    capability = capability_of(a.device) if on_gpu else None
    given = backend or (os.environ.get(OVERRIDE) if on_gpu else None)
    tile = ""
    if given:
        chosen, why = given, "argument" if backend else OVERRIDE
    elif on_gpu:
        found = measured(a.device, "gemm", output, a.rows, b.rows, a.count)
        if found is not None and _computes(found.backend, capability, a.rows, output):
            chosen, tile, why = found.backend, found.tile, "measured"
        else:
            chosen, why = select("gemm", capability, a.rows, b.rows, a.count, output), f"selected for {capability}"
    else:
        chosen, why = "oracle", "on the host"
    if logger.isEnabledFor(logging.DEBUG):
        log_once(f"gemm {a.rows} x {b.rows} x {a.count} to {output}: {chosen}{tile and f' {tile}'} ({why})")
    if chosen not in BACKENDS:
        raise ValueError(f"no backend {chosen!r} ({why}): choose one of {', '.join(BACKENDS)}")
    if chosen == "gemv" and not _gemv_makes(a.rows, output):
        raise ValueError(f"gemv makes sums of at most {LARGEST_ROWS} rows only ({why})")
    if not on_gpu and chosen != "oracle" and (chosen == "tensor_core" or not knobs.runtime.interpret):
        raise ValueError(f"{chosen} needs its operands on a GPU, not on {a.device}")
    if on_gpu:
        check_compiles(chosen, capability, why)
    return chosen, tile


def capability_of(device: torch.device) -> tuple[int, int] | None:
    """NVIDIA's compute capability of a GPU. None on AMD, where torch gives a number that means something else."""
    return None if torch.version.hip else torch.cuda.get_device_capability(device)


def multiprocessors(device: torch.device) -> int:
    """Of a GPU; 1 on the host, where the interpreter runs programs one by one."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
