"""Set-up that all tests share."""

import os
import shlex
import sys
from pathlib import Path

TESTS = Path(__file__).parent
CACHE = [sys.executable, str(TESTS / "compiled_once.py"), str(TESTS.parent / "build" / "verilated")]

# A compiler cache of the user's own stays.
os.environ.setdefault("OBJCACHE", shlex.join(CACHE))
