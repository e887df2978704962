"""The published files, where their folder lies beside the checkout; tests that need them are skipped elsewhere."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs the published files of {path.name}")
    return path


@pytest.fixture(scope="session")
def collection() -> Path:
    return _folder(SHARED / "benchmarks" / "bnn-verification")


@pytest.fixture(scope="session")
def eev_models() -> Path:
    return _folder(SHARED / "benchmarks" / "eev" / "models")


@pytest.fixture(scope="session")
def mnist() -> Path:
    return _folder(SHARED / "data" / "mnist")
