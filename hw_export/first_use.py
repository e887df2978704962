"""Tools that come as WebAssembly packages: the first process to use one compiles it, and the others wait.

Such a package keeps the machine code in a file of the user's cache, and writes that file where it stands. A process
that starts meanwhile maps half a file, or one that is cut short under it, and dies without a word.
"""

from __future__ import annotations

import fcntl
import getpass
import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def compiled(command: tuple[str, ...]) -> None:
    """Run ``command``, a tool that tells its version, while no other process does; once in this process."""
    with (Path(tempfile.gettempdir()) / f"bnnhw-first-use-{getpass.getuser()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(command, capture_output=True, check=False)
