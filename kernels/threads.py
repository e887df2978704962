"""How many threads a kernel may use. Results do not depend on it; small batches use fewer by themselves."""

from __future__ import annotations

import os


def available_threads() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int) -> int:
    """``threads``, or ValueError unless it is 1 or more."""
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")
    return threads
