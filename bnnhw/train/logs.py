"""Training curves for TensorBoard, in its own files. Needs the package tensorboard (``pip install 'bnnhw[logs]'``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Metrics = dict[str, Any]


def scalars(entry: Metrics) -> dict[str, float]:
    """An epoch's metrics as named curves; lists become one curve a layer, counted from 1."""
    curves: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, list):
            curves |= {f"{name}/layer{number}": float(one) for number, one in enumerate(value, 1)}
        elif name != "epoch":
            curves[name] = float(value)
    return curves


def write_curves(folder: Path, metrics: list[Metrics]) -> None:
    """Write the epochs of ``metrics`` to ``folder``; what an earlier file says about these epochs or later is void.

    ValueError where tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("curves need the package tensorboard: pip install 'bnnhw[logs]'") from None
    with SummaryWriter(str(folder), purge_step=metrics[0]["epoch"]) as writer:
        for entry in metrics:
            for name, value in scalars(entry).items():
                writer.add_scalar(name, value, entry["epoch"])
