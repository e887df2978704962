"""Tools that come as WebAssembly packages: the first process to use one compiles it, and the others wait.

Such a package keeps the machine code in a file of the user's cache, and writes that file where it stands. A process
that starts meanwhile maps half a file, or one that is cut short under it, and dies without a word.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def compiled(*command: str) -> list[str]:
    """The command of such a tool, after it has told its version while no other process of the user's did."""
    with (Path(tempfile.gettempdir()) / f"bnnhw-first-use-{os.getuid()}").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([*command, "--version"], capture_output=True, check=False)
    return list(command)
