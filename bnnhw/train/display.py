"""What a training run shows while it runs: a bar, and below it a row an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.table import Table

COLUMNS = ("epoch", "loss", "natural", "PGD", "sparsity per layer", "mean bounds", "max bounds")
ROWS = 12
"""Epochs shown; older ones are in ``metrics.jsonl``."""

Metrics = dict[str, Any]


def row(entry: Metrics) -> list[str]:
    """An epoch's metrics as the table's cells. natural is of test images, PGD of the attacked training images."""
    return [
        str(entry["epoch"]),
        f"{entry['loss']:.3f}",
        f"{entry['test_accuracy']:.2%}",
        f"{entry['attacked_train_accuracy']:.2%}",
        " ".join(f"{1 - share:.0%}" for share in entry["density"]),
        " ".join(f"{bound:.1f}" for bound in entry["mean_bounds"]),
        " ".join(f"{bound:.0f}" for bound in entry["max_bounds"]),
    ]


@dataclass
class Display:
    """A bar and a table on the screen, or nothing."""

    _progress: Progress
    _task: TaskID
    _live: Live | None
    _rows: list[list[str]] = field(default_factory=list)

    def advance(self) -> None:
        """One batch is done."""
        self._progress.advance(self._task)

    def epoch(self, entry: Metrics) -> None:
        """An epoch is done."""
        self._rows = [*self._rows, row(entry)][-ROWS:]
        if self._live is not None:
            self._live.update(self.render())

    def render(self) -> Group:
        """The bar, and the table once there is a row."""
        table = Table(*COLUMNS)
        for cells in self._rows:
            table.add_row(*cells)
        return Group(self._progress, table) if self._rows else Group(self._progress)


@contextmanager
def display(shown: bool, what: str, total: int, completed: int, past: list[Metrics]) -> Iterator[Display]:
    """A display on stderr of ``total`` batches, ``completed`` of which are done; past: epochs that are done."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining()
    )
    task = progress.add_task(what, total=total, completed=completed)
    rows = [row(entry) for entry in past][-ROWS:]
    if not shown:
        yield Display(progress, task, None, rows)
        return
    with Live(progress, console=Console(stderr=True), refresh_per_second=4) as live:
        made = Display(progress, task, live, rows)
        live.update(made.render())
        yield made
