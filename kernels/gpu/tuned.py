"""Measured choices of kernels for one GPU: a table from operation, output and rounded shape to back end and tile.

`autotune` writes such a table on the GPU it is for; `dispatch` and `conv` look a shape up before they fall back on
rules. Which table counts: the file that the environment variable BNNHW_GPU_TABLE names, else ``tables/<GPU's
name>.json`` beside this module, else none. Every back end gives the same integers, and one that the GPU lacks is passed
over, so a table of another GPU, or an old one, costs time only.

The file is JSON: ``{"format": 1, "gpu": name, "versions": {...}, "choices": {"gemm bits 4096 4096 1024": {"backend":
"tensor_core", "tile": "128x256", "microseconds": 11.2}, ...}}``; sides are rounded up to powers of two.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FORMAT = 1
OVERRIDE = "BNNHW_GPU_TABLE"
TABLES = Path(__file__).with_name("tables")


@dataclass(frozen=True)
class Choice:
    """backend: as `dispatch` and `conv` name them. tile: ``rows x columns`` of its configuration, or "" if it has
    one."""

    backend: str
    tile: str
    microseconds: float


@dataclass(frozen=True)
class Table:
    """Choices for one GPU, by `key`."""

    gpu: str
    versions: Mapping[str, str]
    choices: Mapping[str, Choice] = field(default_factory=dict)


def key(op: str, output: str, m: int, n: int, k: int) -> str:
    """The shape's name in a table; m, n, k >= 1 are rounded up to powers of two."""
    return " ".join((op, output, *(str(1 << (side - 1).bit_length()) for side in (m, n, k))))


def slug(gpu: str) -> str:
    """A GPU's name as a file's."""
    return re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")


def read(path: Path) -> Table:
    """ValueError, in one sentence, for a file that is not such a table."""
    try:
        given = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): name a table that `autotune` wrote") from error
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error}): write it again with `autotune`") from error
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise ValueError(f"{path}: is not a table of format {FORMAT}: write it again with `autotune`")
    try:
        choices = {str(name): _choice(name, value) for name, value in given["choices"].items()}
        return Table(str(given["gpu"]), {str(k): str(v) for k, v in given["versions"].items()}, choices)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: lacks or misnames {error}: write it again with `autotune`") from error


def write(table: Table, path: Path) -> None:
    """Atomically: the file is whole or as it was."""
    content = {"format": FORMAT, **asdict(table)}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1, sort_keys=True)
            file.write("\n")
        # Temporary files are for their owner's eyes only.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@lru_cache(maxsize=16)
def table_for(gpu: str, named: str | None = None) -> Table | None:
    """The table for a GPU by its name; ``named``: a file that is used whatever GPU it is for. None if there is none."""
    if named:
        return read(Path(named))
    path = TABLES / f"{slug(gpu)}.json"
    return read(path) if path.exists() else None


def _choice(name: str, value: Mapping[str, Any]) -> Choice:
    backend, tile, microseconds = value["backend"], value["tile"], float(value["microseconds"])
    if not isinstance(backend, str):
        raise ValueError(f"back end {backend!r}")
    if not isinstance(tile, str) or (tile and not re.fullmatch(r"\d+x\d+", tile)):
        raise ValueError(f"tile {tile!r}")
    # Under a name that `key` does not make, a choice would never be found.
    shape = re.fullmatch(r"(\w+) (\w+) ([1-9]\d*) ([1-9]\d*) ([1-9]\d*)", name)
    if shape is None or key(shape[1], shape[2], int(shape[3]), int(shape[4]), int(shape[5])) != name:
        raise ValueError(f"shape {name!r}")
    return Choice(backend, tile, microseconds)
