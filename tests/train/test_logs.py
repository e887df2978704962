"""What people see: curves for TensorBoard and the table on the screen say what the metrics say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from bnnhw.train.display import display, row
from bnnhw.train.logs import scalars, write_curves


def entry(epoch: int) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "loss": 1 / epoch,
        "test_accuracy": 0.5,
        "attacked_train_accuracy": 0.25,
        "density": [0.75, 0.1],
        "mean_bounds": [12.25],
        "max_bounds": [20.0],
    }


def test_curves_are_read_back_as_written_and_a_repeated_epoch_counts_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch in (1, 2, 2, 3):
        write_curves(tmp_path, [entry(epoch)])
    read = EventAccumulator(str(tmp_path)).Reload()
    assert set(read.Tags()["scalars"]) == set(scalars(entry(1)))
    assert [(event.step, round(event.value, 4)) for event in read.Scalars("loss")] == [(1, 1.0), (2, 0.5), (3, 0.3333)]
    assert [event.value for event in read.Scalars("density/layer1")] == [0.75] * 3


def test_the_table_has_a_cell_for_every_figure() -> None:
    assert row(entry(2)) == ["2", "0.500", "50.00%", "25.00%", "25% 90%", "12.2", "20"]


def test_the_display_shows_the_last_epochs() -> None:
    with display(False, "train", 10, 0, [entry(epoch) for epoch in range(1, 15)]) as shown:
        shown.advance()
        shown.epoch(entry(15))
        console = Console(file=io.StringIO(), width=120)
        console.print(shown.render())
    text = console.file.getvalue()
    assert "sparsity per layer" in text
    assert " 15 " in text
    assert " 3 " not in text
