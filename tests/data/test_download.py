"""Downloads: only a file with the right checksum ever appears; another mirror is tried; nothing half-written stays."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from bnnhw.data import DataError
from bnnhw.data.download import REMOTES, Remote, fetch_missing

CONTENT = bytes(range(256)) * 300


def remote(folder: Path, served: bytes, expected: bytes, of_content: bool = False) -> Remote:
    good = folder / "good"
    good.mkdir(parents=True)
    (good / "file.gz").write_bytes(served)
    mirrors = ((folder / "gone" / "file.gz").as_uri(), (good / "file.gz").as_uri())
    return Remote(mirrors, hashlib.sha256(expected).hexdigest(), of_content)


def test_the_second_mirror_serves_when_the_first_is_gone(tmp_path: Path) -> None:
    fetch_missing((remote(tmp_path / "web", CONTENT, CONTENT),), tmp_path / "cache")
    assert (tmp_path / "cache" / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("level", [1, 9])
def test_a_checksum_of_the_content_does_not_depend_on_the_compression(tmp_path: Path, level: int) -> None:
    served = gzip.compress(CONTENT, level)
    fetch_missing((remote(tmp_path / "web", served, CONTENT, of_content=True),), tmp_path / "cache")
    assert (tmp_path / "cache" / "file.gz").read_bytes() == served


@pytest.mark.parametrize("of_content", [False, True])
def test_a_wrong_file_leaves_nothing_behind(tmp_path: Path, of_content: bool) -> None:
    served = gzip.compress(CONTENT[:-1] + b"x")
    expected = CONTENT if of_content else gzip.compress(CONTENT)
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch_missing((remote(tmp_path / "web", served, expected, of_content),), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file.gz").write_bytes(b"mine")
    fetch_missing((remote(tmp_path / "web", CONTENT, CONTENT),), tmp_path / "cache")
    assert (tmp_path / "cache" / "file.gz").read_bytes() == b"mine"


def test_every_remote_has_a_whole_checksum_of_its_own() -> None:
    sums = [remote.sha256 for remotes in REMOTES.values() for remote in remotes]
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in sums)
    assert len(set(sums)) == len(sums)
