"""``report.html``: one self-contained page (no network, no scripts) that shows what a run of the chain found."""

from __future__ import annotations

import base64
from math import log10
from pathlib import Path
from typing import Any

import jinja2

from bnnhw.model import summarize
from bnnhw.model.file import write_atomically
from bnnhw.pipeline.chain import Result

PICTURES = 12
"""Counterexample pictures shown per epsilon."""


def _pictures(result: Result, eps: str) -> list[dict[str, Any]]:
    folder = result.settings.out / "verify" / "counterexamples"
    shown: list[dict[str, Any]] = []
    for record in result.records[eps]:
        stem = record.data["counterexample"]
        if record.data["stage"] == "clean" or stem is None or len(shown) == PICTURES:
            continue
        png = base64.b64encode((folder / f"{stem}.png").read_bytes()).decode()
        caption = f"image {record.data['index']}: {record.data['label']} becomes {record.data['predicted']}"
        shown.append({"png": png, "caption": caption})
    return shown


def _cactus(result: Result) -> list[dict[str, Any]]:
    """Per epsilon, the SVG polyline of 'queries decided within t seconds' on a logarithmic time axis."""
    low, high, width, height = -4.0, log10(max(1.0, result.settings.seconds)), 560, 160
    lines = []
    for eps, records in result.records.items():
        times = sorted(sum(r.data["seconds"].values()) for r in records if r.status != "unknown")
        points = []
        for rank, value in enumerate(times, 1):
            x = (min(max(log10(max(value, 1e-9)), low), high) - low) / (high - low) * width
            points.append(f"{x:.1f},{height - rank / len(records) * height:.1f}")
        lines.append({"eps": eps, "points": " ".join(points)})
    return lines


def render(result: Result) -> str:
    """The page's HTML."""
    template = (Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        result=result,
        facts=result.as_json(),
        layers=summarize(result.model),
        quantizer=result.model.quantizer,
        pictures={eps: _pictures(result, eps) for eps in result.records},
        cactus=_cactus(result),
    )


def write(result: Result) -> Path:
    """Write ``report.html`` into the run's folder and return its path."""
    path = result.settings.out / "report.html"
    write_atomically(path, render(result).encode())
    return path
