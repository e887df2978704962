"""Set-up that all tests share."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from hardware_models import QUICK

TESTS = Path(__file__).parent
CACHE = [sys.executable, str(TESTS / "compiled_once.py"), str(TESTS.parent / "build" / "verilated")]

# A compiler cache of the user's own stays.
os.environ.setdefault("OBJCACHE", shlex.join(CACHE))


@pytest.fixture(scope="module")
def quick_compile():
    """For a module's simulations, which are compiled for longer than they run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bnnhw.hw_export.sim.verilator.COMPILER_FLAGS", QUICK)
        patch.setattr("bnnhw.hw_export.sim.cxxrtl.COMPILER_FLAGS", ("-O0",))
        yield
