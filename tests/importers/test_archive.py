"""Reading a published archive: whole arrays, exact values, and one clear error for anything else."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import published_networks
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnhw.importers import SourceError, archive, load
from bnnhw.importers.archive import read_archive


def test_floats_become_the_rationals_they_are(tmp_path: Path) -> None:
    values = np.array([0.1, -3, 6e-45, 1e30], np.float32)
    np.savez(tmp_path / "a.npz", values=values)
    found = archive.rationals(read_archive(tmp_path / "a.npz"), "values", 4)
    assert found[0] == Fraction(13421773, 2**27)
    assert [float(value) for value in found] == values.astype(float).tolist()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.npz cannot be read"):
        read_archive(tmp_path / "missing.npz")
    with pytest.raises(SourceError, match="cannot be read"):
        read_archive(tmp_path)
    (tmp_path / "text.npz").write_text("a,b,c")
    with pytest.raises(SourceError, match="is not an"):
        read_archive(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SourceError, match="is not an"):
        read_archive(tmp_path / "one.npy")


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", kinds=np.array([{"a": 1}], object))
    with pytest.raises(SourceError, match="damaged"):
        read_archive(tmp_path / "o.npz")


def test_members_that_are_not_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as members:
        members.writestr("readme.txt", "hello")
    with pytest.raises(SourceError, match="not arrays"):
        read_archive(tmp_path / "m.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "big.npz", zeros=np.zeros(10_000))
    monkeypatch.setattr(archive, "MAX_BYTES", 10_000)
    with pytest.raises(SourceError, match="unpacks to"):
        read_archive(tmp_path / "big.npz")


@settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.booleans(), compressed=st.booleans(), position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255)
)
def test_a_changed_byte_is_an_error_or_still_a_model(
    tmp_path: Path, kind: bool, compressed: bool, position: float, flip: int
) -> None:
    rng = np.random.default_rng(1)
    arrays = published_networks.eev(rng) if kind else published_networks.bnn_verification(rng)
    path = tmp_path / "net.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= flip
    path.write_bytes(data)
    message = str(path)
    try:
        load(path)
    except SourceError as error:
        message = str(error)
    assert str(path) in message
