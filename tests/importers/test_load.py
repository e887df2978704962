"""Formats are recognised by their arrays; anything else is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import published_networks
import pytest

from bnnhw.importers import FORMATS, SourceError, bnn_verification, eev, load
from bnnhw.importers.archive import read_archive


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    made = {"bnn-verification": published_networks.bnn_verification(rng), "eev": published_networks.eev(rng)}
    for name, arrays in made.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    return {name: tmp_path / f"{name}.npz" for name in made}


def test_both_formats_are_recognised(files: dict[str, Path]) -> None:
    assert set(FORMATS) == set(files)
    for name, path in files.items():
        found = load(path)
        assert found.format == name
        assert found.model == load(path, name).model
    assert load(files["bnn-verification"]).predictions is None
    assert load(files["bnn-verification"]).model == bnn_verification.convert(read_archive(files["bnn-verification"]))
    predictions = load(files["eev"]).predictions
    assert predictions is not None
    assert predictions.tolist() == eev.stored_predictions(read_archive(files["eev"])).tolist()


def test_a_wrong_or_unknown_format_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unknown format 'tflite'"):
        load(files["eev"], "tflite")
    with pytest.raises(SourceError, match="blocks/0/lin/W"):
        load(files["eev"], "bnn-verification")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(SourceError, match="of no known format"):
        load(tmp_path / "other.npz")
