"""Elementwise steps as one pass over memory each, compiled by torch.

Between two convolutions a training step scales, shifts, compares and, backwards, multiplies by tanh's slope, each a
pass over all accumulators; on a CPU those passes take longer than the convolutions. Compiled, a chain of them is one
loop. Convolutions themselves stay with torch's own library, for which the compiler would change the layout.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

VARIANTS = 64
"""Shapes, gradients needed or not, statistics kept or not: torch gives up at 8 variants of a function."""


@cache
def fused(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``function`` compiled, one variant a shape; the same values up to the order in which real sums are rounded.

    The first call of a variant takes seconds and needs a C++ compiler (on a GPU, Triton).
    """
    torch._dynamo.config.recompile_limit = VARIANTS
    compiled: Callable[Arguments, Result] = torch.compile(function, dynamic=False)
    return compiled
