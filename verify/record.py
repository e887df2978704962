"""Verdicts on disk: one JSON line per query, and each counterexample as exact pixels (npz) and as a picture (PNG)."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bnnhw.model.file import write_atomically
from bnnhw.verify.check import Counterexample, Verdict
from bnnhw.verify.properties import LinfRobustness


@dataclass(frozen=True)
class Record:
    """One finished query of a campaign; ``data`` is the JSON line as a dictionary."""

    data: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.data["status"])

    @property
    def query(self) -> str:
        """The query's digest (model, label, radius and pixels)."""
        return str(self.data["query"])

    @property
    def solve_seconds(self) -> float:
        return float(self.data["seconds"].get("solve", 0.0))


def make(index: int, query: LinfRobustness, model_digest: str, limit: float | None, verdict: Verdict) -> Record:
    """The record of ``verdict``, for image number ``index`` of its data set."""
    return Record(
        {
            "index": index,
            "query": query.digest(model_digest),
            "model": model_digest,
            "property": "linf-robustness",
            "radius": query.radius,
            "label": query.label,
            "status": verdict.status,
            "reason": verdict.reason,
            "stage": verdict.stage,
            "predicted": verdict.counterexample.predicted if verdict.counterexample else None,
            "counterexample": None,
            "time_limit": limit,
            "seconds": {stage: round(value, 6) for stage, value in verdict.seconds.items()},
            "undecided": list(verdict.undecided),
            "statistics": verdict.statistics,
        }
    )


def append(path: Path, record: Record) -> None:
    """Add one line and force it to disk."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record.data) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read(path: Path) -> list[Record]:
    """The records of a results file; ValueError, naming the line, where one is damaged.

    A last line without its line end is what an interrupted write leaves: it is not a record, and is cut off.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        write_atomically(path, whole)
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            data = json.loads(line)
            record = Record(data)
            if record.status not in ("robust", "falsified", "unknown") or not record.query:
                raise KeyError("status")
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number} is not a verdict: remove the line or the file") from None
        records.append(record)
    return records


def save_counterexample(
    folder: Path,
    index: int,
    query: LinfRobustness,
    model_digest: str,
    found: Counterexample,
    pixel_range: tuple[int, int],
) -> str:
    """Write ``<index>-r<radius>.npz`` (exact pixels) and ``.png`` (original, counterexample, difference); the stem."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{index:05d}-r{query.radius}"
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        image=found.image,
        original=query.image.astype(np.int64),
        label=query.label,
        predicted=found.predicted,
        radius=query.radius,
        model=model_digest,
    )
    write_atomically(folder / f"{stem}.npz", buffer.getvalue())
    write_atomically(folder / f"{stem}.png", picture(query.image, found.image, pixel_range))
    return stem


def picture(original: npt.NDArray[Any], changed: npt.NDArray[Any], pixel_range: tuple[int, int]) -> bytes:
    """PNG bytes: original, counterexample, difference (grey: unchanged) side by side, about 112 pixels high."""
    low, high = pixel_range
    a, b = (np.asarray(image, np.float64) for image in (original, changed))
    difference = (b - a) / (2 * max(1.0, float(np.abs(b - a).max()))) + 0.5
    gap = np.ones((a.shape[0], a.shape[1], max(1, a.shape[2] // 14)))
    row = np.concatenate([(a - low) / (high - low), gap, (b - low) / (high - low), gap, difference], axis=2)
    grey = np.round(row * 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(grey if grey.shape[2] == 3 else grey.mean(axis=2).astype(np.uint8))
    scale = max(1, 112 // a.shape[1])
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
