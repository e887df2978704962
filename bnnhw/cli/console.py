"""What all commands print with: people's text on stderr, results on stdout, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

messages = Console(stderr=True, highlight=False)
results = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def say(text: str) -> None:
    """A line for people."""
    messages.print(text, markup=False)


def say_error(text: str) -> None:
    """The one sentence of an error."""
    messages.print(f"error: {text}", style="red", markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """The result for programs."""
    print(json.dumps(value, indent=2))


def print_table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """The result for people; the first column is left-aligned, the others right-aligned."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    results.print(table)


def _text(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.4g}"


@dataclass(frozen=True)
class Bar:
    """A progress bar that is on the screen."""

    _progress: Progress
    _task: TaskID

    def advance(self, _: object = None) -> None:
        """One step is done; takes any argument, to be called with whatever was made."""
        self._progress.advance(self._task)

    def tell(self, text: str) -> None:
        """What is known meanwhile."""
        self._progress.update(self._task, note=text)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Bar]:
    """A progress bar of ``total`` steps on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=messages) as progress:
        yield Bar(progress, progress.add_task(what, total=total, note=""))
