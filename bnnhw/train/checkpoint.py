"""Checkpoints: one file that holds a training run completely, written so that it is always either old or new.

The file is read with torch's restricted unpickler (tensors and plain values only).
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

FORMAT = "bnnhw-training-checkpoint-2"

State = dict[str, Any]


def save_atomically(state: State, path: Path) -> None:
    """Write ``state`` next to ``path``, flush it to disk, and rename it into place."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".checkpoint-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> State:
    """What ``save_atomically`` wrote; ValueError for anything else."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first = str(error).split("\n", 1)[0]
        raise ValueError(f"{path} cannot be read ({first}): delete it to train from the start") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version: delete it to train from the start")
    return state
