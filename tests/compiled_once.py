"""Verilator's own runtime, compiled once: a compiler cache for the simulations that the tests build.

Each of some fifty small simulations compiles the same few files of Verilator, which takes far longer than the hardware.
Its makefiles put the words of OBJCACHE before every compiler call, as for ccache; `conftest.py` names this program:

    python tests/compiled_once.py FOLDER COMPILER ARGUMENT...

An object is found again by the compiler, the command and the source; whatever else is compiled, is compiled.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    folder, *command = sys.argv[1:]
    source = Path(command[-1])
    if not source.name.startswith("verilated") or not source.is_absolute() or "-o" not in command:
        return subprocess.run(command, check=False).returncode
    made = Path(command[command.index("-o") + 1])
    files = [Path(shutil.which(command[0]) or command[0]).resolve(), source]
    inputs = [command, *((str(file), file.stat().st_mtime_ns) for file in files)]
    kept = Path(folder) / f"{hashlib.sha256(repr(inputs).encode()).hexdigest()}.o"
    if kept.exists():
        shutil.copyfile(kept, made)
        return 0
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Another process may be writing the same one.
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy:
            copy.write(made.read_bytes())
        os.replace(copy.name, kept)
    return status


if __name__ == "__main__":
    sys.exit(main())
