"""The results page says what the evaluations say, and refuses what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import results


def evaluation(**changes) -> dict:
    times = {"mean": 0.0123, "median": 0.004, "largest": 1.5}
    row = {"eps": "0.1", "pgd": 9500, "verified": 9333, "unknown": 7, "solve": times, "build": times}
    whole = {
        "digest": "abcdef0123456789",
        "dataset": "mnist",
        "note": "",
        "images": 10000,
        "natural": 9700,
        "kernel_mismatches": 0,
        "sparsity": 0.915,
        "bound_mean": 6.25,
        "bound_largest": 31,
        "training": {"recipe": {"arch": "conv-small", "epochs": 20}, "seconds": 401.6},
        "robustness": [row],
    }
    return whole | changes


def page_of(tmp_path: Path, **files: dict) -> str:
    for name, whole in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
    return results.accuracy(results.read(tmp_path))


def test_a_row_states_the_evaluation_beside_the_published_ones(tmp_path: Path) -> None:
    text = page_of(tmp_path, mine=evaluation())
    row = next(line for line in text.splitlines() if "**mine**" in line)
    for cell in ("97.00", "95.00", "93.33", "0.07", "0.0123 / 0.004 / 1.5", "91.5 %", "6.2 / 31"):
        assert f" {cell} |" in row
    assert "conv-small, 20 epochs, 402 s" in row
    assert "`abcdef01`" in row
    section = text[text.index("### MNIST, epsilon 0.1") : text.index("### MNIST, epsilon 0.3")]
    assert row in section
    assert "| EEV S | 97.44 | 93.47 | 89.29 |" in section
    assert "+1.65 points against EEV L, -4.47 points against real-valued, CROWN-IBP" in section
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_the_same_epsilon_written_otherwise_is_the_same_table(tmp_path: Path) -> None:
    one = evaluation()
    one["robustness"][0]["eps"] = "1/10"
    assert page_of(tmp_path, mine=one).count("### MNIST, epsilon 0.1") == 1


def test_part_of_the_test_set_is_called_so_and_a_data_note_is_kept(tmp_path: Path) -> None:
    text = page_of(tmp_path, few=evaluation(images=9800, natural=9600, note="pixels decoded from JPEG"))
    assert ", 9800 images |" in text
    assert "Data: pixels decoded from JPEG." in text


def test_settings_that_nobody_published_get_a_table_of_their_own(tmp_path: Path) -> None:
    text = page_of(tmp_path, other=evaluation(dataset="digits", images=10000))
    assert "### Digits, epsilon 0.1" in text
    assert "Best verified: other, 93.33 %." in text


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"natural": 9499}, "contradicts itself"),
        ({"kernel_mismatches": 1}, "contradicts itself"),
        ({"robustness": [{"eps": "0.1"}]}, "is not what"),
        ({"robustness": None}, "is not what"),
    ],
)
def test_what_is_no_evaluation_is_refused_by_name(tmp_path: Path, damage: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"mine\.json {complaint}"):
        page_of(tmp_path, mine=evaluation(**damage))


def test_the_committed_page_is_what_the_committed_results_make() -> None:
    page = results.PAGE.read_text()
    assert results.filled(page, "accuracy", results.accuracy(results.read(results.HERE / "results"))) == page
