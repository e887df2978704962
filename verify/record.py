"""Answers on disk: one JSON line per query, and each counterexample as exact pixels (npz) and as a picture (PNG).

A line says what was asked (``query``, the digest of the whole question, and ``property``, the same in words), about
which models, what came out and at what cost.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bnnhw.model import Quantizer
from bnnhw.model.file import write_atomically
from bnnhw.verify.check import Counterexample, Limits, Verdict
from bnnhw.verify.distortion import Distortion
from bnnhw.verify.properties import Ball, Condition, Distance
from bnnhw.verify.subject import Subject

STATUSES = ("robust", "falsified", "minimal", "unreachable", "unknown")
"""Of verdicts the first two; of searches for the smallest distortion the next two (unreachable: no image violates)."""


@dataclass(frozen=True)
class Record:
    """One finished query of a campaign; ``data`` is the JSON line as a dictionary."""

    data: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.data["status"])

    @property
    def query(self) -> str:
        """The digest of the whole question, models included."""
        return str(self.data["query"])

    @property
    def confirmed_by(self) -> tuple[str, ...]:
        """The other solvers that came to the same verdict."""
        return tuple(self.data.get("confirmed_by", ()))

    @property
    def solve_seconds(self) -> float:
        return float(self.data["seconds"].get("solve", 0.0))


def of_verdict(
    query: str,
    models: Sequence[str],
    subject: Subject,
    ball: Ball,
    limits: Limits,
    verdict: Verdict,
    confirmed_by: Sequence[str] = (),
) -> Record:
    """The record of a verdict. query: the question's digest; models: theirs; limits: what was allowed."""
    found = verdict.counterexample
    asked = {"distance": ball.distance, "limit": ball.limit, **_words(subject.condition)}
    return Record(
        {
            **_head(query, models, subject, asked),
            "status": verdict.status,
            "reason": verdict.reason,
            "stage": verdict.stage,
            "confirmed_by": list(confirmed_by),
            "predicted": found.predicted if found else None,
            "counterexample": _stem(subject, str(ball), query) if found else None,
            "time_limit": limits.seconds,
            "conflict_limit": limits.conflicts,
            "seconds": {stage: round(value, 6) for stage, value in verdict.seconds.items()},
            "undecided": list(verdict.undecided),
            "statistics": verdict.statistics,
        }
    )


def of_distortion(
    query: str, models: Sequence[str], subject: Subject, distance: Distance, limit: float | None, found: Distortion
) -> Record:
    """The record of a search for the smallest distortion; ``lower`` and ``upper`` are its bounds."""
    status = "unknown" if not found.final else "unreachable" if found.exhausted else "minimal"
    changed = found.counterexample
    return Record(
        {
            **_head(query, models, subject, {"least": distance, **_words(subject.condition)}),
            "status": status,
            "reason": found.reason,
            "lower": found.lower,
            "upper": found.upper,
            "predicted": changed.predicted if changed else None,
            "counterexample": _stem(subject, f"least-{distance}", query) if changed else None,
            "time_limit": limit,
            "seconds": {"search": round(found.seconds, 6)},
        }
    )


def certificate(subject: Subject, ball: Ball, query: str) -> str:
    """The name of the file of a verdict's certificate."""
    return f"{_stem(subject, str(ball), query)}.cert"


def _head(query: str, models: Sequence[str], subject: Subject, asked: dict[str, Any]) -> dict[str, Any]:
    head = {"index": subject.name, "query": query, "model": models[0], "property": asked, "label": subject.label}
    return head if len(models) == 1 else {**head, "models": list(models)}


def _words(condition: Condition) -> dict[str, Any]:
    return {"condition": type(condition).__name__, **asdict(condition)}


def _stem(subject: Subject, what: str, query: str) -> str:
    """A file name that no other question shares: two may differ only in a condition or a model."""
    name = f"{subject.name:05d}" if isinstance(subject.name, int) else Path(subject.name).stem
    return f"{name}-{what.replace('=', '-')}-{query[:8]}"


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
            if record.status not in STATUSES or not record.query:
                raise KeyError("status")
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number} is not a verdict: remove the line or the file") from None
        records.append(record)
    return records


def save_counterexample(
    beside: Path, record: Record, subject: Subject, found: Counterexample, quantizer: Quantizer
) -> None:
    """Write the pixels (npz) and the picture (PNG: original, counterexample, difference) that ``record`` names.

    They go to the folder ``counterexamples`` in ``beside``.
    """
    folder = beside / "counterexamples"
    folder.mkdir(parents=True, exist_ok=True)
    stem = record.data["counterexample"]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        image=found.image,
        original=subject.image.astype(np.int64),
        label=-1 if subject.label is None else subject.label,
        predicted=found.predicted,
        property=json.dumps(record.data["property"]),
        models=record.data.get("models", [record.data["model"]]),
    )
    write_atomically(folder / f"{stem}.npz", buffer.getvalue())
    pixel_range = (quantizer.pixel_min, quantizer.pixel_max)
    write_atomically(folder / f"{stem}.png", picture(subject.image, found.image, pixel_range))


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
